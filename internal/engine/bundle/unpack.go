package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"

	"croft/internal/cloud"
)

// Unpack writes the zip file in r into the empty folder dir, for anybody to read and nobody but the owner to write. After an error the
// folder's content is of no use. A fault of the zip file is a *cloud.Error with the code InvalidParameterValueException.
func Unpack(ctx context.Context, r io.ReaderAt, size int64, dir string) error {
	entries, _, err := open(r, size)
	if err != nil {
		return err
	}
	// A Root refuses, with the kernel's help, to follow anything out of the folder, whatever the checks above may have missed.
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	left := int64(MaxUnzipped)
	return writeAll(&unpacker{ctx: ctx, root: root, made: map[string]bool{".": true}, left: &left}, entries)
}

// writeAll writes the entries of one package.
func writeAll(u *unpacker, entries []entry) error {
	for _, e := range entries {
		if err := u.write(e); err != nil {
			return faultOf(e, err)
		}
	}
	// Links come last, so that nothing is written through one.
	for _, e := range entries {
		if e.kind != fs.ModeSymlink {
			continue
		}
		if err := u.link(e); err != nil {
			return faultOf(e, err)
		}
	}
	return u.root.Chmod(".", 0o755)
}

// faultOf blames the zip file for an error unless the machine or the caller is at fault.
func faultOf(e entry, err error) error {
	var known *cloud.Error
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &known), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.As(err, &path), errors.As(err, &link):
		if !errors.Is(err, fs.ErrExist) && !errors.Is(err, syscall.ENOTDIR) && !errors.Is(err, syscall.EISDIR) {
			return fmt.Errorf("unpack %.200q: %w", e.file.Name, err)
		}
	}
	return &cloud.Error{
		Code:    "InvalidParameterValueException",
		Message: fmt.Sprintf("Could not unzip uploaded file: the entry %.200q is damaged or conflicts with another", e.file.Name),
		Cause:   err,
	}
}

type unpacker struct {
	ctx  context.Context
	root *os.Root
	made map[string]bool
	left *int64
	// over says that the folder holds other packages already, and wrote what this one has put in their place.
	over  bool
	wrote map[string]bool
}

func (u *unpacker) write(e entry) error {
	if u.over && e.kind != fs.ModeSymlink {
		if err := u.clear(e); err != nil {
			return err
		}
	}
	switch e.kind {
	case fs.ModeDir:
		return u.mkdir(e.name)
	case fs.ModeSymlink:
		return nil
	}
	if err := u.mkdir(path.Dir(e.name)); err != nil {
		return err
	}
	in, err := e.file.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	// A name that comes twice is written twice, and the later wins, as with any unzip.
	out, err := u.root.OpenFile(e.name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	if _, err := io.Copy(budget{u, out}, in); err != nil {
		out.Close()
		return err
	}
	// Whatever the server's umask: the function runs as another user.
	mode := fs.FileMode(0o644)
	if e.file.Mode()&0o111 != 0 {
		mode = 0o755
	}
	if err := out.Chmod(mode); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}

// mkdir makes a folder and its parents.
func (u *unpacker) mkdir(name string) error {
	if u.made[name] {
		return nil
	}
	if err := u.mkdir(path.Dir(name)); err != nil {
		return err
	}
	if err := u.root.Mkdir(name, 0o755); err != nil {
		return err
	}
	u.made[name] = true
	return u.root.Chmod(name, 0o755)
}

func (u *unpacker) link(e entry) error {
	in, err := e.file.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	target, err := io.ReadAll(io.LimitReader(in, maxLink+1))
	if err != nil {
		return err
	}
	if err := checkLink(e.name, string(target)); err != nil {
		return err
	}
	if u.over {
		if err := u.clear(e); err != nil {
			return err
		}
	}
	if err := u.mkdir(path.Dir(e.name)); err != nil {
		return err
	}
	return u.root.Symlink(string(target), e.name)
}

// budget counts what is written, whatever the zip file's headers said.
type budget struct {
	u *unpacker
	w io.Writer
}

func (b budget) Write(p []byte) (int, error) {
	if err := b.u.ctx.Err(); err != nil {
		return 0, err
	}
	if *b.u.left -= int64(len(p)); *b.u.left < 0 {
		return 0, errTooLarge()
	}
	return b.w.Write(p)
}
