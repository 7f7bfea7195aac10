package s3blob

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// TestServerThatStandsStill: it accepts, and then neither reads nor writes.
func TestServerThatStandsStill(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		if c, err := l.Accept(); err == nil {
			accepted <- c
		}
	}()
	c, err := dialSteady(50*time.Millisecond)(context.Background(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	far := <-accepted
	defer far.Close()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a read: %v", err)
	}
	body := bytes.Repeat([]byte("x"), 64<<20)
	if n, err := c.Write(body); !errors.Is(err, os.ErrDeadlineExceeded) || n >= len(body) {
		t.Errorf("a write: %d bytes, %v", n, err)
	}
}

// TestSteadyWritesAll: pieces make the whole.
func TestSteadyWritesAll(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	body := bytes.Repeat([]byte("0123456789"), 50_000)
	got := make(chan []byte, 1)
	go func() {
		b, _ := io.ReadAll(far)
		got <- b
	}()
	c := &steady{near, time.Minute}
	if n, err := c.Write(body); err != nil || n != len(body) {
		t.Errorf("%d bytes, %v", n, err)
	}
	if n, err := c.Write(nil); n != 0 || err != nil {
		t.Errorf("nothing: %d, %v", n, err)
	}
	_ = c.Close()
	if !bytes.Equal(<-got, body) {
		t.Error("something else arrived")
	}
}

// deadlines is a connection that notes which deadlines it was given.
type deadlines struct {
	net.Conn
	both, read, write int
}

func (d *deadlines) SetDeadline(time.Time) error      { d.both++; return nil }
func (d *deadlines) SetReadDeadline(time.Time) error  { d.read++; return nil }
func (d *deadlines) SetWriteDeadline(time.Time) error { d.write++; return nil }
func (d *deadlines) Write(p []byte) (int, error)      { return len(p), nil }
func (d *deadlines) Read(p []byte) (int, error)       { return len(p), nil }

// TestReadsWaitForWrites: the client reads while it sends a body, however long that takes; each piece of the body gives that reading more time.
func TestReadsWaitForWrites(t *testing.T) {
	d := new(deadlines)
	c := &steady{d, time.Minute}
	if n, err := c.Write(make([]byte, 200<<10)); n != 200<<10 || err != nil || d.both != 4 || d.write != 0 {
		t.Errorf("%d bytes, %v, %+v", n, err, d)
	}
	if _, err := c.Read(make([]byte, 1)); err != nil || d.read != 1 || d.both != 4 {
		t.Errorf("%v, %+v", err, d)
	}
}
