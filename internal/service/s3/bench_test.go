package s3_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"testing"

	api "croft/internal/awsapi/s3"
	"croft/internal/clock"
	"croft/internal/service"
	"croft/internal/service/servicetest"
	"croft/internal/sigv4"
	"croft/internal/wire"
)

// BenchmarkPutObject shows what a body costs on both sides of the size up to which it lies in the store.
func BenchmarkPutObject(b *testing.B) {
	for _, size := range []int{1 << 10, 16 << 10, 16<<10 + 1, 64 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			e := servicetest.New(b, descriptor)
			c, ctx := api.NewClient(e.Dispatcher), e.Context()
			if _, err := c.CreateBucket(ctx, &api.CreateBucketInput{Bucket: "bench"}); err != nil {
				b.Fatal(err)
			}
			body := bytes.Repeat([]byte("x"), size)
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for n := 0; b.Loop(); n++ {
				in := &api.PutObjectInput{Bucket: "bench", Key: fmt.Sprint(n % 1000), Body: wire.NewStream(bytes.NewReader(body), int64(size))}
				if _, err := c.PutObject(ctx, in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkGetObject reads what BenchmarkPutObject writes.
func BenchmarkGetObject(b *testing.B) {
	for _, size := range []int{1 << 10, 16 << 10, 16<<10 + 1} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			e := servicetest.New(b, descriptor)
			c, ctx := api.NewClient(e.Dispatcher), e.Context()
			if _, err := c.CreateBucket(ctx, &api.CreateBucketInput{Bucket: "bench"}); err != nil {
				b.Fatal(err)
			}
			body := bytes.Repeat([]byte("x"), size)
			if _, err := c.PutObject(ctx, &api.PutObjectInput{Bucket: "bench", Key: "k", Body: wire.NewStream(bytes.NewReader(body), int64(size))}); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				out, err := c.GetObject(ctx, &api.GetObjectInput{Bucket: "bench", Key: "k"})
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, out.Body); err != nil {
					b.Fatal(err)
				}
				if err := out.Body.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkLarge shows what encryption costs a large body: written, and read by a client over HTTP, which a body in the clear reaches without passing
// through the server's memory.
func BenchmarkLarge(b *testing.B) {
	const size = 8 << 20
	body := make([]byte, size)
	for _, plain := range []bool{false, true} {
		e := servicetest.New(b, func(d service.Deps) service.Descriptor {
			d.PlainObjects = plain
			return descriptor(d)
		})
		c, ctx := api.NewClient(e.Dispatcher), e.Context()
		if _, err := c.CreateBucket(ctx, &api.CreateBucketInput{Bucket: "bench"}); err != nil {
			b.Fatal(err)
		}
		put := func(b *testing.B) {
			if _, err := c.PutObject(ctx, &api.PutObjectInput{Bucket: "bench", Key: "k", Body: wire.NewStream(bytes.NewReader(body), size)}); err != nil {
				b.Fatal(err)
			}
		}
		b.Run(fmt.Sprintf("put/plain=%v", plain), func(b *testing.B) {
			b.SetBytes(size)
			for b.Loop() {
				put(b)
			}
		})
		ts := serve(b, e)
		b.Run(fmt.Sprintf("get/plain=%v", plain), func(b *testing.B) {
			put(b)
			r, err := http.NewRequestWithContext(b.Context(), "GET", ts.URL+"/bench/k", nil)
			if err != nil {
				b.Fatal(err)
			}
			sigv4.Sign(r, nil, sigv4.Credentials{AccessKey: "test", Secret: "test"}, "us-east-1", "s3", clock.Real().Now())
			b.SetBytes(size)
			for b.Loop() {
				resp, err := ts.Client().Do(r)
				if err != nil {
					b.Fatal(err)
				}
				if n, err := io.Copy(io.Discard, resp.Body); n != size || err != nil || resp.Body.Close() != nil {
					b.Fatal(n, err)
				}
			}
		})
	}
}
