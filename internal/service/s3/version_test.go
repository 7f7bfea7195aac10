package s3_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	api "croft/internal/awsapi/s3"
	"croft/internal/clock"
	"croft/internal/cloud"
	"croft/internal/service/servicetest"
	"croft/internal/wire"
)

// kept is one version as the model of TestVersionsAgainstAModel knows it.
type kept struct {
	id     string
	body   string
	marker bool
}

// history is the versions of each key, the newest first.
type history map[string][]kept

func (h history) dropNull(key string) {
	h[key] = slices.DeleteFunc(h[key], func(k kept) bool { return k.id == "null" })
}

func (h history) add(key string, k kept) { h[key] = append([]kept{k}, h[key]...) }

// list is what ListObjectVersions must say.
func (h history) list() (out []string) {
	for _, key := range slices.Sorted(maps.Keys(h)) {
		for i, k := range h[key] {
			out = append(out, fmt.Sprintf("%s %s %t %t", key, k.id, k.marker, i == 0))
		}
	}
	slices.Sort(out)
	return out
}

func listed(t *testing.T, e *servicetest.Env, c api.Client, limit int32) (out []string) {
	t.Helper()
	in := &api.ListObjectVersionsInput{Bucket: "versions", MaxKeys: &limit}
	for range 10_000 {
		page, err := c.ListObjectVersions(e.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range page.Versions {
			out = append(out, fmt.Sprintf("%s %s false %t", *v.Key, *v.VersionId, *v.IsLatest))
		}
		for _, v := range page.DeleteMarkers {
			out = append(out, fmt.Sprintf("%s %s true %t", *v.Key, *v.VersionId, *v.IsLatest))
		}
		if n := len(page.Versions) + len(page.DeleteMarkers); n > int(limit) {
			t.Fatalf("%d on a page of %d", n, limit)
		}
		if !*page.IsTruncated {
			slices.Sort(out)
			return out
		}
		in.KeyMarker, in.VersionIdMarker = page.NextKeyMarker, page.NextVersionIdMarker
	}
	t.Fatal("a listing without an end")
	return nil
}

// TestVersionsAgainstAModel does a few hundred random things to a bucket, and compares all that can be asked with a model.
func TestVersionsAgainstAModel(t *testing.T) {
	e := servicetest.New(t, descriptor)
	c := api.NewClient(e.Dispatcher)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := c.CreateBucket(e.Context(), &api.CreateBucketInput{Bucket: "versions"})
	must(err)
	random := clock.Random(7)
	keys := []string{"a", "a/b", "a/b\x00", "a\x00", "b"}
	model, status := history{}, ""
	for step := range 400 {
		key := keys[random.IntN(len(keys))]
		switch n := random.IntN(20); {
		case n == 0:
			status = []string{"Enabled", "Suspended"}[random.IntN(2)]
			_, err := c.PutBucketVersioning(e.Context(), &api.PutBucketVersioningInput{Bucket: "versions", VersioningConfiguration: &api.VersioningConfiguration{Status: &status}})
			must(err)
		case n < 9:
			body := strings.Repeat("x", step)
			out, err := c.PutObject(e.Context(), &api.PutObjectInput{Bucket: "versions", Key: key, Body: wire.NewStream(strings.NewReader(body), int64(step))})
			must(err)
			if status == "Enabled" {
				model.add(key, kept{*out.VersionId, body, false})
				break
			}
			model.dropNull(key)
			model.add(key, kept{"null", body, false})
		case n < 13:
			out, err := c.DeleteObject(e.Context(), &api.DeleteObjectInput{Bucket: "versions", Key: key})
			must(err)
			if status == "" || status == "Suspended" {
				model.dropNull(key)
			}
			if status != "" {
				model.add(key, kept{*out.VersionId, "", true})
			}
		case n < 16 && len(model[key]) > 0:
			i := random.IntN(len(model[key]))
			_, err := c.DeleteObject(e.Context(), &api.DeleteObjectInput{Bucket: "versions", Key: key, VersionId: &model[key][i].id})
			must(err)
			model[key] = slices.Delete(model[key], i, i+1)
		default:
			readBack(t, e, c, key, model[key])
		}
		if step%10 == 0 {
			if got, want := listed(t, e, c, 1+int32(random.IntN(5))), model.list(); !slices.Equal(got, want) {
				t.Fatalf("step %d:\n%s\nwant\n%s", step, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
	}
	for _, key := range keys {
		for _, k := range model[key] {
			_, err := c.DeleteObject(e.Context(), &api.DeleteObjectInput{Bucket: "versions", Key: key, VersionId: &k.id})
			must(err)
		}
	}
	_, err = c.DeleteBucket(e.Context(), &api.DeleteBucketInput{Bucket: "versions"})
	must(err)
}

// readBack compares the current object and every version of a key.
func readBack(t *testing.T, e *servicetest.Env, c api.Client, key string, want []kept) {
	t.Helper()
	out, err := c.GetObject(e.Context(), &api.GetObjectInput{Bucket: "versions", Key: key})
	if len(want) == 0 || want[0].marker {
		if cloud.Code(err) != "NoSuchKey" {
			t.Fatalf("%q: %v", key, err)
		}
	} else if err != nil || *out.ContentLength != int64(len(want[0].body)) {
		t.Fatalf("%q: %v", key, err)
	}
	for _, k := range want {
		out, err := c.GetObject(e.Context(), &api.GetObjectInput{Bucket: "versions", Key: key, VersionId: &k.id})
		switch {
		case k.marker && cloud.Code(err) != "MethodNotAllowed":
			t.Fatalf("%q %s: %v", key, k.id, err)
		case !k.marker && (err != nil || *out.ContentLength != int64(len(k.body))):
			t.Fatalf("%q %s: %v", key, k.id, err)
		}
	}
}
