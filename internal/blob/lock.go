package blob

import (
	"errors"
	"os"
	"syscall"
)

// lockDir opens the file whose lock every user of a folder shares, and reports whether there is no other user: the lock is
// exclusive then, until shareLock. Where the file system has no locks, there may always be others.
func lockDir(path string) (f *os.File, alone bool, err error) {
	if f, err = os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return nil, false, err
	}
	switch err := flock(f, syscall.LOCK_EX|syscall.LOCK_NB); {
	case err == nil:
		return f, true, nil
	case errors.Is(err, syscall.EWOULDBLOCK):
		if err := shareLock(f); err != nil {
			return nil, false, errors.Join(err, f.Close())
		}
		return f, false, nil
	case errors.Is(err, syscall.ENOTSUP), errors.Is(err, syscall.ENOLCK), errors.Is(err, syscall.ENOSYS):
		return f, false, nil
	default:
		return nil, false, errors.Join(err, f.Close())
	}
}

// shareLock waits for those who have the folder to themselves, which they have for as long as it takes to tidy up.
func shareLock(f *os.File) error { return flock(f, syscall.LOCK_SH) }

func flock(f *os.File, how int) error {
	for {
		if err := syscall.Flock(int(f.Fd()), how); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
