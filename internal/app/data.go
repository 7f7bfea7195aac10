package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	bodies "croft/internal/blob/all"
	"croft/internal/blobref"
	"croft/internal/clock"
	"croft/internal/cloud"
	"croft/internal/control"
	"croft/internal/kv"
	"croft/internal/kv/all"
	"croft/internal/lease"
)

// dataFormat is the form in which services write their rows. It grows when an older croft could no longer read them.
const dataFormat = 1

// format is the row that says what form the data has.
type format struct {
	Format int `json:"format"`
	// Croft is the version that wrote the row.
	Croft string `json:"croft"`
}

func formatKey() []byte { return []byte("format") }

// openStore opens the store and finds out who else uses it.
func (a *App) openStore(ctx context.Context) (err error) {
	if a.opts.Store != "" && a.opts.Ephemeral {
		return errors.New("a cloud on a store of its own cannot be ephemeral as well: leave out --store (or CROFT_STORE), or --ephemeral")
	}
	location := a.opts.Store
	switch {
	case location != "" && !strings.Contains(location, "://"):
		return errors.New("--store (or CROFT_STORE) takes a database, postgres://USER:PASSWORD@HOST:PORT/DATABASE; a folder goes to --data")
	case location != "":
	case a.opts.Ephemeral:
		location = "memory:"
	default:
		location = "pebble:" + filepath.Join(a.dir, "store")
	}
	if a.store, err = a.opts.openStore(location, all.Options{Fsync: a.opts.Fsync, Version: a.opts.Version, Logger: a.opts.Log}); err != nil {
		return err
	}
	if !a.opts.Ephemeral {
		if a.lock, err = lockFolder(a.dir); err != nil {
			return err
		}
	}
	if err := a.checkFormat(ctx); err != nil {
		return err
	}
	if !kv.IsShared(a.store) {
		a.leases = lease.Local()
		return nil
	}
	if a.opts.Blobs == "" {
		return errors.New("several croft may share this store, and all of them must see the bodies of functions and objects: name a folder that " +
			"they share, or a bucket, with --blobs (or CROFT_BLOBS); for one croft alone, --blobs DIR with any folder will do")
	}
	// Leases run on the machine's time, whatever the cloud's is.
	a.nodes = lease.New(a.store, clock.Real(), lease.Node{
		ID: cloud.RandomString(12, cloud.LowerAlnum), Version: a.opts.Version, Address: a.URL(), Since: a.started.UTC(),
	}, a.opts.Log)
	a.leases = a.nodes
	return nil
}

// openBlobs opens the place for bodies. One that lies outside the data folder may be another cloud's, whose bodies this one would sweep away.
func (a *App) openBlobs(ctx context.Context) (err error) {
	o := bodies.Options{Clock: a.opts.Clock, Spool: filepath.Join(a.dir, "spool")}
	location := a.opts.Blobs
	if location == "" {
		location, o.NoSync = filepath.Join(a.dir, "blobs"), a.opts.Ephemeral
	} else if o.Owner, err = blobref.Owner(ctx, a.store); err != nil {
		return err
	}
	if err := os.MkdirAll(o.Spool, 0o700); err != nil {
		return err
	}
	a.blobs, err = bodies.Open(ctx, location, o)
	return err
}

// checkFormat refuses data that a newer croft has written in a form that this one does not know.
func (a *App) checkFormat(ctx context.Context) error {
	space := kv.NewSpace(a.store, "!croft")
	check := func(r kv.Reader) error {
		row, err := r.Get(formatKey())
		if err != nil {
			return err
		}
		var f format
		if err := json.Unmarshal(row, &f); err != nil {
			return fmt.Errorf("the data's format cannot be read: %w", err)
		}
		if f.Format > dataFormat {
			return fmt.Errorf("the data has format %d, written by croft %s; this is croft %s, which knows formats up to %d: use that version or a later one",
				f.Format, f.Croft, a.opts.Version, dataFormat)
		}
		return nil
	}
	err := space.View(ctx, func(_ context.Context, r kv.Reader) error { return check(r) })
	if !errors.Is(err, kv.ErrNotFound) {
		return err
	}
	return space.Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		err := check(tx)
		if errors.Is(err, kv.ErrNotFound) {
			return a.writeFormat(ctx)
		}
		return err
	})
}

func (a *App) writeFormat(ctx context.Context) error {
	row, err := json.Marshal(format{dataFormat, a.opts.Version})
	if err != nil {
		return fmt.Errorf("the data's format: %w", err)
	}
	return kv.NewSpace(a.store, "!croft").Update(ctx, func(_ context.Context, tx kv.Tx) error { return tx.Put(formatKey(), row) })
}

// empty removes every row in the transaction that ctx carries, but for what the nodes know of each other, and gives the cloud a new
// master key.
func (a *App) empty(ctx context.Context, tx kv.Tx) error {
	nodes := lease.Rows()
	if err := errors.Join(tx.DeleteRange(kv.Range{End: nodes.Start}), tx.DeleteRange(kv.Range{Start: nodes.End})); err != nil {
		return err
	}
	return errors.Join(a.writeFormat(ctx), a.keys.Renew(ctx))
}

// lockFolder keeps other nodes away from a node's own folder. The lock goes with the process.
func lockFolder(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "node.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		err = errors.Join(f.Close(), err)
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("the data folder %s is in use by another croft: give each node a folder of its own with --data DIR", dir)
		}
		return nil, fmt.Errorf("the data folder %s cannot be locked: %w", dir, err)
	}
	return f, nil
}

// storeName is the store's location without its secrets.
func storeName(location string) string {
	u, err := url.Parse(location)
	if err != nil || u.Scheme == "" {
		return "a database"
	}
	out := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	if name := u.User.Username(); name != "" {
		out.User = url.User(name)
	}
	return out.String()
}

// nodesReport lists the processes on the store; nil when there can be no other.
func (a *App) nodesReport(ctx context.Context) (out []control.Node, err error) {
	if a.nodes == nil {
		return nil, nil
	}
	nodes, err := a.nodes.Nodes(ctx)
	for _, n := range nodes {
		out = append(out, control.Node{
			ID: n.ID, Version: n.Version, Address: n.Address, Since: n.Since, Leases: n.Leases, Self: n.ID == a.nodes.ID(),
		})
	}
	return out, err
}
