package s3_test

import (
	"bytes"
	"context"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	api "croft/internal/awsapi/s3"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/service"
	"croft/internal/service/servicetest"
	"croft/internal/wire"
)

const secret = "what nobody shall find where bodies lie. "

// lying returns all that lies in the blob store and in the rows of S3.
func lying(t *testing.T, e *servicetest.Env) []byte {
	t.Helper()
	var out bytes.Buffer
	for info, err := range e.Deps.Blobs.List(t.Context(), time.Unix(math.MaxInt32, 0)) {
		if err != nil {
			t.Fatal(err)
		}
		body, _, err := e.Deps.Blobs.Open(t.Context(), info.ID)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(&out, body); err != nil || body.Close() != nil {
			t.Fatal(err)
		}
	}
	err := e.Deps.Shared("s3").View(t.Context(), func(_ context.Context, r kv.Reader) error {
		for row, err := range r.Scan(kv.PrefixRange(nil), kv.ScanOptions{}) {
			if err != nil {
				return err
			}
			out.Write(row.Value)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

type sseWorld struct {
	*testing.T
	e *servicetest.Env
	c api.Client
}

func newSSEWorld(t *testing.T, plain bool) sseWorld {
	w := sseWorld{T: t}
	w.e = servicetest.New(t, func(d service.Deps) service.Descriptor { d.PlainObjects = plain; return descriptor(d) })
	w.c = api.NewClient(w.e.Dispatcher)
	for _, b := range []string{"one", "two"} {
		if _, err := w.c.CreateBucket(w.e.Context(), &api.CreateBucketInput{Bucket: b}); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func (w sseWorld) put(bucket, key, body string, asked *string) *string {
	w.Helper()
	out, err := w.c.PutObject(w.e.Context(), &api.PutObjectInput{Bucket: bucket, Key: key, ServerSideEncryption: asked, Body: wire.NewStream(strings.NewReader(body), int64(len(body)))})
	if err != nil {
		w.Fatal(err)
	}
	return out.ServerSideEncryption
}

// get reads a part of an object, and compares what is said of its encryption.
func (w sseWorld) get(bucket, key, rng, want string, encrypted bool) {
	w.Helper()
	in := &api.GetObjectInput{Bucket: bucket, Key: key}
	if rng != "" {
		in.Range = &rng
	}
	out, err := w.c.GetObject(w.e.Context(), in)
	if err != nil {
		w.Fatal(err)
	}
	got, err := io.ReadAll(out.Body)
	if err != nil || string(got) != want || (wire.Value(out.ServerSideEncryption) == "AES256") != encrypted || out.Body.Close() != nil {
		w.Errorf("%s/%s %s: %v %v, %d bytes, want %d", bucket, key, rng, err, wire.Value(out.ServerSideEncryption), len(got), len(want))
	}
}

func TestBodiesAreEncryptedWhereTheyLie(t *testing.T) {
	w := newSSEWorld(t, false)
	large := strings.Repeat(secret, 2000)
	for key, body := range map[string]string{"small": secret, "large": large, "empty": ""} {
		if got := w.put("one", key, body, nil); wire.Value(got) != "AES256" {
			t.Errorf("%s: %v", key, wire.Value(got))
		}
		w.get("one", key, "", body, true)
	}
	for _, r := range []struct{ from, to int }{{0, 0}, {15, 16}, {16, 31}, {17, 40000}, {40000, 81999}, {1, 1}} {
		rng := "bytes=" + strconv.Itoa(r.from) + "-" + strconv.Itoa(r.to)
		w.get("one", "large", rng, large[r.from:r.to+1], true)
		if r.to < len(secret) {
			w.get("one", "small", rng, secret[r.from:r.to+1], true)
		}
	}
	// Copies share bodies and open them with another bucket's key; the first bucket's may go.
	for _, key := range []string{"small", "large"} {
		out, err := w.c.CopyObject(w.e.Context(), &api.CopyObjectInput{Bucket: "two", Key: key, CopySource: "one/" + key})
		if err != nil || wire.Value(out.ServerSideEncryption) != "AES256" {
			t.Fatal(err)
		}
		if _, err := w.c.DeleteObject(w.e.Context(), &api.DeleteObjectInput{Bucket: "one", Key: key}); err != nil {
			t.Fatal(err)
		}
	}
	w.get("two", "large", "bytes=5-", large[5:], true)
	w.get("two", "small", "", secret, true)
	w.parts("two", large)
	if found := lying(t, w.e); bytes.Contains(found, []byte(secret[:20])) || len(found) < 3*len(large) {
		t.Errorf("among %d bytes there is one that nobody should find", len(found))
	}
}

// parts uploads an object in two parts, the second one copied, and reads over the seam.
func (w sseWorld) parts(bucket, body string) {
	w.Helper()
	ctx := w.e.Context()
	first := strings.Repeat(secret, (5<<20)/len(secret)+1)
	up, err := w.c.CreateMultipartUpload(ctx, &api.CreateMultipartUploadInput{Bucket: bucket, Key: "parts"})
	if err != nil || wire.Value(up.ServerSideEncryption) != "AES256" {
		w.Fatal(err)
	}
	one, err := w.c.UploadPart(ctx, &api.UploadPartInput{Bucket: bucket, Key: "parts", UploadId: *up.UploadId, PartNumber: 1, Body: wire.NewStream(strings.NewReader(first), int64(len(first)))})
	if err != nil || wire.Value(one.ServerSideEncryption) != "AES256" {
		w.Fatal(err)
	}
	two, err := w.c.UploadPartCopy(ctx, &api.UploadPartCopyInput{Bucket: bucket, Key: "parts", UploadId: *up.UploadId, PartNumber: 2, CopySource: bucket + "/large"})
	if err != nil {
		w.Fatal(err)
	}
	done := &api.CompletedMultipartUpload{Parts: []api.CompletedPart{{PartNumber: wire.Ptr(int32(1)), ETag: one.ETag}, {PartNumber: wire.Ptr(int32(2)), ETag: two.CopyPartResult.ETag}}}
	out, err := w.c.CompleteMultipartUpload(ctx, &api.CompleteMultipartUploadInput{Bucket: bucket, Key: "parts", UploadId: *up.UploadId, MultipartUpload: done})
	if err != nil || wire.Value(out.ServerSideEncryption) != "AES256" {
		w.Fatal(err)
	}
	w.get(bucket, "parts", "", first+body, true)
	seam := len(first)
	w.get(bucket, "parts", "bytes="+strconv.Itoa(seam-3)+"-"+strconv.Itoa(seam+2), (first + body)[seam-3:seam+3], true)
	w.e.In(cloud.DefaultAccount, "us-east-1")
	if _, err := w.c.CopyObject(ctx, &api.CopyObjectInput{Bucket: "one", Key: "parts", CopySource: bucket + "/parts"}); err != nil {
		w.Fatal(err)
	}
	w.get("one", "parts", "bytes="+strconv.Itoa(seam-3)+"-"+strconv.Itoa(seam+2), (first + body)[seam-3:seam+3], true)
}

// TestNothingIsClaimed checks that with the setting against encryption an answer says AES256 only of what was asked to be encrypted, and is.
func TestNothingIsClaimed(t *testing.T) {
	w := newSSEWorld(t, true)
	large, aes := strings.Repeat(secret, 2000), wire.Ptr("AES256")
	if got := w.put("one", "clear", large, nil); got != nil {
		t.Errorf("%v", *got)
	}
	w.get("one", "clear", "bytes=7-", large[7:], false)
	if !bytes.Contains(lying(t, w.e), []byte(secret)) {
		t.Error("what should lie in the clear is not found")
	}
	if _, err := w.c.GetBucketEncryption(w.e.Context(), &api.GetBucketEncryptionInput{Bucket: "two"}); cloud.Code(err) != "ServerSideEncryptionConfigurationNotFoundError" {
		t.Error(err)
	}
	rule := api.ServerSideEncryptionRule{ApplyServerSideEncryptionByDefault: &api.ServerSideEncryptionByDefault{SSEAlgorithm: "AES256"}}
	config := &api.ServerSideEncryptionConfiguration{Rules: []api.ServerSideEncryptionRule{rule}}
	if _, err := w.c.PutBucketEncryption(w.e.Context(), &api.PutBucketEncryptionInput{Bucket: "two", ServerSideEncryptionConfiguration: config}); err != nil {
		t.Fatal(err)
	}
	if w.put("two", "k", large, nil) == nil || w.put("one", "asked", large, aes) == nil {
		t.Error("not encrypted")
	}
	// A copy of what lies in the clear is encrypted where it goes to.
	for _, in := range []*api.CopyObjectInput{
		{Bucket: "two", Key: "copy", CopySource: "one/clear"}, {Bucket: "one", Key: "clear", CopySource: "one/clear", ServerSideEncryption: aes},
		{Bucket: "one", Key: "again", CopySource: "two/copy", ChecksumAlgorithm: wire.Ptr("SHA256")},
	} {
		if out, err := w.c.CopyObject(w.e.Context(), in); err != nil || out.ServerSideEncryption == nil {
			t.Fatalf("%v %+v", err, out)
		}
		w.get(in.Bucket, in.Key, "", large, true)
	}
	w.e.Advance(time.Hour)
	if bytes.Contains(lying(t, w.e), []byte(secret)) {
		t.Error("something still lies in the clear")
	}
}
