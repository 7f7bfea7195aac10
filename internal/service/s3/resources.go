package s3

import (
	"context"
	"maps"
	"slices"
	"strings"

	api "croft/internal/awsapi/s3"
	"croft/internal/cfn"
	"croft/internal/cloud"
	"croft/internal/kv"
)

// bucketProperties are those of AWS::S3::Bucket that are here; the template engine refuses the others by name.
type bucketProperties struct {
	BucketName string    `cfn:"BucketName,replace"`
	Tags       []cfn.Tag `cfn:"Tags"`
}

func (s *Service) resources() []cfn.ResourceType {
	return []cfn.ResourceType{
		cfn.Resource("AWS::S3::Bucket", cfn.Spec[bucketProperties]{
			Create: s.createResource, Update: s.updateResource, Delete: s.deleteResource,
		}),
	}
}

func (s *Service) client() api.Client { return api.NewClient(s.deps.Caller) }

// resourceName makes a bucket's name of a generated one: in lower case, and short enough without losing its random end.
func resourceName(generated string) string {
	const longest, random = 63, 13
	name := strings.ToLower(generated)
	if len(name) > longest {
		name = strings.TrimRight(name[:longest-random], "-") + name[len(name)-random:]
	}
	return name
}

func resourceTags(r *cfn.Request, p *bucketProperties) (out []api.Tag) {
	m := cfn.TagMap(r.Tags, p.Tags)
	for _, key := range slices.Sorted(maps.Keys(m)) {
		out = append(out, api.Tag{Key: key, Value: m[key]})
	}
	return out
}

func (s *Service) createResource(ctx context.Context, r *cfn.Request, p *bucketProperties) (*cfn.Result, error) {
	name := p.BucketName
	if name == "" {
		name = resourceName(r.GeneratedName)
	}
	// In the first region CreateBucket succeeds for a bucket that is there; a stack must not take over what it did not make.
	_, err := s.client().HeadBucket(ctx, &api.HeadBucketInput{Bucket: name})
	if err == nil {
		return nil, cloud.Errorf("AlreadyExists", "%s already exists", name)
	}
	config := &api.CreateBucketConfiguration{Tags: resourceTags(r, p)}
	if region := cloud.CallOf(ctx).Region; region != firstRegion {
		config.LocationConstraint = &region
	}
	if _, err := s.client().CreateBucket(ctx, &api.CreateBucketInput{Bucket: name, CreateBucketConfiguration: config}); err != nil {
		return nil, err
	}
	return resourceResult(ctx, name), nil
}

func resourceResult(ctx context.Context, name string) *cfn.Result {
	region := cloud.CallOf(ctx).Region
	return &cfn.Result{PhysicalID: name, Attributes: map[string]any{
		"Arn": arn(name), "DomainName": name + ".s3.amazonaws.com", "RegionalDomainName": name + ".s3." + region + ".amazonaws.com",
		"DualStackDomainName": name + ".s3.dualstack." + region + ".amazonaws.com",
	}}
}

func (s *Service) updateResource(ctx context.Context, r *cfn.Request, _, p *bucketProperties) (*cfn.Result, error) {
	tags := resourceTags(r, p)
	if err := checkTags(tags); err != nil {
		return nil, err
	}
	err := s.space().Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		b, err := s.ownHere(ctx, tx, r.PhysicalID, nil)
		if err != nil {
			return err
		}
		b.Tags = tags
		return write(tx, r.PhysicalID, b)
	})
	if err != nil {
		return nil, err
	}
	return resourceResult(ctx, r.PhysicalID), nil
}

func (s *Service) deleteResource(ctx context.Context, r *cfn.Request, _ *bucketProperties) error {
	_, err := s.client().DeleteBucket(ctx, &api.DeleteBucketInput{Bucket: r.PhysicalID})
	if cloud.Code(err) == "NoSuchBucket" {
		return nil
	}
	return err
}
