package bundle

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"croft/internal/cloud"
)

type member struct {
	name, body string
	mode       fs.FileMode
}

func zipOf(t testing.TB, members ...member) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	for _, m := range members {
		h := &zip.FileHeader{Name: m.name, Method: zip.Deflate}
		h.SetMode(m.mode)
		w, err := z.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, m.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func unpack(t testing.TB, data []byte) (string, error) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "in")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir, Unpack(context.Background(), bytes.NewReader(data), int64(len(data)), dir)
}

func TestUnpack(t *testing.T) {
	dir, err := unpack(t, zipOf(t,
		member{"./app.py", "one", 0o600},
		member{"app.py", "two", 0o600},
		member{"bin/run", "x", 0o700},
		member{"setuid", "x", fs.ModeSetuid | 0o777},
		member{"folder/", "", fs.ModeDir | 0o700},
		member{"a/b/link", "../../app.py", fs.ModeSymlink | 0o777},
		member{"a/b/c", "x", 0},
		member{"a/b/same", "./c", fs.ModeSymlink | 0o777},
		member{`back\slash`, "x", 0o644},
	))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{
		".": 0o755, "app.py": 0o644, "bin": 0o755, "bin/run": 0o755, "setuid": 0o755, "folder": 0o755, "a/b/c": 0o644, `back\slash`: 0o644,
	} {
		info, err := os.Lstat(filepath.Join(dir, name))
		if err != nil || info.Mode()&^fs.ModeDir != want {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	for _, name := range []string{"app.py", "a/b/link"} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); string(b) != "two" {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
}

func TestHostile(t *testing.T) {
	deep := strings.Repeat("d/", maxDepth+1) + "f"
	for name, c := range map[string]struct {
		members []member
		want    string
	}{
		"parent":              {[]member{{"../x", "", 0o644}}, "outside"},
		"parent inside":       {[]member{{"a/../../x", "", 0o644}}, "outside"},
		"parent, harmless":    {[]member{{"a/../x", "", 0o644}}, "outside"},
		"absolute":            {[]member{{"/etc/x", "", 0o644}}, "outside"},
		"zero byte":           {[]member{{"a\x00b", "", 0o644}}, "outside"},
		"device":              {[]member{{"d", "", fs.ModeDevice | 0o666}}, "neither"},
		"pipe":                {[]member{{"d", "", fs.ModeNamedPipe | 0o666}}, "neither"},
		"absolute link":       {[]member{{"l", "/etc/passwd", fs.ModeSymlink}}, "points outside"},
		"link up":             {[]member{{"l", "..", fs.ModeSymlink}}, "points outside"},
		"link up, deep":       {[]member{{"a/l", "../../x", fs.ModeSymlink}}, "points outside"},
		"link up, hidden":     {[]member{{"a/l", "b/../../..", fs.ModeSymlink}}, "points outside"},
		"link up, two steps":  {[]member{{"a/b/l", "..", fs.ModeSymlink}, {"m", "a/b/l/../..", fs.ModeSymlink}}, "points outside"},
		"empty link":          {[]member{{"l", "", fs.ModeSymlink}}, "points outside"},
		"long link":           {[]member{{"l", strings.Repeat("x", maxLink+1), fs.ModeSymlink}}, "points outside"},
		"file below link":     {[]member{{"l", "x", fs.ModeSymlink}, {"l/f", "", 0o644}}, "conflicts"},
		"link over file":      {[]member{{"l", "x", 0o644}, {"l", "x", fs.ModeSymlink}}, "conflicts"},
		"file below file":     {[]member{{"f", "", 0o644}, {"f/g", "", 0o644}}, "conflicts"},
		"file over folder":    {[]member{{"f/g", "", 0o644}, {"f", "x", 0o644}}, "conflicts"},
		"deep":                {[]member{{deep, "", 0o644}}, "too long"},
		"link below link":     {[]member{{"l", "x", fs.ModeSymlink}, {"l/m", "x", fs.ModeSymlink}}, "conflicts"},
		"long name":           {[]member{{strings.Repeat("x", 5000), "", 0o644}}, "too long"},
		"folder over a file":  {[]member{{"f", "", 0o644}, {"f/", "", fs.ModeDir}}, "conflicts"},
		"folder below a file": {[]member{{"f", "", 0o644}, {"f/g/", "", fs.ModeDir}}, "conflicts"},
	} {
		dir, err := unpack(t, zipOf(t, c.members...))
		var known *cloud.Error
		if !errors.As(err, &known) || known.Code != "InvalidParameterValueException" || !strings.Contains(known.Message, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		inside(t, dir)
	}
}

// inside fails when anything was written beside dir.
func inside(t testing.TB, dir string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(dir))
	if err != nil || len(entries) != 1 {
		t.Errorf("beside the folder: %v, %v", entries, err)
	}
}

// TestSizeIsCounted makes a package that states small sizes and holds a large file.
func TestSizeIsCounted(t *testing.T) {
	var packed bytes.Buffer
	z := zip.NewWriter(&packed)
	w, err := z.Create("zeros")
	if err != nil {
		t.Fatal(err)
	}
	chunk := make([]byte, 1<<20)
	for range MaxUnzipped>>20 + 1 {
		if _, err := w.Write(chunk); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Check(bytes.NewReader(packed.Bytes()), int64(packed.Len())); err == nil || !strings.Contains(err.Error(), "262144000") {
		t.Errorf("Check: %v", err)
	}
	dir := t.TempDir()
	err = Unpack(t.Context(), bytes.NewReader(packed.Bytes()), int64(packed.Len()), dir)
	if err == nil || !strings.Contains(err.Error(), "262144000") {
		t.Errorf("Unpack: %v", err)
	}
	// The size in the header, made a lie.
	lying := bytes.Clone(packed.Bytes())
	at := bytes.LastIndex(lying, []byte("PK\x01\x02"))
	copy(lying[at+24:], []byte{1, 0, 0, 0})
	if err := Unpack(t.Context(), bytes.NewReader(lying), int64(len(lying)), t.TempDir()); err == nil {
		t.Error("a package with a false size was accepted")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	small := zipOf(t, member{"a", "x", 0o644})
	if err := Unpack(ctx, bytes.NewReader(small), int64(len(small)), t.TempDir()); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
}

func TestManyFiles(t *testing.T) {
	many := make([]member, MaxFiles+1)
	for i := range many {
		many[i].name = "f"
	}
	data := zipOf(t, many...)
	if _, err := Check(bytes.NewReader(data), int64(len(data))); err == nil || !strings.Contains(err.Error(), "100000 files") {
		t.Errorf("got %v", err)
	}
}

func TestNotAZip(t *testing.T) {
	for _, data := range []string{"", "x", "PK\x05\x06", strings.Repeat("PK\x01\x02", 1000)} {
		_, err := Check(strings.NewReader(data), int64(len(data)))
		if cloud.Code(err) != "InvalidParameterValueException" || !strings.Contains(err.Error(), "Could not unzip") {
			t.Errorf("%.10q: %v", data, err)
		}
	}
	if _, err := Check(strings.NewReader("x"), math.MaxInt64); err == nil {
		t.Error("a false size was accepted")
	}
}

func TestZip(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]fs.FileMode{
		"app.py": 0o600, "lib/run.sh": 0o755, ".git/config": 0o644, "lib/__pycache__/x.pyc": 0o644, ".DS_Store": 0o644, "z": 0o644,
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../app.py", filepath.Join(dir, "lib/link")); err != nil {
		t.Fatal(err)
	}
	var one, two bytes.Buffer
	if err := Zip(t.Context(), &one, dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(filepath.Join(dir, "app.py"), fixed, fixed); err != nil {
		t.Fatal(err)
	}
	if err := Zip(t.Context(), &two, dir+"/."); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(one.Bytes(), two.Bytes()) {
		t.Error("the same files gave different packages")
	}
	out, err := unpack(t, one.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	err = filepath.WalkDir(out, func(p string, d fs.DirEntry, err error) error {
		if !d.IsDir() {
			names = append(names, strings.TrimPrefix(p, out+"/"))
		}
		return err
	})
	if want := []string{"app.py", "lib/link", "lib/run.sh", "z"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("got %v, %v", names, err)
	}
	if b, err := os.ReadFile(filepath.Join(out, "lib/link")); string(b) != "app.py" {
		t.Errorf("through the link: %q, %v", b, err)
	}
}

func TestZipRefuses(t *testing.T) {
	for name, target := range map[string]string{"absolute": "/etc/passwd", "up": "../x"} {
		dir := t.TempDir()
		if err := os.Symlink(target, filepath.Join(dir, "link")); err != nil {
			t.Fatal(err)
		}
		err := Zip(t.Context(), io.Discard, dir)
		if err == nil || !strings.Contains(err.Error(), `"link"`) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := Zip(t.Context(), io.Discard, filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
}

// FuzzUnpack feeds damaged and hostile packages: nothing may panic, and nothing may appear outside the folder.
func FuzzUnpack(f *testing.F) {
	f.Add(zipOf(f, member{"a/b", "x", 0o644}, member{"a/l", "../c", fs.ModeSymlink}, member{"d/", "", fs.ModeDir}))
	f.Add(zipOf(f, member{"../x", "x", 0o644}))
	f.Add([]byte("PK\x05\x06"))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir, err := unpack(t, data)
		inside(t, dir)
		if _, checkErr := Check(bytes.NewReader(data), int64(len(data))); checkErr != nil && err == nil {
			t.Errorf("unpacked what Check refuses: %v", checkErr)
		}
		_ = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
			if err == nil && d.Type() == fs.ModeSymlink {
				if real, err := filepath.EvalSymlinks(p); err == nil && real != dir && !strings.HasPrefix(real, dir+"/") {
					t.Errorf("%s leads to %s", p, real)
				}
			}
			return nil
		})
	})
}
