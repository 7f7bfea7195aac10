package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// lowImage is the least descriptor that an Image has: those below are what a new process has descriptors of its own at.
const lowImage = 64

// Image is a program in memory that nobody can change. It is safe for concurrent use.
type Image struct{ file *os.File }

// NewImage makes an image of an executable without scripts' first line.
func NewImage(program []byte) (*Image, error) {
	f, err := sealed("croft-first", bytes.NewReader(program))
	if err != nil {
		return nil, fmt.Errorf("sandbox: a program in memory: %w", err)
	}
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, lowImage)
	if err != nil {
		return nil, fmt.Errorf("sandbox: a program in memory: %w", err)
	}
	return &Image{os.NewFile(uintptr(fd), "croft-first")}, nil
}

// Close gives up the memory when no process uses it any more. It may be called again.
func (i *Image) Close() error {
	if err := i.file.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

// path is where a process that has inherited the descriptors finds the program; of nil, the program that runs here.
func (i *Image) path() string {
	if i == nil {
		return "/proc/self/exe"
	}
	return fmt.Sprintf("/proc/self/fd/%d", i.file.Fd())
}

// sealed returns a file in memory with what from has, that nobody can change.
func sealed(name string, from io.Reader) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), name)
	if _, err = io.Copy(f, from); err == nil {
		_, err = unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_WRITE|unix.F_SEAL_GROW|unix.F_SEAL_SHRINK|unix.F_SEAL_SEAL)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
