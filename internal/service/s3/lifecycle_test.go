package s3_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	api "croft/internal/awsapi/s3"
	"croft/internal/cfn"
	"croft/internal/cloud"
	"croft/internal/service/servicetest"
	"croft/internal/wire"
)

// aged is a cloud with a bucket whose objects age.
type aged struct {
	*servicetest.Env
	t  *testing.T
	s3 api.Client
}

func newAged(t *testing.T) *aged {
	e := servicetest.New(t, descriptor)
	a := &aged{e, t, api.NewClient(e.Dispatcher)}
	_, err := a.s3.CreateBucket(e.Context(), &api.CreateBucketInput{Bucket: "aging"})
	a.must(err)
	return a
}

func (a *aged) must(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

func (a *aged) rules(rules ...api.LifecycleRule) error {
	_, err := a.s3.PutBucketLifecycleConfiguration(a.Context(), &api.PutBucketLifecycleConfigurationInput{
		Bucket: "aging", LifecycleConfiguration: &api.BucketLifecycleConfiguration{Rules: rules},
	})
	return err
}

func (a *aged) put(key, tags string) {
	a.t.Helper()
	_, err := a.s3.PutObject(a.Context(), &api.PutObjectInput{Bucket: "aging", Key: key, Tagging: &tags, Body: wire.NewStream(strings.NewReader("body"), 4)})
	a.must(err)
}

// expect compares what ListObjectVersions says: a key for each version, with a star for a delete marker.
func (a *aged) expect(want ...string) {
	a.t.Helper()
	out, err := a.s3.ListObjectVersions(a.Context(), &api.ListObjectVersionsInput{Bucket: "aging"})
	a.must(err)
	var got []string
	for _, v := range out.Versions {
		got = append(got, *v.Key)
	}
	for _, v := range out.DeleteMarkers {
		got = append(got, *v.Key+"*")
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		a.t.Errorf("there are %q, want %q", got, want)
	}
}

func rule(prefix string, fill func(*api.LifecycleRule)) api.LifecycleRule {
	r := api.LifecycleRule{Status: api.ExpirationStatusEnabled, Filter: &api.LifecycleRuleFilter{Prefix: &prefix}}
	fill(&r)
	return r
}

func after(days int32) func(*api.LifecycleRule) {
	return func(r *api.LifecycleRule) { r.Expiration = &api.LifecycleExpiration{Days: &days} }
}

const oneDay = 24 * time.Hour

func TestObjectsExpireAtMidnight(t *testing.T) {
	a := newAged(t)
	a.must(a.rules(rule("old/", after(1))))
	for i := range 450 { // more than two pages
		a.put(fmt.Sprintf("old/%03d", i), "")
	}
	a.put("new/a", "")
	a.Advance(oneDay) // over the first midnight: not a day yet
	if out, err := a.s3.ListObjectsV2(a.Context(), &api.ListObjectsV2Input{Bucket: "aging"}); err != nil || *out.KeyCount != 451 {
		t.Errorf("%v %+v", err, out)
	}
	a.Advance(oneDay)
	a.expect("new/a")
}

func TestRulesChooseByTagAndSizeAndStatus(t *testing.T) {
	a := newAged(t)
	tag := rule("", after(1))
	tag.Filter = &api.LifecycleRuleFilter{And: &api.LifecycleRuleAndOperator{Tags: []api.Tag{{Key: "keep", Value: "no"}}, ObjectSizeLessThan: wire.Ptr(int64(5))}}
	off := rule("", after(1))
	off.Status = api.ExpirationStatusDisabled
	dated := rule("dated", func(r *api.LifecycleRule) {
		r.Expiration = &api.LifecycleExpiration{Date: wire.Ptr(time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC))}
	})
	a.must(a.rules(tag, off, dated))
	a.put("a", "keep=no")
	a.put("b", "keep=yes")
	a.put("dated", "")
	a.Advance(2 * oneDay)
	a.expect("b", "dated")
	a.Advance(oneDay)
	a.expect("b")
	_, err := a.s3.DeleteBucketLifecycle(a.Context(), &api.DeleteBucketLifecycleInput{Bucket: "aging"})
	a.must(err)
	a.put("dated", "")
	a.Advance(2 * oneDay)
	a.expect("b", "dated")
}

func TestVersionsMarkersAndUploadsExpire(t *testing.T) {
	a := newAged(t)
	status := api.BucketVersioningStatusEnabled
	_, err := a.s3.PutBucketVersioning(a.Context(), &api.PutBucketVersioningInput{Bucket: "aging", VersioningConfiguration: &api.VersioningConfiguration{Status: &status}})
	a.must(err)
	a.must(a.rules(
		rule("v", func(r *api.LifecycleRule) {
			r.NoncurrentVersionExpiration = &api.NoncurrentVersionExpiration{NoncurrentDays: wire.Ptr(int32(1)), NewerNoncurrentVersions: wire.Ptr(int32(1))}
		}),
		rule("x", after(1)),
		rule("x", func(r *api.LifecycleRule) {
			r.NoncurrentVersionExpiration = &api.NoncurrentVersionExpiration{NoncurrentDays: wire.Ptr(int32(1))}
			r.AbortIncompleteMultipartUpload = &api.AbortIncompleteMultipartUpload{DaysAfterInitiation: wire.Ptr(int32(1))}
		}),
	))
	for range 4 {
		a.put("v", "")
	}
	a.put("x", "")
	for _, key := range []string{"x", "y"} {
		_, err = a.s3.CreateMultipartUpload(a.Context(), &api.CreateMultipartUploadInput{Bucket: "aging", Key: key})
		a.must(err)
	}
	a.expect("v", "v", "v", "v", "x")
	a.Advance(2 * oneDay)
	a.expect("v", "v", "x", "x*")
	uploads, err := a.s3.ListMultipartUploads(a.Context(), &api.ListMultipartUploadsInput{Bucket: "aging"})
	if err != nil || len(uploads.Uploads) != 1 || *uploads.Uploads[0].Key != "y" {
		t.Errorf("%v %+v", err, uploads)
	}
	a.Advance(4 * oneDay) // the version,
	a.Advance(oneDay)     // then its marker
	a.expect("v", "v")
}

func moves(list ...api.Transition) func(*api.LifecycleRule) {
	return func(r *api.LifecycleRule) { r.Transitions = list }
}

// TestObjectsChangeTheirClass lets objects age into other storage classes, and looks at what answers say of the end that awaits them.
func TestObjectsChangeTheirClass(t *testing.T) {
	a := newAged(t)
	a.must(a.rules(
		rule("", moves(api.Transition{Days: wire.Ptr(int32(30)), StorageClass: wire.Ptr("STANDARD_IA")}, api.Transition{Days: wire.Ptr(int32(60)), StorageClass: wire.Ptr("GLACIER_IR")})),
		rule("large", after(90)), rule("large", after(100)),
	))
	body := strings.Repeat("x", 128<<10)
	out, err := a.s3.PutObject(a.Context(), &api.PutObjectInput{Bucket: "aging", Key: "large", Body: wire.NewStream(strings.NewReader(body), int64(len(body)))})
	a.must(err)
	ends := wire.Value(out.Expiration)
	if !strings.HasPrefix(ends, `expiry-date="`) || !strings.Contains(ends, ` 00:00:00 GMT", rule-id="`) {
		t.Errorf("%q", ends)
	}
	a.put("small", "")
	for _, want := range []string{"", "STANDARD_IA", "GLACIER_IR"} {
		for key, class := range map[string]string{"large": want, "small": ""} {
			head, err := a.s3.HeadObject(a.Context(), &api.HeadObjectInput{Bucket: "aging", Key: key})
			if err != nil || wire.Value(head.StorageClass) != class || (wire.Value(head.Expiration) == ends) != (key == "large") {
				t.Errorf("%s: %v %v %v, want %q", key, err, wire.Value(head.StorageClass), wire.Value(head.Expiration), class)
			}
		}
		a.Advance(31 * oneDay)
	}
	list, err := a.s3.ListObjectsV2(a.Context(), &api.ListObjectsV2Input{Bucket: "aging"})
	a.must(err)
	if len(list.Contents) != 1 || *list.Contents[0].StorageClass != "STANDARD" {
		t.Errorf("%+v", list.Contents)
	}
	_, err = a.s3.PutObject(a.Context(), &api.PutObjectInput{Bucket: "aging", Key: "k", StorageClass: wire.Ptr("OUTPOSTS")})
	if cloud.Code(err) != "InvalidStorageClass" {
		t.Error(err)
	}
}

func TestLifecyclesThatAreRefused(t *testing.T) {
	a := newAged(t)
	for _, c := range []struct {
		rule api.LifecycleRule
		want string
	}{
		{rule("", func(*api.LifecycleRule) {}), "InvalidRequest: At least one action needs to be specified in a rule."},
		{rule("", after(0)), "InvalidArgument: 'Days' for Expiration action must be a positive integer"},
		{rule("", func(r *api.LifecycleRule) { after(1)(r); r.Status = "On" }), "MalformedXML"},
		{rule("", func(r *api.LifecycleRule) { after(1)(r); r.Prefix = wire.Ptr("p") }), "MalformedXML"},
		{rule("", func(r *api.LifecycleRule) { after(1)(r); r.Filter.ObjectSizeLessThan = wire.Ptr(int64(1)) }), "MalformedXML"},
		{rule("", func(r *api.LifecycleRule) { r.Expiration = &api.LifecycleExpiration{Date: wire.Ptr(time.Unix(1, 0))} }), "InvalidArgument: 'Date' must be at midnight GMT"},
		{rule("", moves(api.Transition{})), "MalformedXML"},
		{rule("", moves(api.Transition{Days: wire.Ptr(int32(0)), StorageClass: wire.Ptr("GLACIER")})), "NotImplemented"},
		{rule("", moves(api.Transition{Days: wire.Ptr(int32(29)), StorageClass: wire.Ptr("STANDARD_IA")})), "InvalidArgument: 'Days' in Transition action must be greater than or equal to 30"},
		{rule("", func(r *api.LifecycleRule) { r.NoncurrentVersionTransitions = []api.NoncurrentVersionTransition{{}} }), "NotImplemented"},
	} {
		if err := a.rules(c.rule); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}

// TestTemplatesConfigureBuckets deploys what the bucket of CDK's bootstrap template has, and what sites need.
func TestTemplatesConfigureBuckets(t *testing.T) {
	a := newAged(t)
	p := map[string]any{"BucketName": "made",
		"LifecycleConfiguration": map[string]any{"Rules": []any{map[string]any{"Id": "CleanupOldVersions", "Status": "Enabled",
			"NoncurrentVersionExpiration": map[string]any{"NoncurrentDays": 30}, "AbortIncompleteMultipartUpload": map[string]any{"DaysAfterInitiation": 1}}}},
		"CorsConfiguration": map[string]any{"CorsRules": []any{map[string]any{"AllowedMethods": []any{"GET"}, "AllowedOrigins": []any{"*"}, "MaxAge": 5}}},
		"OwnershipControls": map[string]any{"Rules": []any{map[string]any{"ObjectOwnership": "BucketOwnerEnforced"}}}}
	bucket, r := a.Resource("AWS::S3::Bucket"), &cfn.Request{PhysicalID: "made"}
	a.must(a.Update(func(ctx context.Context) error { _, err := bucket.Create(ctx, r, p); return err }))
	life, err := a.s3.GetBucketLifecycleConfiguration(a.Context(), &api.GetBucketLifecycleConfigurationInput{Bucket: "made"})
	if err != nil || *life.Rules[0].ID != "CleanupOldVersions" || *life.Rules[0].NoncurrentVersionExpiration.NoncurrentDays != 30 {
		t.Errorf("%v %+v", err, life)
	}
	cors, err := a.s3.GetBucketCors(a.Context(), &api.GetBucketCorsInput{Bucket: "made"})
	if err != nil || *cors.CORSRules[0].MaxAgeSeconds != 5 {
		t.Errorf("%v %+v", err, cors)
	}
	a.must(a.Update(func(ctx context.Context) error {
		_, err := bucket.Update(ctx, r, p, map[string]any{"BucketName": "made"})
		return err
	}))
	if _, err := a.s3.GetBucketCors(a.Context(), &api.GetBucketCorsInput{Bucket: "made"}); cloud.Code(err) != "NoSuchCORSConfiguration" {
		t.Errorf("got %v", err)
	}
	if _, err := a.s3.GetBucketLifecycleConfiguration(a.Context(), &api.GetBucketLifecycleConfigurationInput{Bucket: "made"}); cloud.Code(err) != "NoSuchLifecycleConfiguration" {
		t.Errorf("got %v", err)
	}
}
