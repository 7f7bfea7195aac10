package s3blob_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	miniocreds "github.com/minio/minio-go/v7/pkg/credentials"

	"croft/internal/blob"
	"croft/internal/blob/blobtest"
	"croft/internal/blob/s3blob"
	"croft/internal/clock"
)

func readerOf(n int) io.Reader { return bytes.NewReader(text(n)) }

func text(n int) []byte {
	return bytes.Repeat([]byte("0123456789abcdef\n"), n/17+1)[:n]
}

func contains(t *testing.T, err error, part string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), part) {
		t.Errorf("%v, want %q", err, part)
	}
}

// proxy stands between a store and its server. What fault returns true for is not passed on.
type proxy struct {
	*httptest.Server
	mu    sync.Mutex
	fault func(w http.ResponseWriter, r *http.Request, pass http.Handler) bool
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	target, err := url.Parse(to)
	must(t, err)
	pass := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host }}
	pass.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
	p := new(proxy)
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		fault := p.fault
		p.mu.Unlock()
		if fault == nil || !fault(w, r, pass) {
			pass.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *proxy) set(fault func(w http.ResponseWriter, r *http.Request, pass http.Handler) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = fault
}

// away: an endpoint that is not there is said at the start; one that goes away fails calls, which succeed again when it returns.
func away(t *testing.T, to string) {
	p := newProxy(t, to)
	where := location(p.URL)
	s := open(t, where, clock.NewManual(blobtest.Begin()))
	ref, err := s.Put(t.Context(), readerOf(10), 10)
	must(t, err)
	p.set(func(http.ResponseWriter, *http.Request, http.Handler) bool { panic(http.ErrAbortHandler) })
	if _, err := s.Put(t.Context(), readerOf(10), 10); !errors.Is(err, blob.ErrUnavailable) {
		t.Errorf("a Put into nothing: %v", err)
	}
	if _, err := read(t.Context(), s, ref.ID); !errors.Is(err, blob.ErrUnavailable) || errors.Is(err, blob.ErrNotFound) {
		t.Errorf("a body that cannot be asked for: %v", err)
	}
	if s.Delete(t.Context(), ref.ID) == nil || s.Clear(t.Context(), blobtest.Begin().Add(time.Hour)) == nil {
		t.Error("a deletion in nothing")
	}
	if _, err := s.Tidy(t.Context(), blobtest.Begin().Add(time.Hour)); err == nil {
		t.Error("tidied in nothing")
	}
	p.set(nil)
	if got, err := read(t.Context(), s, ref.ID); err != nil || len(got) != 10 {
		t.Errorf("after it returned: %d bytes, %v", len(got), err)
	}
	if n := listed(t, s); n != 1 {
		t.Errorf("%d bodies", n)
	}
	p.Close()
	_, err = s3blob.Open(t.Context(), where, s3blob.Options{})
	contains(t, err, "the bucket bodies for bodies cannot be reached at "+strings.TrimPrefix(p.URL, "http://"))
}

// serverErrors: a few are tried again, and not for ever.
func serverErrors(t *testing.T, to string) {
	p := newProxy(t, to)
	s := open(t, location(p.URL), clock.NewManual(blobtest.Begin()))
	var requests atomic.Int32
	failing := func(times int32) {
		requests.Store(0)
		p.set(func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
			if requests.Add(1) > times {
				return false
			}
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(http.StatusInternalServerError)
			return true
		})
	}
	failing(2)
	ref, err := s.Put(t.Context(), readerOf(300<<10), 1<<20)
	must(t, err)
	failing(2)
	if got, err := read(t.Context(), s, ref.ID); err != nil || len(got) != 300<<10 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	failing(1000)
	if _, err := s.Put(t.Context(), readerOf(10), 10); !errors.Is(err, blob.ErrUnavailable) {
		t.Errorf("a Put without success: %v", err)
	}
	if n := requests.Load(); n > 6 {
		t.Errorf("%d requests", n)
	}
}

// slow: a context ends the wait for an answer.
func slow(t *testing.T, to string) {
	p := newProxy(t, to)
	s := open(t, location(p.URL), clock.NewManual(blobtest.Begin()))
	ref, err := s.Put(t.Context(), readerOf(10), 10)
	must(t, err)
	arrived := make(chan struct{}, 10)
	p.set(func(_ http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		_, _ = io.Copy(io.Discard, r.Body)
		arrived <- struct{}{}
		<-r.Context().Done()
		return true
	})
	for name, call := range map[string]func(context.Context) error{
		"Put":    func(ctx context.Context) error { _, err := s.Put(ctx, readerOf(10), 10); return err },
		"parts":  func(ctx context.Context) error { _, err := s.Put(ctx, readerOf(40<<20), 1<<30); return err },
		"Open":   func(ctx context.Context) error { _, err := read(ctx, s, ref.ID); return err },
		"Delete": func(ctx context.Context) error { return s.Delete(ctx, ref.ID) },
		"Tidy":   func(ctx context.Context) error { _, err := s.Tidy(ctx, blobtest.Begin()); return err },
	} {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-arrived
			cancel()
		}()
		if err := call(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
	}
}

// cutting makes the proxy read half of the body of the requests that it is asked about and then break the connection.
func cutting(p *proxy, times int32, which func(*http.Request) bool) *atomic.Int32 {
	var cuts atomic.Int32
	p.set(func(_ http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if !which(r) || cuts.Add(1) > times {
			return false
		}
		_, _ = io.CopyN(io.Discard, r.Body, r.ContentLength/2)
		panic(http.ErrAbortHandler)
	})
	return &cuts
}

// cutSending: a Put whose connection breaks sends again; one that cannot leaves nothing.
func cutSending(t *testing.T, to string) {
	p := newProxy(t, to)
	s := open(t, location(p.URL), clock.NewManual(blobtest.Begin()))
	puts := func(r *http.Request) bool { return r.Method == http.MethodPut }
	for _, size := range []int{1 << 20, 40 << 20} {
		cuts := cutting(p, 2, puts)
		ref, err := s.Put(t.Context(), readerOf(size), 1<<30)
		must(t, err)
		if got, err := read(t.Context(), s, ref.ID); err != nil || !bytes.Equal(got, text(size)) || cuts.Load() < 2 {
			t.Errorf("%d bytes of %d, %v, after %d cuts", len(got), size, err, cuts.Load())
		}
		must(t, s.Delete(t.Context(), ref.ID))
		cutting(p, 1000, puts)
		if _, err := s.Put(t.Context(), readerOf(size), 1<<30); err == nil {
			t.Error("a Put that was always cut off")
		}
		p.set(nil)
		if n := listed(t, s); n != 0 {
			t.Errorf("%d bodies", n)
		}
		if n, err := s.Tidy(t.Context(), blobtest.Begin().Add(1000*time.Hour)); n != 0 || err != nil {
			t.Errorf("%d uploads are left, %v", n, err)
		}
	}
}

// half passes a request on and sends half of what comes back.
func half(w http.ResponseWriter, r *http.Request, pass http.Handler) {
	rec := httptest.NewRecorder()
	pass.ServeHTTP(rec, r)
	for name, values := range rec.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(rec.Code)
	_, _ = w.Write(rec.Body.Bytes()[:rec.Body.Len()/2])
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// cutReading: reading goes on where it was cut off, as long as there is progress to hope for.
func cutReading(t *testing.T, to string) {
	p := newProxy(t, to)
	s := open(t, location(p.URL), clock.NewManual(blobtest.Begin()))
	const size = 3 << 20
	ref, err := s.Put(t.Context(), readerOf(size), size)
	must(t, err)
	gets := atomic.Int32{}
	p.set(func(w http.ResponseWriter, r *http.Request, pass http.Handler) bool {
		if r.Method == http.MethodGet && gets.Add(1) <= 2 {
			half(w, r, pass)
		}
		return false
	})
	if got, err := read(t.Context(), s, ref.ID); err != nil || !bytes.Equal(got, text(size)) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	body, _, err := s.Open(t.Context(), ref.ID)
	must(t, err)
	defer body.Close()
	gets.Store(0)
	for _, n := range []int{100, 2 << 20} {
		part := make([]byte, n)
		if _, err := body.ReadAt(part, 1000); err != nil || !bytes.Equal(part, text(size)[1000:1000+n]) {
			t.Errorf("ReadAt of %d: %v", n, err)
		}
	}
	p.set(func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if r.Method != http.MethodGet {
			return false
		}
		w.Header().Set("Content-Length", "3145728")
		w.Header().Set("Last-Modified", "Mon, 02 Jan 2006 15:04:05 GMT")
		w.WriteHeader(http.StatusPartialContent)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	if _, err := read(t.Context(), s, ref.ID); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("always cut off: %v", err)
	}
}

// damaged: bytes that are not those that were put are never passed for them.
func damaged(t *testing.T, to string) {
	p := newProxy(t, to)
	s := open(t, location(p.URL), clock.NewManual(blobtest.Begin()))
	const size = 2 << 20
	ref, err := s.Put(t.Context(), readerOf(size), size)
	must(t, err)
	change := func(edit func([]byte) []byte) {
		p.set(func(w http.ResponseWriter, r *http.Request, pass http.Handler) bool {
			if r.Method != http.MethodGet {
				return false
			}
			rec := httptest.NewRecorder()
			pass.ServeHTTP(rec, r)
			w.Header().Set("Last-Modified", rec.Header().Get("Last-Modified"))
			w.WriteHeader(rec.Code)
			_, _ = w.Write(edit(rec.Body.Bytes()))
			return true
		})
	}
	change(func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
	if _, err := read(t.Context(), s, ref.ID); !errors.Is(err, blob.ErrDamaged) {
		t.Errorf("a bit is wrong: %v", err)
	}
	// Also those who know the size, and never ask for the end, are told.
	body, n, err := s.Open(t.Context(), ref.ID)
	must(t, err)
	if _, err := io.ReadFull(body, make([]byte, n)); !errors.Is(err, blob.ErrDamaged) {
		t.Errorf("a bit is wrong: %v", err)
	}
	must(t, body.Close())
	change(func(b []byte) []byte { return append(b, 0) })
	if _, err := read(t.Context(), s, ref.ID); !errors.Is(err, blob.ErrDamaged) {
		t.Errorf("too long: %v", err)
	}
}

// uploads: what a killed process leaves of an upload is aborted once it is old.
func uploads(t *testing.T, to string) {
	c := clock.NewManual(blobtest.Begin())
	bucket(t, to, "uploads")
	s := open(t, "s3://uploads/p?path-style=true&endpoint="+to, c)
	client, err := minio.NewCore(strings.TrimPrefix(to, "http://"), &minio.Options{
		Creds: miniocreds.NewStaticV4("test", "test", ""), Region: "us-east-1", BucketLookup: minio.BucketLookupPath,
	})
	must(t, err)
	for _, key := range []string{"p/" + blob.NewID(blobtest.Begin()), "p/" + blob.NewID(blobtest.Begin().Add(time.Hour)), "p/other", "q/" + blob.NewID(blobtest.Begin())} {
		id, err := client.NewMultipartUpload(t.Context(), "uploads", key, minio.PutObjectOptions{})
		must(t, err)
		_, err = client.PutObjectPart(t.Context(), "uploads", key, id, 1, readerOf(100), 100, minio.PutObjectPartOptions{})
		must(t, err)
	}
	for _, want := range []int{1, 0} {
		if n, err := s.Tidy(t.Context(), blobtest.Begin().Add(time.Second)); n != want || err != nil {
			t.Errorf("Tidy = %d, %v, want %d", n, err, want)
		}
	}
	left, err := client.ListMultipartUploads(t.Context(), "uploads", "", "", "", "", 100)
	if err != nil || len(left.Uploads) != 3 {
		t.Errorf("%d uploads are left, %v", len(left.Uploads), err)
	}
}

func TestLocations(t *testing.T) {
	credentials(t)
	for _, c := range []struct{ location, problem string }{
		{"s3://", "is not of the form"},
		{"s3:bucket", "is not of the form"},
		{"http://bucket", "is not of the form"},
		{"s3://bucket:80/", "is not of the form"},
		{"s3://b%zz/", "is not of the form"},
		{"s3://bucket?x=%zz", "is not of the form"},
		{"s3://bucket?colour=red", `"colour", which is not known`},
		{"s3://bucket?endpoint=minio:9000", "is not an address"},
		{"s3://bucket?endpoint=http://minio:9000/path", "is not an address"},
		{"s3://bucket?endpoint=http://u:hidden@minio:9000", "is not an address"},
		{"s3://bucket?path-style=perhaps", "neither true nor false"},
		{"s3://key:hidden@bucket/prefix", "holds credentials"},
	} {
		_, err := s3blob.Open(t.Context(), c.location, s3blob.Options{})
		contains(t, err, c.problem)
		if err != nil && strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s is told: %v", c.location, err)
		}
	}
}

func TestCredentialsAreNeeded(t *testing.T) {
	credentials(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", t.TempDir()+"/none")
	t.Setenv("AWS_CONFIG_FILE", t.TempDir()+"/none")
	metadata := httptest.NewServer(http.NotFoundHandler()) // what containers ask instead of the machine
	defer metadata.Close()
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", metadata.URL)
	_, err := s3blob.Open(t.Context(), "s3://bucket?endpoint=http://127.0.0.1:1", s3blob.Options{})
	contains(t, err, "set AWS_ACCESS_KEY_ID")
	file := t.TempDir() + "/credentials"
	must(t, os.WriteFile(file, []byte("[croft]\naws_access_key_id = a\naws_secret_access_key = b\n"), 0o600))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file)
	t.Setenv("AWS_PROFILE", "croft")
	_, err = s3blob.Open(t.Context(), "s3://bucket?endpoint=http://127.0.0.1:1", s3blob.Options{})
	contains(t, err, "cannot be reached at 127.0.0.1:1")
}
