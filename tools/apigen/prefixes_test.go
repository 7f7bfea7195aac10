package main

import (
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"croft/internal/server"
)

// TestHostPrefixes compares the server's list with all models: what SDKs may put before the endpoint's name.
func TestHostPrefixes(t *testing.T) {
	dir, err := models(t.Context(), "botocore.version", func(line string) { t.Log(line) })
	if err != nil {
		t.Skipf("SKIPPED, the host prefixes are not compared with the models: %v", err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*", "*", "service-2.json.gz"))
	if err != nil || len(files) < 100 {
		t.Fatal(len(files), err)
	}
	want := []string{"streaming-"} // of older models
	trait := regexp.MustCompile(`"hostPrefix":\s*"([^"{}]*-)"`)
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(file, err)
		}
		text, err := io.ReadAll(io.LimitReader(z, 64<<20))
		if err != nil || f.Close() != nil {
			t.Fatal(file, err)
		}
		for _, m := range trait.FindAllSubmatch(text, -1) {
			want = append(want, string(m[1]))
		}
	}
	slices.Sort(want)
	if got := server.HostPrefixes(); !slices.Equal(got, slices.Compact(want)) {
		t.Errorf("the server knows %s, the models have %s", strings.Join(got, " "), strings.Join(slices.Compact(want), " "))
	}
}
