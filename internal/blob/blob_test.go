package blob

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func open(t *testing.T) (*Dir, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "blobs")
	d, err := OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	return d, path
}

func TestPutOpenDelete(t *testing.T) {
	d, _ := open(t)
	ctx := context.Background()
	ref, err := d.Put(ctx, strings.NewReader("hello"), 5)
	if err != nil || ref.Size != 5 {
		t.Fatalf("Put = %+v, %v", ref, err)
	}
	again, err := d.Put(ctx, strings.NewReader("hello"), 100)
	if err != nil || again != ref {
		t.Fatalf("the same content = %+v, %v, want %+v", again, err, ref)
	}
	b, size, err := d.Open(ctx, ref.SHA256)
	if err != nil || size != 5 {
		t.Fatalf("Open: %d, %v", size, err)
	}
	if err := d.Delete(ctx, ref.SHA256); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(b)
	if err != nil || string(got) != "hello" {
		t.Fatalf("an open body after Delete = %q, %v", got, err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.Open(ctx, ref.SHA256); !errors.Is(err, ErrNotFound) {
		t.Fatalf("after Delete: %v", err)
	}
}

func TestPutOverLimitLeavesNothing(t *testing.T) {
	d, path := open(t)
	if _, err := d.Put(context.Background(), strings.NewReader("hello!"), 5); !errors.Is(err, ErrTooLarge) {
		t.Fatalf("err = %v", err)
	}
	left, err := os.ReadDir(filepath.Join(path, "tmp"))
	if err != nil || len(left) != 0 {
		t.Fatalf("left behind: %v, %v", left, err)
	}
}

func TestOpenRefusesPaths(t *testing.T) {
	d, _ := open(t)
	for _, sha := range []string{"", "..", "../../etc/passwd", strings.Repeat("A", 64), strings.Repeat("a", 63) + "/"} {
		if _, _, err := d.Open(context.Background(), sha); !errors.Is(err, ErrNotFound) {
			t.Errorf("Open(%q): %v", sha, err)
		}
	}
}

func TestClear(t *testing.T) {
	d, _ := open(t)
	ctx := context.Background()
	ref, err := d.Put(ctx, strings.NewReader("x"), 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Clear(ctx); err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.Open(ctx, ref.SHA256); !errors.Is(err, ErrNotFound) {
		t.Fatalf("after Clear: %v", err)
	}
	if _, err := d.Put(ctx, strings.NewReader("x"), 1); err != nil {
		t.Fatal(err)
	}
}
