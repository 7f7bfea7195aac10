package s3_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	api "croft/internal/awsapi/s3"
	"croft/internal/cfn"
	"croft/internal/cloud"
	"croft/internal/service"
	"croft/internal/service/s3"
	"croft/internal/service/servicetest"
	"croft/internal/wire"
)

func descriptor(d service.Deps) service.Descriptor { return s3.New(d).Descriptor() }

func TestScripts(t *testing.T) { servicetest.Run(t, "testdata/*.txtar", descriptor) }

// TestOneNameOneOwner lets accounts race for a name: one gets it, and is told so.
func TestOneNameOneOwner(t *testing.T) {
	e := servicetest.New(t, descriptor)
	c := api.NewClient(e.Dispatcher)
	accounts := []string{"111111111111", "222222222222", "333333333333", "444444444444"}
	won := make([]bool, len(accounts))
	contexts := make([]context.Context, len(accounts))
	for i, account := range accounts {
		e.In(account, "us-east-1")
		contexts[i] = e.Context()
	}
	var race sync.WaitGroup
	for i, ctx := range contexts {
		race.Go(func() {
			_, err := c.CreateBucket(ctx, &api.CreateBucketInput{Bucket: "wanted"})
			if won[i] = err == nil; err != nil && cloud.Code(err) != "BucketAlreadyExists" {
				t.Error(err)
			}
		})
	}
	race.Wait()
	winners := 0
	for i, ctx := range contexts {
		_, err := c.HeadBucket(ctx, &api.HeadBucketInput{Bucket: "wanted"})
		out, listErr := c.ListBuckets(ctx, &api.ListBucketsInput{})
		if listErr != nil || (err == nil) != won[i] || (len(out.Buckets) == 1) != won[i] {
			t.Errorf("account %d: won %v, %v, %v %+v", i, won[i], err, listErr, out)
		}
		if won[i] {
			winners++
		}
	}
	if winners != 1 {
		t.Errorf("%d winners", winners)
	}
}

func TestErrorsNameTheBucket(t *testing.T) {
	e := servicetest.New(t, descriptor)
	c := api.NewClient(e.Dispatcher)
	if _, err := c.CreateBucket(e.Context(), &api.CreateBucketInput{Bucket: "far", CreateBucketConfiguration: &api.CreateBucketConfiguration{LocationConstraint: wire.Ptr("eu-west-1")}}); err != nil {
		t.Fatal(err)
	}
	fields := func(_ any, err error) map[string]any {
		var refused *cloud.Error
		if !errors.As(err, &refused) {
			t.Fatalf("got %v", err)
		}
		return refused.Fields
	}
	if f := fields(c.HeadBucket(e.Context(), &api.HeadBucketInput{Bucket: "nobodys"})); f["BucketName"] != "nobodys" {
		t.Errorf("%v", f)
	}
	f := fields(c.DeleteBucket(e.Context(), &api.DeleteBucketInput{Bucket: "far"}))
	if f["Bucket"] != "far" || f["Endpoint"] != "far.s3.eu-west-1.localhost:4566" || f["x-amz-bucket-region"] != "eu-west-1" {
		t.Errorf("%v", f)
	}
	e.In("111122223333", "us-east-1")
	if f := fields(c.HeadBucket(e.Context(), &api.HeadBucketInput{Bucket: "far"})); f["x-amz-bucket-region"] != "eu-west-1" {
		t.Errorf("%v", f)
	}
}

func TestResource(t *testing.T) {
	e := servicetest.New(t, descriptor)
	c := api.NewClient(e.Dispatcher)
	e.In("000000000000", "eu-central-1")
	bucket := e.Resource("AWS::S3::Bucket")
	r := &cfn.Request{GeneratedName: "A-Stack-With-A-Long-Name-And-So-O-LogicalNameOfABucket-AbCdEfGh1234"}
	const name = "a-stack-with-a-long-name-and-so-o-logicalnameofabu-abcdefgh1234"
	create := func(properties map[string]any) func(ctx context.Context) error {
		return func(ctx context.Context) error {
			out, err := bucket.Create(ctx, r, properties)
			if err == nil {
				r.PhysicalID, r.Attributes = out.PhysicalID, out.Attributes
			}
			return err
		}
	}
	if err := e.Update(create(nil)); err != nil {
		t.Fatal(err)
	}
	if r.PhysicalID != name || r.Attributes["Arn"] != "arn:aws:s3:::"+name || r.Attributes["RegionalDomainName"] != name+".s3.eu-central-1.amazonaws.com" {
		t.Errorf("%+v", r)
	}
	if err := e.Update(create(nil)); cloud.Code(err) != "AlreadyExists" {
		t.Errorf("a stack takes over a bucket: %v", err)
	}
	tagged := map[string]any{"Tags": []any{map[string]any{"Key": "k", "Value": "v"}}}
	bad := map[string]any{"Tags": []any{map[string]any{"Key": "aws:k", "Value": "v"}}}
	update := func(to map[string]any) error {
		return e.Update(func(ctx context.Context) error { _, err := bucket.Update(ctx, r, nil, to); return err })
	}
	if err := update(tagged); err != nil {
		t.Error(err)
	}
	if err := update(bad); cloud.Code(err) != "InvalidTag" {
		t.Errorf("got %v", err)
	}
	if !bucket.Replaces(map[string]any{"BucketName": "a"}, map[string]any{"BucketName": "b"}) || bucket.Replaces(nil, tagged) {
		t.Error("a name replaces, a tag does not")
	}
	if err := bucket.Check(map[string]any{"WebsiteConfiguration": map[string]any{}}); err == nil || !strings.Contains(err.Error(), "WebsiteConfiguration") {
		t.Errorf("got %v", err)
	}
	for range 2 {
		if err := e.Update(func(ctx context.Context) error { return bucket.Delete(ctx, r, nil) }); err != nil {
			t.Error(err)
		}
	}
	if _, err := c.HeadBucket(e.Context(), &api.HeadBucketInput{Bucket: name}); cloud.Code(err) != "NoSuchBucket" {
		t.Errorf("got %v", err)
	}
}

func TestSettingsOfResources(t *testing.T) {
	e := servicetest.New(t, descriptor)
	c := api.NewClient(e.Dispatcher)
	r := &cfn.Request{PhysicalID: "settings"}
	aes := map[string]any{"BucketName": "settings", "BucketEncryption": map[string]any{"ServerSideEncryptionConfiguration": []any{map[string]any{
		"ServerSideEncryptionByDefault": map[string]any{"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": true}}}}
	open := map[string]any{"BucketName": "settings", "PublicAccessBlockConfiguration": map[string]any{"BlockPublicAcls": "true"}}
	kms := map[string]any{"BucketName": "settings", "BucketEncryption": map[string]any{"ServerSideEncryptionConfiguration": []any{map[string]any{
		"ServerSideEncryptionByDefault": map[string]any{"SSEAlgorithm": "aws:kms"}}}}}
	bucket, policy := e.Resource("AWS::S3::Bucket"), e.Resource("AWS::S3::BucketPolicy")
	do := func(fn func(ctx context.Context) error) error { return e.Update(fn) }
	create := func(p map[string]any) func(context.Context) error {
		return func(ctx context.Context) error { _, err := bucket.Create(ctx, r, p); return err }
	}
	if err := do(create(kms)); cloud.Code(err) != "NotImplemented" {
		t.Errorf("got %v", err)
	}
	if err := do(create(aes)); err != nil {
		t.Fatal(err)
	}
	enc, err := c.GetBucketEncryption(e.Context(), &api.GetBucketEncryptionInput{Bucket: "settings"})
	if err != nil || !*enc.ServerSideEncryptionConfiguration.Rules[0].BucketKeyEnabled {
		t.Errorf("%v %+v", err, enc)
	}
	if err := do(func(ctx context.Context) error { _, err := bucket.Update(ctx, r, aes, open); return err }); err != nil {
		t.Fatal(err)
	}
	enc, err = c.GetBucketEncryption(e.Context(), &api.GetBucketEncryptionInput{Bucket: "settings"})
	if err != nil || *enc.ServerSideEncryptionConfiguration.Rules[0].BucketKeyEnabled {
		t.Errorf("%v %+v", err, enc)
	}
	block, err := c.GetPublicAccessBlock(e.Context(), &api.GetPublicAccessBlockInput{Bucket: "settings"})
	if b := block.PublicAccessBlockConfiguration; err != nil || !*b.BlockPublicAcls || *b.BlockPublicPolicy {
		t.Errorf("%v %+v", err, block)
	}
	document := map[string]any{"Bucket": "settings", "PolicyDocument": map[string]any{"Statement": []any{map[string]any{
		"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::settings/*"}}}}
	if err := do(func(ctx context.Context) error { _, err := policy.Create(ctx, r, document); return err }); err != nil {
		t.Fatal(err)
	}
	if err := do(func(ctx context.Context) error { _, err := policy.Create(ctx, r, document); return err }); cloud.Code(err) != "AlreadyExists" {
		t.Errorf("got %v", err)
	}
	if out, err := c.GetBucketPolicy(e.Context(), &api.GetBucketPolicyInput{Bucket: "settings"}); err != nil || !strings.Contains(*out.Policy, `"Deny"`) {
		t.Errorf("%v %+v", err, out)
	}
	for range 2 {
		if err := do(func(ctx context.Context) error { return policy.Delete(ctx, r, document) }); err != nil {
			t.Error(err)
		}
	}
	if _, err := c.GetBucketPolicy(e.Context(), &api.GetBucketPolicyInput{Bucket: "settings"}); cloud.Code(err) != "NoSuchBucketPolicy" {
		t.Errorf("got %v", err)
	}
}
