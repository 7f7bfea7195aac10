package main

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

// Bounds of what is taken from a package of models.
const (
	maxWheel     = 64 << 20
	maxModelFile = 8 << 20
	// maxReason bounds what is shown of pip's last words.
	maxReason = 500
)

// pin is the version of botocore whose models are generated from, and the SHA-256 of its wheel.
type pin struct{ version, sum string }

// readPin reads a line "VERSION sha256:SUM".
func readPin(file string) (pin, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return pin{}, err
	}
	version, sum, ok := strings.Cut(strings.TrimSpace(string(text)), " sha256:")
	if !ok || len(sum) != 2*sha256.Size {
		return pin{}, fmt.Errorf("%s: want one line VERSION sha256:SUM", file)
	}
	return pin{version, sum}, nil
}

// models returns the folder of botocore's models in the pinned version, so that the generated code does not depend on the machine
// that generates it: the installed one when it is that version, and otherwise one that pip downloads into a cache, once. say is told
// about a download.
func models(ctx context.Context, versionFile string, say func(string)) (string, error) {
	want, err := readPin(versionFile)
	if err != nil {
		return "", err
	}
	if got, dir := installed(ctx); got == want.version {
		return dir, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return cached(ctx, filepath.Join(cache, "croft", "apigen"), want, say)
}

// installed returns the version of Python's botocore and the folder of its models; empty strings when there is none.
func installed(ctx context.Context) (version, dir string) {
	script := "import botocore, os; print(botocore.__version__); print(os.path.join(os.path.dirname(botocore.__file__), 'data'))"
	answer, err := exec.CommandContext(ctx, "python3", "-c", script).Output()
	if err != nil {
		return "", ""
	}
	version, dir, _ = strings.Cut(strings.TrimSpace(string(answer)), "\n")
	return version, dir
}

// cached returns the models of want below dir, and downloads them when they are not there. A folder of models appears by renaming, so
// that one that is there is whole.
func cached(ctx context.Context, dir string, want pin, say func(string)) (string, error) {
	data := filepath.Join(dir, "botocore-"+want.version+"-"+want.sum[:16])
	if _, err := os.Stat(data); err == nil {
		return data, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(dir, "new-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	say(fmt.Sprintf("botocore %s is not installed: pip downloads its models into %s", want.version, dir))
	pip := exec.CommandContext(ctx, "python3", "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
		"--no-deps", "--only-binary=:all:", "--dest", tmp, "botocore=="+want.version)
	if out, err := pip.CombinedOutput(); err != nil {
		return "", fmt.Errorf("the models of botocore %s cannot be downloaded: %w\n%s", want.version, err, out[max(0, len(out)-maxReason):])
	}
	wheel := filepath.Join(tmp, "botocore-"+want.version+"-py3-none-any.whl")
	if err := verify(wheel, want.sum); err != nil {
		return "", err
	}
	if err := unpack(wheel, filepath.Join(tmp, "data")); err != nil {
		return "", err
	}
	err = os.Rename(filepath.Join(tmp, "data"), data)
	if _, there := os.Stat(data); err != nil && there == nil {
		err = nil // another run was faster
	}
	return data, err
}

// verify reports a file whose SHA-256 is not sum.
func verify(file, sum string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(f, maxWheel)); err != nil {
		return err
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != sum {
		return fmt.Errorf("%s has the SHA-256 %s and not %s, which botocore.version names: it is not used", filepath.Base(file), got, sum)
	}
	return nil
}

// unpack writes the service models of a wheel below dir, SERVICE/VERSION/service-2.json.gz each.
func unpack(wheel, dir string) error {
	z, err := zip.OpenReader(wheel)
	if err != nil {
		return err
	}
	defer z.Close()
	models, err := fs.Glob(z, "botocore/data/*/*/service-2.json.gz")
	if err == nil && len(models) == 0 {
		err = errors.New("the wheel holds no service models")
	}
	for _, name := range models {
		if err == nil {
			err = extract(z, name, filepath.Join(dir, filepath.FromSlash(strings.TrimPrefix(name, "botocore/data/"))))
		}
	}
	return err
}

func extract(z fs.FS, name, to string) error {
	in, err := z.Open(path.Clean(name))
	if err != nil {
		return err
	}
	defer in.Close()
	body, err := io.ReadAll(io.LimitReader(in, maxModelFile+1))
	if err == nil && len(body) > maxModelFile {
		err = fmt.Errorf("%s is larger than a model may be", name)
	}
	if err == nil {
		err = os.MkdirAll(filepath.Dir(to), 0o755)
	}
	if err != nil {
		return err
	}
	return os.WriteFile(to, body, 0o644)
}
