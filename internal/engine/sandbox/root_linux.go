package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

const readOnly = unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV

// systemBinds are what programs of this machine need to run: shared libraries, certificates, time zones. Of /etc they see what is
// named here, and nothing else of it.
func systemBinds() []Bind {
	var out []Bind
	for _, path := range []string{
		"/usr/lib", "/usr/lib64", "/usr/share/zoneinfo",
		"/etc/ld.so.cache",
		"/etc/ssl/certs", "/etc/ssl/cert.pem", "/etc/ssl/openssl.cnf", "/usr/share/ca-certificates",
		"/etc/pki/ca-trust/extracted", "/etc/pki/tls/certs", "/etc/pki/tls/cert.pem", "/etc/pki/tls/openssl.cnf",
	} {
		out = append(out, Bind{Source: path, Target: path, Optional: true})
	}
	return out
}

// generated are the files of /etc that are written for the sandbox. Without a tunnel the list of name servers is empty: there is none.
func generated(spec outerSpec, tunnel bool) map[string]string {
	hosts := "127.0.0.1 localhost sandbox sandbox.localdomain\n"
	for _, name := range slices.Sorted(maps.Keys(spec.Hosts)) {
		hosts += spec.Hosts[name].String() + " " + name + "\n"
	}
	resolver := ""
	if tunnel {
		resolver = "nameserver " + TunnelGateway + "\n"
	}
	return map[string]string{
		"/etc/passwd":        fmt.Sprintf("root:x:0:0:root:/:/sbin/nologin\nsbx_user1051:x:%d:%d::/tmp:/sbin/nologin\n", UID, GID),
		"/etc/group":         fmt.Sprintf("root:x:0:\nsbx_user1051:x:%d:\n", GID),
		"/etc/hosts":         hosts,
		"/etc/resolv.conf":   resolver,
		"/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
	}
}

// assembleRoot builds the root over the anchor and makes it the root. Afterwards nothing of the machine's tree is in sight but, for this process
// alone, the stock.
func assembleRoot(spec outerSpec, tunnel bool) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	r := root{at: spec.Anchor}
	if err := mount("tmpfs", r.at, unix.MS_NOSUID|unix.MS_NODEV, "size=4m,nr_inodes=4096,mode=755"); err != nil {
		return err
	}
	for _, step := range []func() error{
		r.system,
		func() error { return r.certificates(spec.Certificates) },
		func() error { return r.bindAll(spec.Binds) },
		func() error { return r.etc(generated(spec, tunnel)) },
		r.proc, r.dev,
		func() error { return r.tmp(defaultTmp) },
		func() error { return r.stock(spec.Stock) },
		r.enter,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

type root struct {
	at   string
	done []Bind
}

func (r *root) path(p string) string { return filepath.Join(r.at, p) }

// system brings in the system's folders. Where /lib and its like are links, as on merged-/usr systems, they are links here.
func (r *root) system() error {
	for _, p := range []string{"/lib", "/lib64"} {
		to, err := os.Readlink(p)
		switch {
		case err == nil:
			err = os.Symlink(to, r.path(p))
		case errors.Is(err, fs.ErrNotExist):
			err = nil
		default:
			err = r.bind(Bind{Source: p, Target: p})
		}
		if err != nil {
			return err
		}
	}
	return r.bindAll(systemBinds())
}

func (r *root) bindAll(binds []Bind) error {
	for _, b := range binds {
		if err := r.bind(b); err != nil {
			return err
		}
	}
	return nil
}

// bind makes one source visible. What is visible already through an earlier bind of a parent is left alone.
func (r *root) bind(b Bind) error {
	for _, d := range r.done {
		in, ok := strings.CutPrefix(b.Target, d.Target+"/")
		if ok && filepath.Join(d.Source, in) == b.Source || b == d {
			return nil
		}
	}
	info, err := os.Stat(b.Source)
	if b.Optional && errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := r.makeTarget(b.Target, info.IsDir()); err != nil {
		return err
	}
	if err := unix.Mount(b.Source, r.path(b.Target), "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("bind %s: %w", b.Source, err)
	}
	r.done = append(r.done, b)
	return restrict(r.path(b.Target), readOnly, unix.AT_RECURSIVE)
}

func (r *root) makeTarget(target string, dir bool) error {
	if dir {
		return os.MkdirAll(r.path(target), 0o755)
	}
	if err := os.MkdirAll(filepath.Dir(r.path(target)), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(r.path(target), os.O_CREATE|os.O_RDONLY, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}

func (r *root) etc(files map[string]string) error {
	if err := os.MkdirAll(r.path("/etc"), 0o755); err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(r.path(name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return os.MkdirAll(r.path("/opt"), 0o755)
}

// proc mounts the namespace's own /proc, which hides processes of other users, this one among them. What in it acts on the kernel is read-only:
// to a function of an ordinary user the settings of its network namespace would otherwise be writable.
func (r *root) proc() error {
	if err := os.MkdirAll(r.path("/proc"), 0o755); err != nil {
		return err
	}
	if err := mount("proc", r.path("/proc"), unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "hidepid=2"); err != nil {
		return err
	}
	for _, p := range []string{"/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs", "/proc/acpi", "/proc/scsi"} {
		at := r.path(p)
		if _, err := os.Stat(at); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := unix.Mount(at, at, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("bind %s: %w", p, err)
		}
		if err := restrict(at, readOnly|unix.MOUNT_ATTR_NOEXEC, unix.AT_RECURSIVE); err != nil {
			return err
		}
	}
	return nil
}

func (r *root) dev() error {
	if err := os.MkdirAll(r.path("/dev"), 0o755); err != nil {
		return err
	}
	for _, name := range []string{"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"} {
		if err := r.makeTarget(name, false); err != nil {
			return err
		}
		if err := unix.Mount(name, r.path(name), "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("bind %s: %w", name, err)
		}
		// Without nodev, which would make it a mere name.
		if err := restrict(r.path(name), unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NOEXEC, 0); err != nil {
			return err
		}
	}
	for name, to := range map[string]string{"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"} {
		if err := os.Symlink(to, filepath.Join(r.path("/dev"), name)); err != nil {
			return err
		}
	}
	return nil
}

func (r *root) tmp(size int64) error {
	if err := os.MkdirAll(r.path("/tmp"), 0o755); err != nil {
		return err
	}
	return mount("tmpfs", r.path("/tmp"), unix.MS_NOSUID|unix.MS_NODEV, tmpOptions(size))
}

// enter makes the assembled folder the root and lets go of the old one.
func (r *root) enter() error {
	if err := unix.Chdir(r.at); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot root: %w", err)
	}
	// Both roots are now mounted at the same place, the old one on top.
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount the old root: %w", err)
	}
	return unix.Chdir("/")
}

func mount(kind, at string, flags uintptr, data string) error {
	if err := unix.Mount(kind, at, kind, flags, data); err != nil {
		return fmt.Errorf("mount %s: %w", kind, err)
	}
	return nil
}

// restrict adds attributes to a mount. Unlike a remount it cannot lose one that the mount has already.
func restrict(path string, attributes uint64, flags uint) error {
	if err := unix.MountSetattr(unix.AT_FDCWD, path, flags, &unix.MountAttr{Attr_set: attributes}); err != nil {
		return fmt.Errorf("restrict %s: %w", path, err)
	}
	return nil
}
