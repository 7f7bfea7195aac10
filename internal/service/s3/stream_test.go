package s3_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	api "croft/internal/awsapi/s3"
	"croft/internal/blobref"
	"croft/internal/clock"
	"croft/internal/cloud"
	"croft/internal/service/servicetest"
	"croft/internal/sigv4"
	"croft/internal/wire"
)

// bodies returns how many bodies lie in the blob store.
func bodies(t *testing.T, e *servicetest.Env) (n int) {
	t.Helper()
	for _, err := range e.Deps.Blobs.List(t.Context(), clock.Real().Now().Add(time.Hour)) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// put makes a signed PUT request for a large object; sent is what really comes.
func put(t *testing.T, ts *httptest.Server, target string, signed, sent []byte) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, ts.URL+target, bytes.NewReader(sent))
	if err != nil {
		t.Fatal(err)
	}
	sigv4.Sign(r, signed, sigv4.Credentials{AccessKey: "test", Secret: "test"}, "us-east-1", "s3", clock.Real().Now())
	return r
}

func answer(t *testing.T, ts *httptest.Server, r *http.Request) (int, string) {
	t.Helper()
	resp, err := ts.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func newBucket(t *testing.T) (*servicetest.Env, *httptest.Server, api.Client) {
	t.Helper()
	e := servicetest.New(t, descriptor)
	c := api.NewClient(e.Dispatcher)
	if _, err := c.CreateBucket(e.Context(), &api.CreateBucketInput{Bucket: "things"}); err != nil {
		t.Fatal(err)
	}
	return e, serve(t, e), c
}

func TestWrongBodiesLeaveNothing(t *testing.T) {
	e, ts, c := newBucket(t)
	large := bytes.Repeat([]byte("0123456789abcdef"), 1<<14)
	other := bytes.Clone(large)
	other[len(other)-1] = 'x'
	chunked := func(r *http.Request) {
		r.Header.Set("X-Amz-Decoded-Content-Length", fmt.Sprint(len(large)))
		r.Header.Set("X-Amz-Content-Sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
		r.Header.Set("X-Amz-Trailer", "x-amz-checksum-crc32")
		resign(r)
	}
	frame := func(trailer string) []byte {
		return []byte(fmt.Sprintf("%x\r\n%s\r\n0\r\nx-amz-checksum-crc32:%s\r\n\r\n", len(large), large, trailer))
	}
	for name, c := range map[string]struct {
		signed, sent []byte
		change       func(*http.Request)
		want         string
	}{
		"another hash":     {large, other, func(*http.Request) {}, "XAmzContentSHA256Mismatch"},
		"another MD5":      {large, large, func(r *http.Request) { r.Header.Set("Content-MD5", "XUFAKrxLKna5cZ2REBfFkg=="); resign(r) }, "BadDigest"},
		"no MD5":           {large, large, func(r *http.Request) { r.Header.Set("Content-MD5", "XUFA"); resign(r) }, "InvalidDigest"},
		"another checksum": {large, large, func(r *http.Request) { r.Header.Set("X-Amz-Checksum-Crc32", "NhCmhg=="); resign(r) }, "BadDigest"},
		"unknown checksum": {large, large, func(r *http.Request) { r.Header.Set("X-Amz-Checksum-Xxhash3", "NhCmhg=="); resign(r) }, "NotImplemented"},
		"two checksums": {large, large, func(r *http.Request) {
			r.Header.Set("X-Amz-Checksum-Crc32", "NhCmhg==")
			r.Header.Set("X-Amz-Checksum-Crc32c", "NhCmhg==")
			resign(r)
		}, "InvalidRequest"},
		"another trailer":  {nil, frame("NhCmhg=="), chunked, "BadDigest"},
		"malformed value":  {nil, frame("?"), chunked, "InvalidRequest"},
		"a cut chunk":      {nil, frame("NhCmhg==")[:1000], chunked, "IncompleteBody"},
		"an unsigned hash": {large, large, func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD") }, "SignatureDoesNotMatch"},
	} {
		t.Run(name, func(t *testing.T) {
			r := put(t, ts, "/things/wrong", c.signed, c.sent)
			c.change(r)
			if status, text := answer(t, ts, r); status/100 == 2 || !strings.Contains(text, "<Code>"+c.want+"</Code>") {
				t.Errorf("%d %s", status, text)
			}
		})
	}
	if n := bodies(t, e); n != 0 {
		t.Errorf("%d bodies are left", n)
	}
	if out, err := c.ListObjectsV2(e.Context(), &api.ListObjectsV2Input{Bucket: "things"}); err != nil || len(out.Contents) != 0 {
		t.Errorf("%v %+v", err, out)
	}
}

// resign signs a request again whose headers have changed. Sign sets the hash of what it is given, so one that is declared is put back.
func resign(r *http.Request) {
	declared := r.Header.Get("X-Amz-Content-Sha256")
	for _, h := range []string{"Authorization", "X-Amz-Content-Sha256"} {
		r.Header.Del(h)
	}
	sigv4.SignHash(r, declared, sigv4.Credentials{AccessKey: "test", Secret: "test"}, "us-east-1", "s3", clock.Real().Now())
}

// TestConnectionCut: an upload whose connection ends in its middle, early or late, leaves neither an object nor a body, and the object that
// was there stays.
func TestConnectionCut(t *testing.T) {
	e, ts, c := newBucket(t)
	if _, err := c.PutObject(e.Context(), &api.PutObjectInput{Bucket: "things", Key: "k", Body: wire.NewStream(strings.NewReader("before"), 6)}); err != nil {
		t.Fatal(err)
	}
	large := bytes.Repeat([]byte("x"), 1<<20)
	for _, sent := range []int{0, 1, 20_000, 1<<20 - 1} {
		r := put(t, ts, "/things/k", large, large)
		var head bytes.Buffer
		r.Body = nil // the head alone
		r.ContentLength = 0
		fmt.Fprintf(&head, "PUT /things/k HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", r.Host, len(large))
		if err := r.Header.Write(&head); err != nil {
			t.Fatal(err)
		}
		head.WriteString("\r\n")
		conn, err := net.Dial("tcp", ts.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(append(head.Bytes(), large[:sent]...)); err != nil {
			t.Fatal(err)
		}
		// Half of the connection stays open, so that the answer shows when the server is done.
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode/100 == 2 {
			t.Errorf("%d bytes: %s", sent, resp.Status)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
	if n := bodies(t, e); n != 0 {
		t.Errorf("%d bodies are left", n)
	}
	out, err := c.GetObject(e.Context(), &api.GetObjectInput{Bucket: "things", Key: "k"})
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(out.Body); err != nil || string(text) != "before" {
		t.Errorf("%q %v", text, err)
	}
}

// TestBodiesAreCounted: what is overwritten, deleted, aborted or shared by copies leaves the blob store when the last who names it goes.
func TestBodiesAreCounted(t *testing.T) {
	e, _, c := newBucket(t)
	large := strings.Repeat("0123456789abcdef", 1<<11)
	body := func() *wire.Stream { return wire.NewStream(strings.NewReader(large), int64(len(large))) }
	ctx := e.Context()
	put := func(key string) {
		t.Helper()
		if _, err := c.PutObject(ctx, &api.PutObjectInput{Bucket: "things", Key: key, Body: body()}); err != nil {
			t.Fatal(err)
		}
	}
	count := func(want int, when string) {
		t.Helper()
		e.Advance(blobref.Linger + time.Second)
		if n := bodies(t, e); n != want {
			t.Errorf("%s: %d bodies, want %d", when, n, want)
		}
	}
	remove := func(key string) {
		t.Helper()
		if _, err := c.DeleteObject(ctx, &api.DeleteObjectInput{Bucket: "things", Key: key}); err != nil {
			t.Fatal(err)
		}
	}
	put("a")
	put("a")
	count(1, "overwritten")
	if _, err := c.CopyObject(ctx, &api.CopyObjectInput{Bucket: "things", Key: "b", CopySource: "things/a"}); err != nil {
		t.Fatal(err)
	}
	remove("a")
	count(1, "copied and deleted")
	remove("b")
	remove("b")
	count(0, "deleted")
	up, err := c.CreateMultipartUpload(ctx, &api.CreateMultipartUploadInput{Bucket: "things", Key: "m"})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int32{1, 1, 2} {
		if _, err := c.UploadPart(ctx, &api.UploadPartInput{Bucket: "things", Key: "m", UploadId: *up.UploadId, PartNumber: n, Body: body()}); err != nil {
			t.Fatal(err)
		}
	}
	count(2, "parts")
	parts, err := c.ListParts(ctx, &api.ListPartsInput{Bucket: "things", Key: "m", UploadId: *up.UploadId})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.CompleteMultipartUpload(ctx, &api.CompleteMultipartUploadInput{Bucket: "things", Key: "m", UploadId: *up.UploadId,
		MultipartUpload: &api.CompletedMultipartUpload{Parts: []api.CompletedPart{{PartNumber: parts.Parts[1].PartNumber, ETag: parts.Parts[1].ETag}}}})
	if err != nil {
		t.Fatal(err)
	}
	count(1, "completed with one of two")
	remove("m")
	count(0, "deleted")
	if _, err := c.PutObject(ctx, &api.PutObjectInput{Bucket: "none", Key: "k", Body: body()}); cloud.Code(err) != "NoSuchBucket" {
		t.Error(err)
	}
	count(0, "refused")
}
