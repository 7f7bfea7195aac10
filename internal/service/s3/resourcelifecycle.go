package s3

import (
	"context"
	"reflect"
	"time"

	api "croft/internal/awsapi/s3"
	"croft/internal/cfn"
	"croft/internal/cloud"
	"croft/internal/wire"
)

type lifecycleProperties struct {
	Rules []lifecycleRuleProperties `cfn:"Rules,required"`
}

// lifecycleRuleProperties are flatter than the API's rules.
type lifecycleRuleProperties struct {
	ID                        *string   `cfn:"Id"`
	Status                    string    `cfn:"Status,required"`
	Prefix                    *string   `cfn:"Prefix"`
	TagFilters                []cfn.Tag `cfn:"TagFilters"`
	Days                      *int32    `cfn:"ExpirationInDays"`
	Date                      *string   `cfn:"ExpirationDate"`
	ExpiredObjectDeleteMarker *bool     `cfn:"ExpiredObjectDeleteMarker"`
	NoncurrentDays            *int32    `cfn:"NoncurrentVersionExpirationInDays"`
	Noncurrent                *struct {
		Days  int32  `cfn:"NoncurrentDays,required"`
		Newer *int32 `cfn:"NewerNoncurrentVersions"`
	} `cfn:"NoncurrentVersionExpiration"`
	Abort *struct {
		Days int32 `cfn:"DaysAfterInitiation,required"`
	} `cfn:"AbortIncompleteMultipartUpload"`
}

func (p *lifecycleRuleProperties) rule() (api.LifecycleRule, error) {
	r := api.LifecycleRule{ID: p.ID, Status: p.Status, Filter: &api.LifecycleRuleFilter{Prefix: wire.Ptr(wire.Value(p.Prefix))}}
	if len(p.TagFilters) > 0 {
		and := &api.LifecycleRuleAndOperator{Prefix: p.Prefix}
		for _, t := range p.TagFilters {
			and.Tags = append(and.Tags, api.Tag{Key: t.Key, Value: t.Value})
		}
		r.Filter = &api.LifecycleRuleFilter{And: and}
	}
	if p.Days != nil || p.Date != nil || p.ExpiredObjectDeleteMarker != nil {
		r.Expiration = &api.LifecycleExpiration{Days: p.Days, ExpiredObjectDeleteMarker: p.ExpiredObjectDeleteMarker}
	}
	if p.Date != nil {
		at, err := time.Parse(time.RFC3339, *p.Date)
		if err != nil {
			return r, cloud.Errorf("InvalidRequest", "ExpirationDate %.64q is no date", *p.Date)
		}
		r.Expiration.Date = &at
	}
	switch {
	case p.Noncurrent != nil:
		r.NoncurrentVersionExpiration = &api.NoncurrentVersionExpiration{NoncurrentDays: &p.Noncurrent.Days, NewerNoncurrentVersions: p.Noncurrent.Newer}
	case p.NoncurrentDays != nil:
		r.NoncurrentVersionExpiration = &api.NoncurrentVersionExpiration{NoncurrentDays: p.NoncurrentDays}
	}
	if p.Abort != nil {
		r.AbortIncompleteMultipartUpload = &api.AbortIncompleteMultipartUpload{DaysAfterInitiation: &p.Abort.Days}
	}
	return r, nil
}

func (s *Service) configureLifecycle(ctx context.Context, bucket string, old, p *bucketProperties) error {
	if reflect.DeepEqual(old.LifecycleConfiguration, p.LifecycleConfiguration) {
		return nil
	}
	if p.LifecycleConfiguration == nil {
		_, err := s.client().DeleteBucketLifecycle(ctx, &api.DeleteBucketLifecycleInput{Bucket: bucket})
		return err
	}
	c := new(api.BucketLifecycleConfiguration)
	for i := range p.LifecycleConfiguration.Rules {
		r, err := p.LifecycleConfiguration.Rules[i].rule()
		if err != nil {
			return err
		}
		c.Rules = append(c.Rules, r)
	}
	_, err := s.client().PutBucketLifecycleConfiguration(ctx, &api.PutBucketLifecycleConfigurationInput{Bucket: bucket, LifecycleConfiguration: c})
	return err
}

type corsProperties struct {
	Rules []corsRuleProperties `cfn:"CorsRules,required"`
}

type corsRuleProperties struct {
	ID      *string  `cfn:"Id"`
	Headers []string `cfn:"AllowedHeaders"`
	Methods []string `cfn:"AllowedMethods,required"`
	Origins []string `cfn:"AllowedOrigins,required"`
	Exposed []string `cfn:"ExposedHeaders"`
	MaxAge  *int32   `cfn:"MaxAge"`
}

type ownershipProperties struct {
	Rules []struct {
		ObjectOwnership string `cfn:"ObjectOwnership,required"`
	} `cfn:"Rules,required"`
}

// configureAccess gives a bucket the CORS rules and the ownership controls of its properties.
func (s *Service) configureAccess(ctx context.Context, bucket string, old, p *bucketProperties) (err error) {
	switch {
	case reflect.DeepEqual(old.CorsConfiguration, p.CorsConfiguration):
	case p.CorsConfiguration == nil:
		_, err = s.client().DeleteBucketCors(ctx, &api.DeleteBucketCorsInput{Bucket: bucket})
	default:
		c := new(api.CORSConfiguration)
		for _, r := range p.CorsConfiguration.Rules {
			c.CORSRules = append(c.CORSRules, api.CORSRule{
				ID: r.ID, AllowedHeaders: r.Headers, AllowedMethods: r.Methods, AllowedOrigins: r.Origins, ExposeHeaders: r.Exposed, MaxAgeSeconds: r.MaxAge,
			})
		}
		_, err = s.client().PutBucketCors(ctx, &api.PutBucketCorsInput{Bucket: bucket, CORSConfiguration: c})
	}
	if err != nil || reflect.DeepEqual(old.OwnershipControls, p.OwnershipControls) {
		return err
	}
	if p.OwnershipControls == nil {
		_, err = s.client().DeleteBucketOwnershipControls(ctx, &api.DeleteBucketOwnershipControlsInput{Bucket: bucket})
		return err
	}
	c := &api.OwnershipControls{Rules: []api.OwnershipControlsRule{}}
	for _, r := range p.OwnershipControls.Rules {
		c.Rules = append(c.Rules, api.OwnershipControlsRule{ObjectOwnership: r.ObjectOwnership})
	}
	_, err = s.client().PutBucketOwnershipControls(ctx, &api.PutBucketOwnershipControlsInput{Bucket: bucket, OwnershipControls: c})
	return err
}
