package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"croft/internal/clock"
)

type bench struct {
	croft string
	dir   string
	clock clock.Clock
	count int
	// endpoint and pid are those of a server to measure instead of croft, where -endpoint names one. A pid of 0 leaves out its processor time.
	endpoint string
	pid      int
	// loaded is how many items and messages the part of that name loads.
	loaded int
}

// server is one server process under measurement.
type server struct {
	cmd      *exec.Cmd
	endpoint string
	// peer is the process of a server that somebody else has started, 0 when it is not known.
	peer int
}

// id returns the server's process, 0 when it is not known.
func (s *server) id() int {
	if s.cmd == nil {
		return s.peer
	}
	return s.cmd.Process.Pid
}

// freeAddr returns a loopback address that nobody listens on.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// launch starts a server process that will listen on addr.
func launch(addr, name string, args ...string) (*server, error) {
	cmd := exec.Command(name, args...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &server{cmd: cmd, endpoint: "http://" + addr}, nil
}

// startCroft starts croft on a new data folder and waits until it serves.
func (b *bench) startCroft(ctx context.Context, args ...string) (*server, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	b.count++
	data := filepath.Join(b.dir, "data"+strconv.Itoa(b.count))
	s, err := launch(addr, b.croft, append([]string{"up", "--listen", addr, "--data", data}, args...)...)
	if err != nil {
		return nil, err
	}
	return s, b.await(ctx, s)
}

func (b *bench) await(ctx context.Context, s *server) error {
	for range 5000 {
		if res, err := http.Get(s.endpoint + "/_croft/health"); err == nil {
			return res.Body.Close()
		}
		if err := clock.Sleep(ctx, b.clock, 2*time.Millisecond); err != nil {
			return err
		}
	}
	return errors.New("the server did not come up within ten seconds")
}

// stop kills the server, if it is one that bench has started.
func (s *server) stop() error {
	if s.cmd == nil {
		return nil
	}
	if err := s.cmd.Process.Kill(); err != nil {
		return err
	}
	var exit *exec.ExitError
	if err := s.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		return err
	}
	return nil
}

// cpu returns the time that the process has spent running, from the scheduler's account of each of its threads; zero when the process is
// not known.
func (s *server) cpu() (time.Duration, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", s.id()))
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	for _, f := range files {
		text, err := os.ReadFile(f)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, err
		}
		n, err := strconv.ParseInt(strings.Fields(string(text))[0], 10, 64)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(n)
	}
	return sum, nil
}

// resident returns the process's resident memory in bytes.
func (s *server) resident() (int64, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", s.id()))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), "VmRSS:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(rest, "kB")), 10, 64)
			return kb << 10, err
		}
	}
	return 0, errors.New("no VmRSS")
}
