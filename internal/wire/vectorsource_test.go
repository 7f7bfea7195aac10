package wire

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"

	"path/filepath"
	"strings"
	"testing"
	"time"

	"croft/internal/clock"
)

// The protocol test vectors are those that botocore tests itself with: Smithy's and older ones, as JSON. They are in its source archive,
// whose version and hash testdata/vectors.txt names, and not part of this repository. pip downloads the archive once, checks it
// against the hash, and what is needed of it is kept in the user's cache folder.
const (
	vectorsVariable = "CROFT_BOTOCORE_PROTOCOLS"
	vectorsInside   = "tests/unit/protocols/"
	maxVectorFile   = 4 << 20
	fetchWithin     = 5 * time.Minute
)

// vectorsFolder returns the folder that has the folders input and output.
func vectorsFolder(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv(vectorsVariable); dir != "" {
		return dir
	}
	pin, err := os.ReadFile(filepath.Join("testdata", "vectors.txt"))
	if err != nil {
		t.Fatal(err)
	}
	version, sum, ok := strings.Cut(strings.TrimSpace(strings.TrimPrefix(string(pin), "botocore==")), " --hash=sha256:")
	if models, err := os.ReadFile(filepath.Join("..", "..", "tools", "apigen", "botocore.version")); err != nil || !ok || !strings.HasPrefix(string(models), version+" ") {
		t.Fatalf("testdata/vectors.txt pins botocore %q, tools/apigen/botocore.version has %q (%v)", version, models, err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skipf("SKIPPED, not checked against the protocol test vectors: %v", err)
	}
	dir := filepath.Join(cache, "croft", "vectors-"+version+"-"+sum[:16])
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	if err := fetchVectors(t.Context(), dir); err != nil {
		t.Skipf("SKIPPED, not checked against the protocol test vectors: %v\nWithout a network, set %s to the folder %s of a botocore checkout.", err, vectorsVariable, vectorsInside)
	}
	return dir
}

// fetchVectors downloads the archive and makes dir of it. The folder appears by renaming, so that one that is there is whole.
func fetchVectors(ctx context.Context, dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	ctx, stop := clock.WithTimeout(ctx, clock.Real(), fetchWithin)
	defer stop()
	pip := exec.CommandContext(ctx, "python3", "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-binary=:all:",
		"--require-hashes", "--requirement", filepath.Join("testdata", "vectors.txt"), "--dest", tmp)
	if out, err := pip.CombinedOutput(); err != nil {
		return fmt.Errorf("botocore's source archive cannot be downloaded with pip: %w\n%.500s", err, out)
	}
	found, err := filepath.Glob(filepath.Join(tmp, "botocore-*.tar.gz"))
	if err != nil || len(found) != 1 {
		return fmt.Errorf("pip left %q, %v", found, err)
	}
	if err := unpackVectors(found[0], filepath.Join(tmp, "out")); err != nil {
		return err
	}
	err = os.Rename(filepath.Join(tmp, "out"), dir)
	if _, there := os.Stat(dir); err != nil && there == nil {
		err = nil // another run was faster
	}
	return err
}

func unpackVectors(archive, dir string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	files := 0
	for tr := tar.NewReader(z); ; {
		h, err := tr.Next()
		if err == io.EOF && files == 0 {
			return errors.New("the archive holds no vectors")
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		_, name, _ := strings.Cut(filepath.ToSlash(filepath.Clean(h.Name)), "/")
		name, inside := strings.CutPrefix(name, vectorsInside)
		direction, file := filepath.Split(name)
		if !inside || !strings.HasSuffix(file, ".json") || direction != "input/" && direction != "output/" {
			continue
		}
		body, err := io.ReadAll(io.LimitReader(tr, maxVectorFile))
		if err == nil {
			err = os.MkdirAll(filepath.Join(dir, direction), 0o755)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, direction, file), body, 0o644)
		}
		if err != nil {
			return err
		}
		files++
	}
}
