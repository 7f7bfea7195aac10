package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"time"
)

// page is how many entries of a folder are read at once.
const page = 1024

// List implements Store. For a body of a former version, the time is that of its file.
func (d *Dir) List(ctx context.Context, before time.Time) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		for n := range 256 {
			for e, err := range entries(ctx, filepath.Join(d.path, fmt.Sprintf("%02x", n))) {
				if err != nil {
					yield(Info{}, err)
					return
				}
				info, ok, err := d.info(e, before)
				if err != nil {
					yield(Info{}, err)
					return
				}
				if ok && !yield(info, nil) {
					return
				}
			}
		}
	}
}

// info returns what List says of an entry, and false when it says nothing.
func (d *Dir) info(e fs.DirEntry, before time.Time) (Info, bool, error) {
	created, ok := Created(e.Name())
	if !ok && !IsFormer(e.Name()) || ok && !created.Before(before) {
		return Info{}, false, nil
	}
	stat, err := e.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return Info{}, false, nil
	}
	if err != nil {
		return Info{}, false, fmt.Errorf("blob: %w", err)
	}
	if !ok {
		created = stat.ModTime()
	}
	return Info{ID: e.Name(), Size: stat.Size(), Created: created}, created.Before(before), nil
}

// entries yields what a folder holds, in pages. A folder that is not there holds nothing.
func entries(ctx context.Context, path string) iter.Seq2[fs.DirEntry, error] {
	return func(yield func(fs.DirEntry, error) bool) {
		f, err := os.Open(path)
		if errors.Is(err, os.ErrNotExist) {
			return
		}
		if err != nil {
			yield(nil, fmt.Errorf("blob: %w", err))
			return
		}
		defer f.Close()
		for {
			if ctx.Err() != nil {
				yield(nil, ctx.Err())
				return
			}
			list, err := f.ReadDir(page)
			for _, e := range list {
				if !yield(e, nil) {
					return
				}
			}
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(nil, fmt.Errorf("blob: %w", err))
				return
			}
		}
	}
}

// Tidy implements Store.
func (d *Dir) Tidy(ctx context.Context, before time.Time) (removed int, err error) {
	for e, err := range entries(ctx, d.temp()) {
		if err != nil {
			return removed, err
		}
		// What has no time is of a former version, none of which uses this folder now.
		if begun, ok := Created(e.Name()); ok && !begun.Before(before) {
			continue
		}
		if err := os.Remove(filepath.Join(d.temp(), e.Name())); err != nil && !errors.Is(err, os.ErrNotExist) {
			return removed, fmt.Errorf("blob: %w", err)
		}
		removed++
	}
	return removed, nil
}

// Clear implements Store.
func (d *Dir) Clear(ctx context.Context, before time.Time) error {
	for info, err := range d.List(ctx, before) {
		if err != nil {
			return err
		}
		if err := d.Delete(ctx, info.ID); err != nil {
			return err
		}
	}
	return nil
}
