package relay

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"croft/internal/engine/sandbox"
)

// buffers are of one size. They are taken when there is something to read and given back at once, so that what waits costs none.
type buffers struct {
	size int
	pool sync.Pool
}

const (
	// bufferSize is for packets, and for connections that move much; smallBuffer for the others.
	bufferSize  = 64 << 10
	smallBuffer = 16 << 10
)

func newBuffers(size int) *buffers {
	return &buffers{size: size, pool: sync.Pool{New: func() any {
		b := make([]byte, size)
		return &b
	}}}
}

func (b *buffers) get() *[]byte  { return b.pool.Get().(*[]byte) }
func (b *buffers) put(p *[]byte) { b.pool.Put(p) }

// longAgo is a deadline that has passed. Setting it ends what waits, without closing anything.
func longAgo() time.Time { return time.Unix(1, 0) }

// device is the server's end of a network device. Its methods are safe for concurrent use.
type device struct {
	file *os.File
	raw  syscall.RawConn
}

// newDevice takes f over. It must wait in Go's poller; a descriptor that does not yet is exchanged for one that does.
func newDevice(f *os.File) (*device, error) {
	if f.SetDeadline(time.Time{}) != nil {
		fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			return nil, fmt.Errorf("relay: duplicate the device's descriptor: %w", err)
		}
		f.Close()
		if err := unix.SetNonblock(fd, true); err != nil {
			unix.Close(fd)
			return nil, err
		}
		f = os.NewFile(uintptr(fd), "tunnel")
	}
	raw, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, err
	}
	return &device{file: f, raw: raw}, nil
}

// read waits for a packet and gives it to take, which must not keep it. One goroutine reads.
func (d *device) read(pool *buffers, take func([]byte)) error { return readReady(d.raw, pool, 0, take) }

// readReady waits until raw can be read, and only then takes a buffer. take receives what was read, behind room for a header: nothing but the room at
// the end of a stream.
func readReady(raw syscall.RawConn, pool *buffers, room int, take func([]byte)) error {
	var n int
	var failed error
	var buf *[]byte
	err := raw.Read(func(fd uintptr) bool {
		buf = pool.get()
		n, failed = ignoringInterrupts(func() (int, error) { return unix.Read(int(fd), (*buf)[room:]) })
		if errors.Is(failed, unix.EAGAIN) {
			pool.put(buf)
			buf = nil
			return false
		}
		return true
	})
	if buf != nil {
		defer pool.put(buf)
	}
	if err == nil {
		err = failed
	}
	if err != nil {
		return err
	}
	take((*buf)[:room+n])
	return nil
}

func ignoringInterrupts(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

// write sends one packet, made of parts. What the device does not take is lost, as on any network; false says so.
func (d *device) write(parts ...[]byte) bool {
	var failed error
	err := d.raw.Control(func(fd uintptr) {
		_, failed = ignoringInterrupts(func() (int, error) {
			if len(parts) == 1 {
				return unix.Write(int(fd), parts[0])
			}
			return writev(int(fd), parts)
		})
	})
	return err == nil && failed == nil
}

// stop ends a read, and every read to come.
func (d *device) stop() {
	// It fails when the device is closed already, which ends reads too.
	_ = d.file.SetReadDeadline(longAgo())
}

func (d *device) close() { d.file.Close() }

// The largest datagrams that fit through the device.
const (
	maxDatagram4 = sandbox.TunnelMTU - 28
	maxDatagram6 = sandbox.TunnelMTU - 48
)
