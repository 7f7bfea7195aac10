package blob_test

import (
	"testing"

	"croft/internal/blob"
	"croft/internal/blob/blobtest"
	"croft/internal/clock"
)

func TestDir(t *testing.T) {
	blobtest.Run(t, blobtest.Backend{DeletedStaysReadable: true, New: func(t *testing.T) func(clock.Clock) blob.Store {
		path := t.TempDir()
		return func(c clock.Clock) blob.Store {
			d, err := blob.OpenDir(path, blob.DirOptions{Clock: c})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := d.Close(); err != nil {
					t.Error(err)
				}
			})
			return d
		}
	}})
}
