package blob

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"croft/internal/clock"
)

var begin = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func openAt(t *testing.T, path string, c clock.Clock) *Dir {
	t.Helper()
	d, err := OpenDir(path, DirOptions{Clock: c})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() }) // some tests close it themselves
	return d
}

// watched makes the store note each step that durability depends on, and fail at the one numbered fail, from 1.
func watched(d *Dir, fail int) *[]string {
	var steps []string
	step := func(name string, do func() error) error {
		if steps = append(steps, name); len(steps) == fail {
			return errors.New("fault")
		}
		return do()
	}
	inner := d.ops
	short := func(path string) string {
		name, err := filepath.Rel(d.path, path)
		switch {
		case err != nil || name == ".":
			return name
		case strings.HasPrefix(name, "tmp/"):
			return "temp"
		case strings.Contains(name, "/"):
			return "shard/body"
		}
		return "shard"
	}
	d.ops = ops{
		sync: func(f *os.File) error { return step("sync "+short(f.Name()), func() error { return inner.sync(f) }) },
		rename: func(a, b string) error {
			return step("rename "+short(a)+" "+short(b), func() error { return inner.rename(a, b) })
		},
		mkdir:   func(p string) error { return step("mkdir "+short(p), func() error { return inner.mkdir(p) }) },
		syncDir: func(p string) error { return step("sync "+short(p), func() error { return inner.syncDir(p) }) },
	}
	return &steps
}

func files(t *testing.T, d *Dir) (out []string) {
	t.Helper()
	err := filepath.WalkDir(d.path, func(p string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() && e.Name() != "lock" {
			out = append(out, p)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Content, then name, then the folders that the name is found by: each before Put returns.
func TestPutIsDurableInOrder(t *testing.T) {
	d := openAt(t, t.TempDir(), clock.NewManual(begin))
	steps := watched(d, 0)
	if _, err := d.Put(t.Context(), strings.NewReader("x"), 1); err != nil {
		t.Fatal(err)
	}
	if want := []string{"sync temp", "mkdir shard", "sync .", "rename temp shard/body", "sync shard"}; !slices.Equal(*steps, want) {
		t.Errorf("%q, want %q", *steps, want)
	}
	// A folder that another process has made is not yet durable for all this one knows.
	for n := range 256 {
		if err := mkdir(filepath.Join(d.path, fmt.Sprintf("%02x", n))); err != nil {
			t.Fatal(err)
		}
	}
	*steps = nil
	other := openAt(t, d.path, clock.NewManual(begin))
	steps = watched(other, 0)
	if _, err := other.Put(t.Context(), strings.NewReader("x"), 1); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(*steps, "sync .") {
		t.Errorf("%q", *steps)
	}
}

func TestFaultsLeaveNothing(t *testing.T) {
	for fail := 1; fail <= 5; fail++ {
		d := openAt(t, t.TempDir(), clock.NewManual(begin))
		steps := watched(d, fail)
		if _, err := d.Put(t.Context(), strings.NewReader("x"), 1); err == nil || !strings.Contains(err.Error(), "fault") {
			t.Fatalf("fault %d: %v after %q", fail, err, *steps)
		}
		if left := files(t, d); len(left) != 0 {
			t.Errorf("fault %d, at %q, left %q", fail, (*steps)[fail-1], left)
		}
		if _, err := d.Put(t.Context(), strings.NewReader("x"), 1); err != nil {
			t.Errorf("after fault %d: %v", fail, err)
		}
	}
}

// cut leaves what a Put leaves whose process is killed.
func cut(t *testing.T, d *Dir, at time.Time) string {
	t.Helper()
	path := filepath.Join(d.temp(), NewID(at))
	if err := os.WriteFile(path, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLeftovers(t *testing.T) {
	c := clock.NewManual(begin)
	d := openAt(t, t.TempDir(), c)
	left := cut(t, d, begin)
	second := openAt(t, d.path, c)
	if _, err := os.Stat(left); err != nil {
		t.Errorf("a second user took the first one's Put: %v", err)
	}
	if n, err := second.Tidy(t.Context(), begin); n != 0 || err != nil {
		t.Errorf("Tidy before its time: %d, %v", n, err)
	}
	if n, err := second.Tidy(t.Context(), begin.Add(time.Millisecond)); n != 1 || err != nil {
		t.Errorf("Tidy: %d, %v", n, err)
	}
	left = cut(t, d, begin)
	if err := errors.Join(d.Close(), second.Close()); err != nil {
		t.Fatal(err)
	}
	openAt(t, d.path, c)
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left behind though nobody else was there: %v", err)
	}
}

// A Put that is tidied away while it runs fails; it never gives a body that is not there.
func TestTidiedWhileItRuns(t *testing.T) {
	c := clock.NewManual(begin)
	d := openAt(t, t.TempDir(), c)
	r := io.MultiReader(strings.NewReader("x"), readFunc(func([]byte) (int, error) {
		if n, err := d.Tidy(t.Context(), begin.Add(time.Second)); n != 1 || err != nil {
			t.Errorf("Tidy: %d, %v", n, err)
		}
		return 0, io.EOF
	}))
	if ref, err := d.Put(t.Context(), r, 10); err == nil {
		t.Errorf("Put = %+v", ref)
	}
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// Folders of former versions hold bodies under the SHA-256 of their content.
func TestFormerBodies(t *testing.T) {
	c := clock.NewManual(clock.Real().Now().Add(time.Hour)) // the files' times are the machine's
	d := openAt(t, t.TempDir(), c)
	sum := sha256.Sum256([]byte("old"))
	sha := hex.EncodeToString(sum[:])
	path := filepath.Join(d.path, sha[:2], sha)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte("old"), 0o600)); err != nil {
		t.Fatal(err)
	}
	body, size, err := d.Open(t.Context(), sha)
	if err != nil || size != 3 {
		t.Fatalf("Open: %d, %v", size, err)
	}
	if err := body.Close(); err != nil {
		t.Error(err)
	}
	var listed []string
	for info, err := range d.List(t.Context(), c.Now()) {
		if err != nil {
			t.Fatal(err)
		}
		listed = append(listed, info.ID)
	}
	if !slices.Equal(listed, []string{sha}) || !IsFormer(sha) {
		t.Errorf("listed %q", listed)
	}
	if err := d.Clear(t.Context(), c.Now()); err != nil {
		t.Fatal(err)
	}
	if left := files(t, d); len(left) != 0 {
		t.Errorf("after Clear: %q", left)
	}
}

// The kernel can send a file to a socket by itself; what wraps it cannot.
func TestBodyIsAFile(t *testing.T) {
	d := openAt(t, t.TempDir(), clock.NewManual(begin))
	ref, err := d.Put(t.Context(), strings.NewReader("x"), 1)
	if err != nil {
		t.Fatal(err)
	}
	body, _, err := d.Open(t.Context(), ref.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := body.(*os.File); !ok {
		t.Errorf("a %T", body)
	}
	if err := body.Close(); err != nil {
		t.Error(err)
	}
}

func TestIDs(t *testing.T) {
	for _, at := range []time.Time{begin, time.Unix(0, 0), begin.Add(time.Millisecond), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)} {
		id := NewID(at)
		if got, ok := Created(id); !ok || !got.Equal(at) || len(id) != 44 || IsFormer(id) {
			t.Errorf("%v: %q is of %v, %v", at, id, got, ok)
		}
	}
	if !(IDPrefix(begin) < IDPrefix(begin.Add(time.Millisecond))) {
		t.Error("not ordered by time")
	}
	// Times that an id cannot have become the nearest that it can.
	for _, at := range []time.Time{time.Unix(-1, 0), time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC)} {
		if _, ok := Created(NewID(at)); !ok {
			t.Errorf("%v: %q", at, NewID(at))
		}
	}
	for _, bad := range []string{"", strings.Repeat("0", 43), strings.Repeat("0", 45), strings.Repeat("G", 44), "-" + strings.Repeat("0", 43)} {
		if _, ok := Created(bad); ok {
			t.Errorf("%q is taken for an id", bad)
		}
	}
}

func TestFolderThatCannotBe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenDir(path, DirOptions{}); err == nil {
		t.Error("a file was opened as a folder")
	}
}

func FuzzLimit(f *testing.F) {
	f.Add(5, int64(5), 2)
	f.Fuzz(func(t *testing.T, size int, limit int64, chunk int) {
		size, chunk = min(max(size, 0), 1<<16), min(max(chunk, 1), 1<<16)
		r := Limit(context.Background(), strings.NewReader(strings.Repeat("x", size)), limit)
		n, err := io.CopyBuffer(io.Discard, struct{ io.Reader }{r}, make([]byte, chunk))
		if tooLarge := int64(size) > limit; tooLarge != errors.Is(err, ErrTooLarge) || !tooLarge && (n != int64(size) || err != nil) {
			t.Errorf("%d bytes of %d through %d: %d, %v", size, limit, chunk, n, err)
		}
	})
}
