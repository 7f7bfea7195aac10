package s3_test

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	api "croft/internal/awsapi/s3"
	"croft/internal/service/servicetest"
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
