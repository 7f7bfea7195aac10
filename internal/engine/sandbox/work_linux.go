package sandbox

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// The stock is where the first process, and nobody else, finds the functions' files until it knows its function.
const (
	stockParent = "/.croft"
	stockPath   = stockParent + "/stock"
)

// defaultTmp is the size of /tmp, in bytes, as Lambda has it unless it is told otherwise.
const defaultTmp = 512 << 20

func tmpOptions(size int64) string { return fmt.Sprintf("size=%d,nr_inodes=131072,mode=1777", size) }

// stock makes the functions' files reachable.
func (r *root) stock(source string) error {
	if source == "" {
		return nil
	}
	if err := os.Mkdir(r.path(stockParent), 0o700); err != nil {
		return err
	}
	if err := os.Mkdir(r.path(stockPath), 0o700); err != nil {
		return err
	}
	if err := unix.Mount(source, r.path(stockPath), "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("bind %s: %w", source, err)
	}
	return restrict(r.path(stockPath), readOnly, unix.AT_RECURSIVE)
}

// certificates puts a file in the place of the system's bundles of certificates.
func (r *root) certificates(source string) error {
	if source == "" {
		return nil
	}
	bundles := []string{
		"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/ssl/cert.pem",
	}
	found := 0
	for _, path := range bundles {
		if real, err := filepath.EvalSymlinks(r.path(path)); err != nil || real != r.path(path) {
			continue // not there, or another name of one that is
		}
		if err := bindFile(source, r.path(path)); err != nil {
			return err
		}
		found++
	}
	if found > 0 {
		return nil
	}
	if err := r.makeTarget(bundles[0], false); err != nil {
		return err
	}
	return bindFile(source, r.path(bundles[0]))
}

func bindFile(source, target string) error {
	if err := unix.Mount(source, target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s: %w", source, err)
	}
	return restrict(target, readOnly, 0)
}

// bringWork mounts the function's files, sets the size of /tmp, lets go of the stock and makes the root read-only.
func bringWork(stock bool, w workSpec) error {
	r := root{at: "/"}
	for _, b := range w.Binds {
		if !filepath.IsLocal(b.Source) {
			return fmt.Errorf("%s is not in the stock", b.Source)
		}
		b.Source = filepath.Join(stockPath, b.Source)
		if err := r.bind(b); err != nil {
			return err
		}
	}
	if w.TmpBytes != defaultTmp {
		if err := mount("tmpfs", "/tmp", unix.MS_REMOUNT|unix.MS_NOSUID|unix.MS_NODEV, tmpOptions(w.TmpBytes)); err != nil {
			return err
		}
	}
	if stock {
		if err := unix.Unmount(stockPath, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount the stock: %w", err)
		}
		for _, path := range []string{stockPath, stockParent} {
			if err := unix.Rmdir(path); err != nil {
				return err
			}
		}
	}
	return restrict("/", readOnly, 0)
}
