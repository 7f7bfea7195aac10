package pebblekv

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// disk is the file system under Pebble. It does two things:
//
// It leaves the Sync of WAL files to the syncer, when lazy is set.
//
// It turns the first failure of anything that changes the store's folder into the end of the store. Pebble's own answers to
// such failures are to panic, to exit the process or to retry for ever, depending on the file. So Pebble never hears of them:
// from the failure on the disk is frozen, it does nothing and reports success, and it is the store that refuses to
// go on. To the files it is as if the process had been killed at that point.
type disk struct {
	vfs.FS
	dir    string
	lazy   bool
	frozen atomic.Bool
	onFail func(error)
	wake   chan struct{}

	mu   sync.Mutex
	wals map[*diskFile]struct{}
}

func newDisk(base vfs.FS, dir string, lazy bool, onFail func(error)) *disk {
	return &disk{
		FS: base, dir: dir, lazy: lazy, onFail: onFail,
		wake: make(chan struct{}, 1), wals: map[*diskFile]struct{}{},
	}
}

// fail freezes the disk. The store knows first: between the two a write still counts, the other way round one that was dropped could
// be acknowledged.
func (d *disk) fail(err error) {
	d.onFail(err)
	d.frozen.Store(true)
}

// do runs a change to the folder, unless the disk is frozen, and reports whether it was done.
func (d *disk) do(op, name string, change func() error) bool {
	if d.frozen.Load() {
		return false
	}
	if err := change(); err != nil {
		d.fail(fmt.Errorf("%s %s: %w", op, name, err))
		return false
	}
	return true
}

// ours reports whether name lies in the store's folder. Checkpoints write elsewhere, and their errors are their own.
func (d *disk) ours(name string) bool { return d.FS.PathDir(name) == d.dir }

// Unwrap implements vfs.FS.
func (d *disk) Unwrap() vfs.FS { return d.FS }

// Create implements vfs.FS.
func (d *disk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return d.open("create", name, func() (vfs.File, error) { return d.FS.Create(name, c) })
}

// OpenReadWrite implements vfs.FS.
func (d *disk) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return d.open("open", name, func() (vfs.File, error) { return d.FS.OpenReadWrite(name, c, opts...) })
}

// ReuseForWrite implements vfs.FS.
func (d *disk) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return d.open("reuse", newname, func() (vfs.File, error) { return d.FS.ReuseForWrite(oldname, newname, c) })
}

func (d *disk) open(op, name string, open func() (vfs.File, error)) (vfs.File, error) {
	if !d.ours(name) {
		return open()
	}
	var f vfs.File
	if !d.do(op, name, func() (err error) { f, err = open(); return err }) {
		f = vfs.NewMemFile(nil)
	}
	return &diskFile{File: f, disk: d, name: name, lazy: d.lazy && strings.HasSuffix(name, ".log")}, nil
}

// OpenDir implements vfs.FS.
func (d *disk) OpenDir(name string) (vfs.File, error) {
	f, err := d.FS.OpenDir(name)
	if err != nil || name != d.dir {
		return f, err
	}
	return &diskFile{File: f, disk: d, name: name}, nil
}

// Link implements vfs.FS.
func (d *disk) Link(oldname, newname string) error {
	if !d.ours(newname) {
		return d.FS.Link(oldname, newname)
	}
	d.do("link", newname, func() error { return d.FS.Link(oldname, newname) })
	return nil
}

// Rename implements vfs.FS.
func (d *disk) Rename(oldname, newname string) error {
	if !d.ours(newname) {
		return d.FS.Rename(oldname, newname)
	}
	d.do("rename", newname, func() error { return d.FS.Rename(oldname, newname) })
	return nil
}

// Remove implements vfs.FS. A file that cannot be removed costs space and nothing else.
func (d *disk) Remove(name string) error {
	if d.frozen.Load() && d.ours(name) {
		return nil
	}
	return d.FS.Remove(name)
}

// RemoveAll implements vfs.FS.
func (d *disk) RemoveAll(name string) error {
	if d.frozen.Load() && (name == d.dir || d.ours(name)) {
		return nil
	}
	return d.FS.RemoveAll(name)
}

// syncWALs makes what has been written to WAL files durable.
func (d *disk) syncWALs() {
	d.mu.Lock()
	files := make([]*diskFile, 0, len(d.wals))
	for f := range d.wals {
		files = append(files, f)
	}
	d.mu.Unlock()
	for _, f := range files {
		f.settle()
	}
}

// diskFile is a file of the store's folder, open for writing, or the folder itself.
type diskFile struct {
	vfs.File
	disk *disk
	name string
	// lazy marks a WAL file whose Sync is left to the syncer.
	lazy bool
	// dirty is set while a lazy file has data that no sync has covered.
	dirty atomic.Bool

	// mu keeps settle and Close apart.
	mu     sync.Mutex
	closed bool
}

// Write implements vfs.File.
func (f *diskFile) Write(p []byte) (int, error) {
	f.disk.do("write", f.name, func() error { _, err := f.File.Write(p); return err })
	if f.lazy && !f.dirty.Swap(true) {
		f.disk.mu.Lock()
		f.disk.wals[f] = struct{}{}
		f.disk.mu.Unlock()
		select {
		case f.disk.wake <- struct{}{}:
		default:
		}
	}
	return len(p), nil
}

// WriteAt implements vfs.File.
func (f *diskFile) WriteAt(p []byte, off int64) (int, error) {
	f.disk.do("write", f.name, func() error { _, err := f.File.WriteAt(p, off); return err })
	return len(p), nil
}

// Sync implements vfs.File.
func (f *diskFile) Sync() error {
	if !f.lazy {
		f.disk.do("sync", f.name, f.File.Sync)
	}
	return nil
}

// SyncData implements vfs.File.
func (f *diskFile) SyncData() error {
	if !f.lazy {
		f.disk.do("sync", f.name, f.File.SyncData)
	}
	return nil
}

// SyncTo implements vfs.File.
func (f *diskFile) SyncTo(length int64) (full bool, err error) {
	f.disk.do("sync", f.name, func() error { full, err = f.File.SyncTo(length); return err })
	return full, nil
}

// Preallocate implements vfs.File. It is a hint: a full disk shows at the write.
func (f *diskFile) Preallocate(offset, length int64) error {
	if !f.disk.frozen.Load() {
		_ = f.File.Preallocate(offset, length)
	}
	return nil
}

// Stat implements vfs.File.
func (f *diskFile) Stat() (vfs.FileInfo, error) {
	info, err := f.File.Stat()
	if err != nil && f.disk.frozen.Load() {
		return vfs.NewMemFile(nil).Stat()
	}
	return info, err
}

// Close implements vfs.File. A WAL file is durable before Pebble opens the next one: otherwise a power failure could leave a hole
// in a log that has a successor, which Pebble rightly takes for corruption.
func (f *diskFile) Close() error {
	f.settle()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	if f.lazy {
		f.disk.mu.Lock()
		delete(f.disk.wals, f)
		f.disk.mu.Unlock()
	}
	err := f.File.Close()
	f.disk.do("close", f.name, func() error { return err })
	return nil
}

// settle syncs what a lazy file holds back.
func (f *diskFile) settle() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.lazy || f.closed || !f.dirty.Swap(false) {
		return
	}
	f.disk.do("sync", f.name, f.File.SyncData)
}

// isLockHeld reports whether err, from vfs.FS.Lock, means that somebody else has the lock.
func isLockHeld(err error) bool {
	return errors.Is(err, syscall.EAGAIN) || strings.Contains(err.Error(), "lock held by current process")
}
