package s3

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"strings"

	api "croft/internal/awsapi/s3"
	"croft/internal/cfn"
	"croft/internal/cloud"
)

// bucketProperties are those of AWS::S3::Bucket that are here; the template engine refuses the others by name.
type bucketProperties struct {
	BucketName                     string                `cfn:"BucketName,replace"`
	Tags                           []cfn.Tag             `cfn:"Tags"`
	BucketEncryption               *encryptionProperties `cfn:"BucketEncryption"`
	PublicAccessBlockConfiguration *accessProperties     `cfn:"PublicAccessBlockConfiguration"`
	VersioningConfiguration        *versioningProperties `cfn:"VersioningConfiguration"`
	NotificationConfiguration      *notifyProperties     `cfn:"NotificationConfiguration"`
	LifecycleConfiguration         *lifecycleProperties  `cfn:"LifecycleConfiguration"`
	CorsConfiguration              *corsProperties       `cfn:"CorsConfiguration"`
	OwnershipControls              *ownershipProperties  `cfn:"OwnershipControls"`
}

type encryptionProperties struct {
	Rules []encryptionRule `cfn:"ServerSideEncryptionConfiguration,required"`
}

type encryptionRule struct {
	Default *struct {
		Algorithm string `cfn:"SSEAlgorithm,required"`
	} `cfn:"ServerSideEncryptionByDefault"`
	BucketKeyEnabled *bool `cfn:"BucketKeyEnabled"`
}

type accessProperties struct {
	BlockPublicAcls       *bool `cfn:"BlockPublicAcls"`
	IgnorePublicAcls      *bool `cfn:"IgnorePublicAcls"`
	BlockPublicPolicy     *bool `cfn:"BlockPublicPolicy"`
	RestrictPublicBuckets *bool `cfn:"RestrictPublicBuckets"`
}

// policyProperties are those of AWS::S3::BucketPolicy.
type policyProperties struct {
	Bucket         string   `cfn:"Bucket,required,replace"`
	PolicyDocument cfn.JSON `cfn:"PolicyDocument,required"`
}

func (s *Service) resources() []cfn.ResourceType {
	return []cfn.ResourceType{
		cfn.Resource("AWS::S3::Bucket", cfn.Spec[bucketProperties]{
			Create: s.createResource, Update: s.updateResource, Delete: s.deleteResource,
		}),
		cfn.Resource("AWS::S3::BucketPolicy", cfn.Spec[policyProperties]{
			Create: s.createPolicy, Update: s.updatePolicy, Delete: s.deletePolicy,
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
	if err := s.configure(ctx, name, new(bucketProperties), p); err != nil {
		return nil, err
	}
	return resourceResult(ctx, name), nil
}

// configure gives a bucket the settings that differ between its old and its new properties.
func (s *Service) configure(ctx context.Context, name string, old, p *bucketProperties) (err error) {
	switch {
	case reflect.DeepEqual(p.BucketEncryption, old.BucketEncryption):
	case p.BucketEncryption == nil:
		_, err = s.client().DeleteBucketEncryption(ctx, &api.DeleteBucketEncryptionInput{Bucket: name})
	default:
		c := &api.ServerSideEncryptionConfiguration{Rules: []api.ServerSideEncryptionRule{}}
		for _, r := range p.BucketEncryption.Rules {
			rule := api.ServerSideEncryptionRule{BucketKeyEnabled: r.BucketKeyEnabled}
			if r.Default != nil {
				rule.ApplyServerSideEncryptionByDefault = &api.ServerSideEncryptionByDefault{SSEAlgorithm: r.Default.Algorithm}
			}
			c.Rules = append(c.Rules, rule)
		}
		_, err = s.client().PutBucketEncryption(ctx, &api.PutBucketEncryptionInput{Bucket: name, ServerSideEncryptionConfiguration: c})
	}
	if err != nil {
		return err
	}
	switch a := p.PublicAccessBlockConfiguration; {
	case reflect.DeepEqual(a, old.PublicAccessBlockConfiguration):
	case a == nil:
		_, err = s.client().DeletePublicAccessBlock(ctx, &api.DeletePublicAccessBlockInput{Bucket: name})
	default:
		_, err = s.client().PutPublicAccessBlock(ctx, &api.PutPublicAccessBlockInput{Bucket: name, PublicAccessBlockConfiguration: &api.PublicAccessBlockConfiguration{
			BlockPublicAcls: a.BlockPublicAcls, IgnorePublicAcls: a.IgnorePublicAcls, BlockPublicPolicy: a.BlockPublicPolicy, RestrictPublicBuckets: a.RestrictPublicBuckets,
		}})
	}
	if err != nil {
		return err
	}
	if err := s.configureVersions(ctx, name, old, p); err != nil {
		return err
	}
	if err := s.configureLifecycle(ctx, name, old, p); err != nil {
		return err
	}
	if err := s.configureAccess(ctx, name, old, p); err != nil {
		return err
	}
	return s.configureNotifications(ctx, name, old, p)
}

func resourceResult(ctx context.Context, name string) *cfn.Result {
	region := cloud.CallOf(ctx).Region
	return &cfn.Result{PhysicalID: name, Attributes: map[string]any{
		"Arn": arn(name), "DomainName": name + ".s3.amazonaws.com", "RegionalDomainName": name + ".s3." + region + ".amazonaws.com",
		"DualStackDomainName": name + ".s3.dualstack." + region + ".amazonaws.com",
	}}
}

func (s *Service) updateResource(ctx context.Context, r *cfn.Request, old, p *bucketProperties) (*cfn.Result, error) {
	tags := resourceTags(r, p)
	if err := checkTags(tags); err != nil {
		return nil, err
	}
	if err := s.retagBucket(ctx, r.PhysicalID, nil, tags); err != nil {
		return nil, err
	}
	if err := s.configure(ctx, r.PhysicalID, old, p); err != nil {
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

func (s *Service) createPolicy(ctx context.Context, _ *cfn.Request, p *policyProperties) (*cfn.Result, error) {
	_, err := s.client().GetBucketPolicy(ctx, &api.GetBucketPolicyInput{Bucket: p.Bucket})
	if err == nil {
		return nil, cloud.Errorf("AlreadyExists", "The bucket policy already exists on bucket %s.", p.Bucket)
	}
	if cloud.Code(err) != "NoSuchBucketPolicy" {
		return nil, err
	}
	return s.putPolicy(ctx, p)
}

func (s *Service) updatePolicy(ctx context.Context, _ *cfn.Request, _, p *policyProperties) (*cfn.Result, error) {
	return s.putPolicy(ctx, p)
}

func (s *Service) putPolicy(ctx context.Context, p *policyProperties) (*cfn.Result, error) {
	if _, err := s.client().PutBucketPolicy(ctx, &api.PutBucketPolicyInput{Bucket: p.Bucket, Policy: string(p.PolicyDocument)}); err != nil {
		return nil, err
	}
	return &cfn.Result{PhysicalID: p.Bucket}, nil
}

func (s *Service) deletePolicy(ctx context.Context, r *cfn.Request, _ *policyProperties) error {
	_, err := s.client().DeleteBucketPolicy(ctx, &api.DeleteBucketPolicyInput{Bucket: r.PhysicalID})
	if cloud.Code(err) == "NoSuchBucket" {
		return nil
	}
	return err
}
