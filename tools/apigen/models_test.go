package main

import (
	"archive/zip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPin(t *testing.T) {
	p, err := readPin("botocore.version")
	if err != nil || len(strings.Split(p.version, ".")) != 3 {
		t.Errorf("%+v, %v", p, err)
	}
	file := filepath.Join(t.TempDir(), "v")
	for _, text := range []string{"", "1.2.3", "1.2.3 sha256:abc"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if p, err := readPin(file); err == nil {
			t.Errorf("%q was taken for %+v", text, p)
		}
	}
}

func TestWheel(t *testing.T) {
	dir := t.TempDir()
	wheel := filepath.Join(dir, "w.whl")
	f, err := os.Create(wheel)
	if err != nil {
		t.Fatal(err)
	}
	z := zip.NewWriter(f)
	for name, body := range map[string]string{
		"botocore/data/sqs/2012-11-05/service-2.json.gz": "model", "botocore/data/sqs/2012-11-05/paginators-1.json": "other", "botocore/session.py": "code",
	} {
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write([]byte(body))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := verify(wheel, strings.Repeat("0", 64)); err == nil || !strings.Contains(err.Error(), "it is not used") {
		t.Errorf("another wheel than the pinned one: %v", err)
	}
	data := filepath.Join(dir, "data")
	if err := unpack(wheel, data); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(data, "sqs", "2012-11-05", "service-2.json.gz")); err != nil || string(b) != "model" {
		t.Errorf("%q, %v", b, err)
	}
	if others, err := filepath.Glob(filepath.Join(data, "*", "*", "paginators*")); err != nil || len(others) != 0 {
		t.Errorf("unpacked besides models: %v, %v", others, err)
	}
}

// TestCacheIsUsedOnce: what has been downloaded is not downloaded again.
func TestCacheIsUsedOnce(t *testing.T) {
	dir := t.TempDir()
	p := pin{"1.2.3", strings.Repeat("a", 64)}
	want := filepath.Join(dir, "botocore-1.2.3-aaaaaaaaaaaaaaaa")
	if err := os.Mkdir(want, 0o700); err != nil {
		t.Fatal(err)
	}
	got, err := cached(t.Context(), dir, p, func(line string) { t.Errorf("said %q", line) })
	if err != nil || got != want {
		t.Errorf("%q, %v", got, err)
	}
}
