package sandbox

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// control is the server's end of the conversation with a sandbox's first process. It is safe for concurrent use.
type control struct {
	conn *net.UnixConn
	// ended is told of each child's end, by one goroutine.
	ended func(reply)

	mu      sync.Mutex
	last    int
	waiting map[int]chan answer
	// err is why there is no conversation any more.
	err error
}

// answer is a reply and the descriptors that came with it, which are the receiver's.
type answer struct {
	reply
	files []*os.File
	err   error
}

func (a answer) discard() {
	for _, f := range a.files {
		f.Close()
	}
}

// controlPair returns a new control and the file that the first process inherits.
func controlPair(ended func(reply)) (*control, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	ours, peer := os.NewFile(uintptr(fds[0]), "control"), os.NewFile(uintptr(fds[1]), "control")
	conn, err := net.FileConn(ours)
	ours.Close()
	if err != nil {
		peer.Close()
		return nil, nil, err
	}
	return &control{conn: conn.(*net.UnixConn), ended: ended, waiting: map[int]chan answer{}}, peer, nil
}

// ask sends a request and descriptors. Its answer comes over the channel.
func (c *control) ask(q request, fds ...int) (int, <-chan answer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return 0, nil, c.err
	}
	c.last++
	q.ID = c.last
	b, err := json.Marshal(q)
	if err != nil {
		return 0, nil, err
	}
	if len(b) > maxRequest {
		return 0, nil, fmt.Errorf("sandbox: a request of %d bytes", len(b))
	}
	ch := make(chan answer, 1)
	c.waiting[q.ID] = ch
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	if _, _, err := c.conn.WriteMsgUnix(b, oob, nil); err != nil {
		delete(c.waiting, q.ID)
		return 0, nil, errEnded
	}
	return q.ID, ch, nil
}

// await waits for an answer. One that comes too late is thrown away.
func (c *control) await(ctx context.Context, id int, ch <-chan answer) (answer, error) {
	select {
	case a := <-ch:
		return a, a.err
	case <-ctx.Done():
	}
	c.mu.Lock()
	delete(c.waiting, id)
	c.mu.Unlock()
	select {
	case a := <-ch:
		a.discard()
	default:
	}
	return answer{}, context.Cause(ctx)
}

// call is ask and await.
func (c *control) call(ctx context.Context, q request, fds ...int) (answer, error) {
	id, ch, err := c.ask(q, fds...)
	if err != nil {
		return answer{}, err
	}
	return c.await(ctx, id, ch)
}

// run takes messages until the conversation has ended.
func (c *control) run() {
	buf, oob := make([]byte, maxReply), make([]byte, unix.CmsgSpace(4*maxPassed))
	for {
		n, oobn, _, _, err := c.conn.ReadMsgUnix(buf, oob)
		if err != nil || n == 0 {
			break
		}
		a := answer{}
		if oobn > 0 {
			if a.files, err = receivedFiles(oob[:oobn]); err != nil {
				a.discard()
				break
			}
		}
		if err := json.Unmarshal(buf[:n], &a.reply); err != nil {
			a.discard()
			break
		}
		c.deliver(a)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = errEnded
	for id, ch := range c.waiting {
		ch <- answer{err: errEnded}
		delete(c.waiting, id)
	}
}

func (c *control) deliver(a answer) {
	if a.Exit != nil {
		a.discard()
		c.ended(a.reply)
		return
	}
	if a.Step != "" {
		a.discard()
		a = answer{reply: reply{ID: a.ID}, err: explainStep(a.reply)}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	ch, ok := c.waiting[a.ID]
	delete(c.waiting, a.ID)
	if !ok {
		a.discard()
		return
	}
	ch <- a
}

func receivedFiles(oob []byte) ([]*os.File, error) {
	fds, err := receivedFDs(oob)
	if err != nil {
		return nil, err
	}
	var files []*os.File
	for _, fd := range fds {
		unix.CloseOnExec(fd)
		// So that reading can be given up.
		if e := unix.SetNonblock(fd, true); e != nil {
			err = e
		}
		files = append(files, os.NewFile(uintptr(fd), "received"))
	}
	return files, err
}

func receivedFDs(oob []byte) ([]int, error) {
	controls, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	var all []int
	for _, c := range controls {
		fds, err := unix.ParseUnixRights(&c)
		if err != nil {
			return nil, err
		}
		all = append(all, fds...)
	}
	return all, nil
}
