package s3

import (
	"context"
	"net/http"
	"slices"
	"strings"

	api "croft/internal/awsapi/s3"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

const (
	corsSetting      = "cors"
	ownershipSetting = "ownership"
	// maxCORSRules bounds a configuration. Source: S3 User Guide, "Elements of a CORS configuration".
	maxCORSRules = 100
)

func checkCORS(c *api.CORSConfiguration) error {
	if n := len(c.CORSRules); n == 0 || n > maxCORSRules {
		return malformedXML()
	}
	for i := range c.CORSRules {
		r := &c.CORSRules[i]
		if len(r.AllowedMethods) == 0 || len(r.AllowedOrigins) == 0 || len(wire.Value(r.ID)) > 255 {
			return malformedXML()
		}
		for _, m := range r.AllowedMethods {
			if !slices.Contains([]string{http.MethodGet, http.MethodPut, http.MethodHead, http.MethodPost, http.MethodDelete}, m) {
				return cloud.Errorf("InvalidRequest", "Found unsupported HTTP method in CORS config. Unsupported method is %.64s", m)
			}
		}
		for _, o := range r.AllowedOrigins {
			if strings.Count(o, "*") > 1 {
				return cloud.Errorf("InvalidRequest", "AllowedOrigin %q can not have more than one wildcard.", o)
			}
		}
		for _, h := range r.AllowedHeaders {
			if strings.Count(h, "*") > 1 {
				return cloud.Errorf("InvalidRequest", "AllowedHeader %q can not have more than one wildcard.", h)
			}
		}
		for _, h := range r.ExposeHeaders {
			if strings.Contains(h, "*") {
				return cloud.Errorf("InvalidRequest", "ExposeHeader %q contains wildcard. We currently do not support wildcard for ExposeHeader.", h)
			}
		}
	}
	return nil
}

// PutBucketCors says which web pages may use the bucket.
func (s *Service) PutBucketCors(ctx context.Context, in *api.PutBucketCorsInput) (*api.PutBucketCorsOutput, error) {
	if err := checkCORS(in.CORSConfiguration); err != nil {
		return nil, err
	}
	if err := s.set(ctx, in.Bucket, in.ExpectedBucketOwner, corsSetting, in.CORSConfiguration, nil); err != nil {
		return nil, err
	}
	return new(api.PutBucketCorsOutput), nil
}

// GetBucketCors returns which web pages may use the bucket.
func (s *Service) GetBucketCors(ctx context.Context, in *api.GetBucketCorsInput) (*api.GetBucketCorsOutput, error) {
	c := new(api.CORSConfiguration)
	has, err := s.setting(ctx, in.Bucket, in.ExpectedBucketOwner, corsSetting, c)
	if err == nil && !has {
		err = missing("NoSuchCORSConfiguration", "The CORS configuration does not exist", in.Bucket)
	}
	if err != nil {
		return nil, err
	}
	return &api.GetBucketCorsOutput{CORSRules: c.CORSRules}, nil
}

// DeleteBucketCors takes the configuration away.
func (s *Service) DeleteBucketCors(ctx context.Context, in *api.DeleteBucketCorsInput) (*api.DeleteBucketCorsOutput, error) {
	if err := s.set(ctx, in.Bucket, in.ExpectedBucketOwner, corsSetting, nil, nil); err != nil {
		return nil, err
	}
	return new(api.DeleteBucketCorsOutput), nil
}

// ownership is the row of a bucket's ownership controls. A bucket without one has the usual ones: S3 User Guide, "Controlling ownership of objects".
type ownership struct {
	Object string `json:"o,omitempty"` // empty when they were deleted
}

// PutBucketOwnershipControls says who owns the bucket's objects, and with that whether there are access control lists.
func (s *Service) PutBucketOwnershipControls(ctx context.Context, in *api.PutBucketOwnershipControlsInput) (*api.PutBucketOwnershipControlsOutput, error) {
	rules := in.OwnershipControls.Rules
	switch {
	case len(rules) != 1 || !inModel("ObjectOwnership", rules[0].ObjectOwnership):
		return nil, malformedXML()
	}
	err := s.set(ctx, in.Bucket, in.ExpectedBucketOwner, ownershipSetting, &ownership{rules[0].ObjectOwnership}, func(r kv.Reader) error {
		if rules[0].ObjectOwnership != api.ObjectOwnershipBucketOwnerEnforced {
			return nil
		}
		alone, err := ownsAlone(r, in.Bucket, cloud.CallOf(ctx).Account)
		if err == nil && !alone {
			err = cloud.Errorf("InvalidBucketAclWithObjectOwnership", "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return new(api.PutBucketOwnershipControlsOutput), nil
}

// GetBucketOwnershipControls returns who owns the bucket's objects.
func (s *Service) GetBucketOwnershipControls(ctx context.Context, in *api.GetBucketOwnershipControlsInput) (*api.GetBucketOwnershipControlsOutput, error) {
	var o ownership
	has, err := s.setting(ctx, in.Bucket, in.ExpectedBucketOwner, ownershipSetting, &o)
	if !has {
		o.Object = api.ObjectOwnershipBucketOwnerEnforced
	}
	if err == nil && o.Object == "" {
		err = missing("OwnershipControlsNotFoundError", "The bucket ownership controls were not found", in.Bucket)
	}
	if err != nil {
		return nil, err
	}
	return &api.GetBucketOwnershipControlsOutput{OwnershipControls: &api.OwnershipControls{Rules: []api.OwnershipControlsRule{{ObjectOwnership: o.Object}}}}, nil
}

// DeleteBucketOwnershipControls forgets the ownership controls.
func (s *Service) DeleteBucketOwnershipControls(ctx context.Context, in *api.DeleteBucketOwnershipControlsInput) (*api.DeleteBucketOwnershipControlsOutput, error) {
	if err := s.set(ctx, in.Bucket, in.ExpectedBucketOwner, ownershipSetting, &ownership{}, nil); err != nil {
		return nil, err
	}
	return new(api.DeleteBucketOwnershipControlsOutput), nil
}
