package bundle

import (
	"archive/zip"
	"compress/flate"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// skipped are the names that never belong into a package.
func skipped(name string) bool {
	switch name {
	case ".git", "__pycache__", ".DS_Store":
		return true
	}
	return false
}

// Zip writes the folder dir to w as a deployment package. The same files give the same bytes, whenever and wherever they are packed:
// entries are sorted, times are left out, and modes are 0644 or 0755. Links inside the folder stay links; one that points outside is an
// error that names it.
func Zip(ctx context.Context, w io.Writer, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	z := zip.NewWriter(w)
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.BestSpeed) })
	p := &packer{ctx: ctx, root: root, zip: z, left: MaxUnzipped}
	if err := fs.WalkDir(root.FS(), ".", p.visit); err != nil {
		return fmt.Errorf("pack %s: %w", dir, err)
	}
	return z.Close()
}

type packer struct {
	ctx   context.Context
	root  *os.Root
	zip   *zip.Writer
	left  int64
	files int
}

func (p *packer) visit(name string, d fs.DirEntry, err error) error {
	if err != nil {
		return err
	}
	if err := p.ctx.Err(); err != nil {
		return err
	}
	if skipped(path.Base(name)) {
		if d.IsDir() {
			return fs.SkipDir
		}
		return nil
	}
	if d.IsDir() {
		return nil
	}
	if p.files++; p.files > MaxFiles {
		return invalid("The deployment package has more than %d files", MaxFiles)
	}
	switch d.Type() {
	case fs.ModeSymlink:
		return p.link(name)
	case 0:
		return p.file(name)
	}
	return fmt.Errorf("%s is neither file nor folder nor link", name)
}

func (p *packer) link(name string) error {
	target, err := p.root.Readlink(filepath.FromSlash(name))
	if err != nil {
		return err
	}
	if err := checkLink(name, target); err != nil {
		return err
	}
	return p.add(name, fs.ModeSymlink|0o777, zip.Store, func(w io.Writer) error {
		_, err := io.WriteString(w, target)
		return err
	})
}

func (p *packer) file(name string) error {
	f, err := p.root.Open(filepath.FromSlash(name))
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	mode := fs.FileMode(0o644)
	if info.Mode()&0o100 != 0 {
		mode = 0o755
	}
	return p.add(name, mode, zip.Deflate, func(w io.Writer) error {
		n, err := io.Copy(w, io.LimitReader(f, p.left+1))
		if p.left -= n; p.left < 0 {
			return errTooLarge()
		}
		return err
	})
}

func (p *packer) add(name string, mode fs.FileMode, method uint16, write func(io.Writer) error) error {
	h := &zip.FileHeader{Name: name, Method: method}
	h.SetMode(mode)
	w, err := p.zip.CreateHeader(h)
	if err != nil {
		return err
	}
	return write(w)
}
