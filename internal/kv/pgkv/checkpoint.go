package pgkv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"croft/internal/kv"
	"croft/internal/kv/pebblekv"
)

// exportBytes is about how much one transaction of an export writes.
const exportBytes = 4 << 20

// export writes the snapshot into an embedded store in dir, which must not exist. It is there as a whole or not at all.
func (r *reader) export(dir string) (err error) {
	if _, err := os.Lstat(dir); !errors.Is(err, os.ErrNotExist) {
		return errors.Join(&os.PathError{Op: "checkpoint", Path: dir, Err: os.ErrExist}, err)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return fmt.Errorf("pgkv: checkpoint: %w", err)
	}
	partial, err := os.MkdirTemp(filepath.Dir(dir), "."+filepath.Base(dir)+"-partial-")
	if err != nil {
		return fmt.Errorf("pgkv: checkpoint: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(partial))
		}
	}()
	last, err := r.lastNumber()
	if err != nil {
		return err
	}
	to, err := pebblekv.Open(pebblekv.Options{Dir: partial, NumbersAfter: last})
	if err != nil {
		return err
	}
	err = r.copyTo(to)
	if err = errors.Join(err, to.Close()); err != nil {
		return err
	}
	return os.Rename(partial, dir)
}

// lastNumber returns the highest number of any log's entries.
func (r *reader) lastNumber() (n uint64, err error) {
	err = r.query(call{st: &r.store.sql.number, row: func(values [][]byte) error {
		i, err := int64At(values, 0)
		n = uint64(i)
		return err
	}})
	return n, err
}

// copyTo writes all of the snapshot to store.
func (r *reader) copyTo(store kv.Store) error {
	var batch []kv.Entry
	size := 0
	flush := func() error {
		err := store.Update(context.WithoutCancel(r.ctx), func(_ context.Context, tx kv.Tx) error {
			for _, e := range batch {
				if err := tx.Put(e.Key, e.Value); err != nil {
					return err
				}
			}
			return nil
		})
		batch, size = batch[:0], 0
		return err
	}
	for e, err := range r.Scan(kv.Range{}, kv.ScanOptions{}) {
		if err != nil {
			return err
		}
		batch = append(batch, e)
		if size += len(e.Key) + len(e.Value); size >= exportBytes {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}
