package runtimes

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// writeTree puts tree where sandboxes can bind it, into a folder below parent whose name tells the content, so that another version of croft on the
// same data has its own. Empty folders come in addition: places over which something else is bound. It returns the folder.
func writeTree(parent, name string, tree fs.FS, empty ...string) (string, error) {
	sum := sha256.New()
	err := fs.WalkDir(tree, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(tree, path)
		fmt.Fprintf(sum, "%s %d\n%s", path, len(text), text)
		return err
	})
	if err != nil {
		return "", err
	}
	dir := filepath.Join(parent, name+"-"+hex.EncodeToString(sum.Sum(nil)[:8]))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(parent, "new-")
	if err != nil {
		return "", err
	}
	// Gone by then, unless something failed; what cannot be removed does no harm.
	defer func() { _ = os.RemoveAll(tmp) }()
	if err := os.CopyFS(tmp, tree); err != nil {
		return "", err
	}
	for _, name := range empty {
		if err := os.Mkdir(filepath.Join(tmp, name), 0o755); err != nil {
			return "", err
		}
	}
	// Whatever the server's umask: functions run as another user.
	if err := readable(tmp); err != nil {
		return "", err
	}
	if err := os.Rename(tmp, dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	return dir, nil
}
