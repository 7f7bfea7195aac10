package s3blob_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"syscall"
	"testing"
	"time"

	"croft/internal/blob"
	"croft/internal/blob/blobtest"
	"croft/internal/blob/s3blob"
	"croft/internal/clock"
	"croft/internal/cloud"
)

// startWithin bounds how long the server may take to come up.
const startWithin = time.Minute

// s3Server starts a server that speaks S3's protocol and has the bucket "bodies", and returns its address.
func s3Server(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("moto_server")
	if err != nil {
		t.Skip("NO moto_server HERE, NOTHING IS TESTED: install it with pip install 'moto[server]'")
	}
	cmd := exec.Command(path, "-H", "127.0.0.1", "-p", "0")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StderrPipe()
	must(t, err)
	must(t, cmd.Start())
	found, ended := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(ended)
		address := regexp.MustCompile(`Running on (http://127\.0\.0\.1:\d+)`)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if m := address.FindStringSubmatch(lines.Text()); m != nil {
				found <- m[1]
			}
		}
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-ended
		_ = cmd.Wait() // killed
	})
	ctx, cancel := clock.WithTimeout(t.Context(), clock.Real(), startWithin)
	defer cancel()
	select {
	case url := <-found:
		bucket(t, url, "bodies")
		return url
	case <-ended:
		t.Skip("moto_server DOES NOT START HERE, NOTHING IS TESTED: install it with pip install 'moto[server]'")
	case <-ctx.Done():
		t.Fatal("moto_server has not come up")
	}
	return ""
}

func bucket(t *testing.T, url, name string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url+"/"+name, nil)
	must(t, err)
	res, err := http.DefaultClient.Do(req)
	must(t, err)
	must(t, res.Body.Close())
	if res.StatusCode != http.StatusOK {
		t.Fatal(res.Status)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// credentials sets those that tests use, and hides the machine's.
func credentials(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "test")
	t.Setenv("AWS_SESSION_TOKEN", "")
	t.Setenv("AWS_REGION", "")
	t.Setenv("AWS_DEFAULT_REGION", "")
}

// location returns one of its own in the test's bucket.
func location(url string) string {
	return fmt.Sprintf("s3://bodies/%s?endpoint=%s&path-style=true", cloud.RandomString(12, cloud.LowerAlnum), url)
}

func open(t *testing.T, where string, c clock.Clock) *s3blob.Store {
	t.Helper()
	s, err := s3blob.Open(t.Context(), where, s3blob.Options{Clock: c, Spool: t.TempDir()})
	must(t, err)
	return s
}

func read(ctx context.Context, s blob.Store, id string) ([]byte, error) {
	body, _, err := s.Open(ctx, id)
	if err != nil {
		return nil, err
	}
	got, err := io.ReadAll(body)
	return got, errors.Join(err, body.Close())
}

func listed(t *testing.T, s blob.Store) (n int) {
	t.Helper()
	for _, err := range s.List(t.Context(), blobtest.Begin().Add(1000*time.Hour)) {
		must(t, err)
		n++
	}
	return n
}

func TestStore(t *testing.T) {
	credentials(t)
	url := s3Server(t)
	t.Run("suite", func(t *testing.T) {
		blobtest.Run(t, blobtest.Backend{Many: 1100, Memory: 16 << 20, New: func(t *testing.T) func(clock.Clock) blob.Store {
			where := location(url)
			return func(c clock.Clock) blob.Store { return open(t, where, c) }
		}})
	})
	for name, test := range map[string]func(*testing.T, string){
		"neighbours": neighbours, "owners": owners, "uploads": uploads, "refused locations": refusedAt, "away": away, "errors": serverErrors, "slow": slow,
		"cut while sending": cutSending, "cut while reading": cutReading, "damaged": damaged,
	} {
		t.Run(name, func(t *testing.T) { test(t, url) })
	}
}

// neighbours: what else lies in the bucket is none of the store's business.
func neighbours(t *testing.T, url string) {
	c := clock.NewManual(blobtest.Begin())
	bucket(t, url, "shared")
	inner := open(t, "s3://shared/a/b/?path-style=1&endpoint="+url, c)
	outer := open(t, "s3://shared?path-style=1&endpoint="+url, c)
	ref, err := inner.Put(t.Context(), readerOf(10), 10)
	must(t, err)
	if n := listed(t, outer); n != 0 {
		t.Errorf("%d bodies of others are listed", n)
	}
	if _, err := read(t.Context(), outer, ref.ID); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("a body of others: %v", err)
	}
	must(t, outer.Clear(t.Context(), blobtest.Begin().Add(time.Hour)))
	if n := listed(t, inner); n != 1 {
		t.Errorf("%d bodies are left", n)
	}
}

// refusedAt: a bucket that is not there is said at the start, with what to do.
func refusedAt(t *testing.T, url string) {
	_, err := s3blob.Open(t.Context(), "s3://nowhere?path-style=true&endpoint="+url, s3blob.Options{})
	contains(t, err, "there is no bucket nowhere")
}

// owners: the first cloud to use a place has it for itself, and its other nodes.
func owners(t *testing.T, url string) {
	where := location(url)
	as := func(owner string) error {
		_, err := s3blob.Open(t.Context(), where, s3blob.Options{Owner: owner})
		return err
	}
	must(t, as("one"))
	must(t, as("one"))
	if err := as("other"); !errors.Is(err, blob.ErrForeign) {
		t.Error(err)
	}
	s := open(t, where, clock.NewManual(blobtest.Begin()))
	must(t, s.Clear(t.Context(), blobtest.Begin().Add(1000*time.Hour)))
	if err := as("other"); !errors.Is(err, blob.ErrForeign) {
		t.Errorf("after Clear: %v", err)
	}
	must(t, s.Close())
}
