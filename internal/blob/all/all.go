// Package all knows every kind of store for bodies and opens one by its location.
package all

import (
	"context"
	"fmt"
	"io"
	"strings"

	"croft/internal/blob"
	"croft/internal/blob/s3blob"
	"croft/internal/clock"
)

// Options are what every kind of store can be told.
type Options struct {
	// Clock gives the times of new bodies; the machine's when nil.
	Clock clock.Clock
	// Owner is the cloud that the bodies belong to; see blob.DirOptions.
	Owner string
	// NoSync leaves it to the operating system when bodies reach a local disk.
	NoSync bool
	// Spool is a local folder for what is on its way to a store elsewhere; the system's for temporary files when empty.
	Spool string
}

// Store is an open store. Close gives it up; bodies that are open stay so.
type Store interface {
	blob.Store
	io.Closer
}

// Open opens the store at a location: a folder, or s3://BUCKET/PREFIX with the options that package s3blob has. No location holds
// anything secret.
func Open(ctx context.Context, location string, o Options) (Store, error) {
	scheme, _, ok := strings.Cut(location, "://")
	switch {
	case !ok:
		d, err := blob.OpenDir(location, blob.DirOptions{Clock: o.Clock, NoSync: o.NoSync, Owner: o.Owner})
		if err != nil {
			return nil, err
		}
		return d, nil
	case scheme+"://" == s3blob.Scheme:
		s, err := s3blob.Open(ctx, location, s3blob.Options{Clock: o.Clock, Owner: o.Owner, Spool: o.Spool})
		if err != nil {
			return nil, err
		}
		return s, nil
	default:
		return nil, fmt.Errorf("there is no store for bodies of the kind %.40q: give a folder, or s3://BUCKET/PREFIX", scheme)
	}
}
