package bundle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var fixed = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func sha(n int) string { return fmt.Sprintf("%064x", n) }

func opener(data []byte, opened *atomic.Int32) Opener {
	return func(context.Context) (io.ReaderAt, int64, io.Closer, error) {
		opened.Add(1)
		return bytes.NewReader(data), int64(len(data)), io.NopCloser(nil), nil
	}
}

func TestStoreUnpacksOnce(t *testing.T) {
	at := t.TempDir()
	s, err := NewStore(at)
	if err != nil {
		t.Fatal(err)
	}
	var opened atomic.Int32
	open := opener(zipOf(t, member{"app.py", "x", 0o644}), &opened)
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			dir, release, err := s.Acquire(context.Background(), sha(1), open)
			if err != nil {
				t.Error(err)
				return
			}
			defer release()
			if b, err := os.ReadFile(filepath.Join(dir, "app.py")); string(b) != "x" {
				t.Errorf("%q, %v", b, err)
			}
		})
	}
	group.Wait()
	again, err := NewStore(at)
	if err != nil {
		t.Fatal(err)
	}
	if _, release, err := again.Acquire(t.Context(), sha(1), open); err != nil {
		t.Error(err)
	} else {
		release()
		release() // the second call does nothing
	}
	if n := opened.Load(); n != 1 {
		t.Errorf("opened %d times", n)
	}
}

func TestStoreForgetsFailures(t *testing.T) {
	s, err := NewStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var opened atomic.Int32
	if _, _, err := s.Acquire(t.Context(), sha(1), opener([]byte("no zip"), &opened)); err == nil {
		t.Error("no error")
	}
	failing := func(context.Context) (io.ReaderAt, int64, io.Closer, error) {
		return nil, 0, nil, errors.New("no such code")
	}
	if _, _, err := s.Acquire(t.Context(), sha(1), failing); err == nil || err.Error() != "no such code" {
		t.Errorf("got %v", err)
	}
	if _, _, err := s.Acquire(t.Context(), sha(1), opener(zipOf(t), &opened)); err != nil {
		t.Error(err)
	}
	if entries, _ := os.ReadDir(s.dir); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
	if _, _, err := s.Acquire(t.Context(), "../"+sha(1), failing); err == nil || !strings.Contains(err.Error(), "SHA-256") {
		t.Errorf("a path as hash: %v", err)
	}
}

func TestStoreIsBounded(t *testing.T) {
	at := t.TempDir()
	if err := os.Mkdir(filepath.Join(at, "unpacking-1"), 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := NewStore(at)
	if err != nil {
		t.Fatal(err)
	}
	var opened atomic.Int32
	open := opener(zipOf(t), &opened)
	_, keep, err := s.Acquire(t.Context(), sha(0), open)
	if err != nil {
		t.Fatal(err)
	}
	for i := range maxKept + 5 {
		_, release, err := s.Acquire(t.Context(), sha(i+1), open)
		if err != nil {
			t.Fatal(err)
		}
		release()
	}
	entries, err := os.ReadDir(at)
	if err != nil || len(entries) != maxKept {
		t.Errorf("%d folders, %v", len(entries), err)
	}
	if _, err := os.Stat(filepath.Join(at, sha(0))); err != nil {
		t.Errorf("the one in use: %v", err)
	}
	keep()
}
