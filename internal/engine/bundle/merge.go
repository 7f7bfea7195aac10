package bundle

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
)

// MaxMerged bounds how many packages are merged into one folder. It is Lambda's quota of layers for a function.
const MaxMerged = 5

// Package is a zip file to be merged with others.
type Package struct {
	// SHA is the zip file's SHA-256 in hexadecimal.
	SHA  string
	Open Opener
}

// AcquireMerged returns a folder into which the packages are unpacked one after another: of two entries of one name the later package's
// stands. A list has one folder, kept and released as Acquire's. All packages together may have MaxUnzipped bytes.
func (s *Store) AcquireMerged(ctx context.Context, packages []Package) (dir string, release func(), err error) {
	if len(packages) == 0 || len(packages) > MaxMerged {
		return "", nil, fmt.Errorf("bundle: %d packages cannot be merged", len(packages))
	}
	// What the hash is of cannot be the content of a zip file, whose hash names a folder as well.
	list := sha256.New()
	list.Write([]byte("merged\n"))
	for _, p := range packages {
		if !isHash(p.SHA) {
			return "", nil, fmt.Errorf("bundle: %.80q is not a SHA-256 in hexadecimal", p.SHA)
		}
		list.Write([]byte(p.SHA + "\n"))
	}
	return s.acquire(ctx, hex.EncodeToString(list.Sum(nil)), func(ctx context.Context, dir string) error {
		return merge(ctx, packages, dir)
	})
}

func merge(ctx context.Context, packages []Package, dir string) error {
	left := int64(MaxUnzipped)
	for _, p := range packages {
		if err := mergeOne(ctx, p, dir, &left); err != nil {
			return err
		}
	}
	return nil
}

func mergeOne(ctx context.Context, p Package, dir string, left *int64) error {
	r, size, closer, err := p.Open(ctx)
	if err != nil {
		return err
	}
	defer closer.Close()
	entries, _, err := open(r, size)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return writeAll(&unpacker{ctx: ctx, root: root, made: map[string]bool{".": true}, left: left, over: true}, entries)
}

// clear makes way for e where an earlier package has put something else. What an earlier package put below a folder stays where e is a
// folder too; a link never stays above or in place of an entry, so that nothing is written through one.
func (u *unpacker) clear(e entry) error {
	if e.kind == fs.ModeDir {
		return u.clearFolder(e.name)
	}
	if err := u.clearFolder(path.Dir(e.name)); err != nil {
		return err
	}
	if u.wrote[e.name] {
		return nil // this package's own entry, written twice
	}
	if u.wrote == nil {
		u.wrote = map[string]bool{}
	}
	u.wrote[e.name] = true
	if u.made[e.name] {
		return nil // this package has a folder of that name: its own fault, which shows in the writing
	}
	return u.root.RemoveAll(e.name)
}

// clearFolder removes what stands in the place of a folder that is about to be made.
func (u *unpacker) clearFolder(name string) error {
	if name == "." || u.made[name] || u.wrote[name] {
		return nil
	}
	if err := u.clearFolder(path.Dir(name)); err != nil {
		return err
	}
	info, err := u.root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.IsDir():
		u.made[name] = true
		return nil
	}
	return u.root.Remove(name)
}
