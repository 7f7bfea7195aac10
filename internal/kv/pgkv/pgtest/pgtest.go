// Package pgtest starts real PostgreSQL servers for tests: each with a data folder of its own, reached over a socket in that folder, and
// gone when the test is, even if the test process is killed (on Linux).
//
// A test that needs one server calls Start. A test process that wants to share one among its tests calls Main from TestMain and
// Shared from the tests: databases are cheap, servers are not. Where there is no PostgreSQL, tests skip and name it.
package pgtest

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"croft/internal/clock"
)

// ErrMissing is returned by Launch where there is no PostgreSQL.
var ErrMissing = errors.New("pgtest: no PostgreSQL server found in PATH or /usr/lib/postgresql: install the package postgresql")

// shared is the environment variable under which Main leaves the shared server's URL.
const shared = "CROFT_PGTEST_URL"

// patience bounds every wait for the server.
const patience = 60 * time.Second

const (
	userName = "croft"
	password = "pgtest-password"
)

// Server is one PostgreSQL server. Its methods are for one goroutine.
type Server struct {
	dir      string
	settings []string
	bin      string
	attr     *syscall.SysProcAttr
	running  *process
}

// process is a running postmaster.
type process struct {
	proc *os.Process
	// ready is closed when the server takes connections, done when it has ended; log is then what it said last.
	ready, done chan struct{}
	log         string
}

// Start starts a server that ends with t. Settings are of the form "fsync=off"; without that one, commits are durable.
func Start(t testing.TB, settings ...string) *Server {
	t.Helper()
	s, err := Launch(settings...)
	if errors.Is(err, ErrMissing) {
		t.Skip("SKIPPED:", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Discard)
	return s
}

// Main is for TestMain: it starts the server that Shared returns, runs the tests, ends the server, and returns the code for os.Exit.
func Main(m *testing.M, settings ...string) int {
	s, err := Launch(settings...)
	if err != nil && !errors.Is(err, ErrMissing) {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err == nil {
		defer s.Discard()
		if err := os.Setenv(shared, s.URL()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return m.Run()
}

// SharedDB returns the URL of a new database on the server that Main has started. It is dropped when t ends.
func SharedDB(t testing.TB) string {
	t.Helper()
	base := os.Getenv(shared)
	if base == "" {
		t.Skip("SKIPPED:", ErrMissing)
	}
	return newDB(t, base)
}

// Launch starts a server. The caller calls Discard.
func Launch(settings ...string) (*Server, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "croft-pg-")
	if err != nil {
		return nil, fmt.Errorf("pgtest: %w", err)
	}
	s := &Server{dir: dir, bin: bin, settings: settings}
	if err := s.create(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := s.Restart(); err != nil {
		s.Discard()
		return nil, err
	}
	return s, nil
}

// binaries returns the folder of the newest PostgreSQL.
func binaries() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(real), nil
		}
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", ErrMissing
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
		return n
	}
	slices.SortFunc(found, func(a, b string) int { return version(a) - version(b) })
	return filepath.Dir(found[len(found)-1]), nil
}

// create makes the data folder.
func (s *Server) create() error {
	s.attr = procAttr()
	pwfile := filepath.Join(s.dir, "password")
	if err := os.WriteFile(pwfile, []byte(password+"\n"), 0o600); err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	if os.Geteuid() == 0 {
		// PostgreSQL does not run as root.
		uid, gid := servant()
		s.attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := errors.Join(os.Chown(s.dir, uid, gid), os.Chown(pwfile, uid, gid)); err != nil {
			return fmt.Errorf("pgtest: %w", err)
		}
	}
	ctx, cancel := clock.WithTimeout(context.Background(), clock.Real(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, "initdb"), "-D", s.data(), "-U", userName, "--pwfile", pwfile,
		"--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync")
	cmd.Dir, cmd.SysProcAttr, cmd.Env = s.dir, s.attr, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("pgtest: initdb: %w: %s", err, out)
	}
	return nil
}

// servant returns the user as whom the server runs when the tests run as root.
func servant() (uid, gid int) {
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.Atoi(u.Uid)
		gid, err2 := strconv.Atoi(u.Gid)
		if err1 == nil && err2 == nil {
			return uid, gid
		}
	}
	return 65534, 65534
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// Socket returns the path of the server's socket: for proxies that stand between it and its clients.
func (s *Server) Socket() string { return filepath.Join(s.dir, ".s.PGSQL.5432") }

// URL returns how the server's own database is reached, with all rights.
func (s *Server) URL() string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(userName, password), Path: "/postgres",
		RawQuery: url.Values{"host": {s.dir}, "port": {"5432"}}.Encode()}
	return u.String()
}

// DB returns the URL of a new database, which is dropped when t ends.
func (s *Server) DB(t testing.TB) string { return newDB(t, s.URL()) }

// Restart starts the server again after Stop or Kill, and stops it before if it runs.
func (s *Server) Restart() error {
	if err := s.Stop(); err != nil {
		return err
	}
	deadline := clock.Real().Now().Add(patience)
	for {
		p, err := s.launch()
		if err != nil {
			return err
		}
		timer := clock.Real().NewTimer(patience)
		select {
		case <-p.ready:
			timer.Stop()
			s.running = p
			return nil
		case <-timer.C():
			_ = p.proc.Kill()
			<-p.done
			return errors.New("pgtest: the server does not come up: " + p.log)
		case <-p.done:
			timer.Stop()
		}
		// What a killed server has left behind goes away in a moment.
		if clock.Real().Now().After(deadline) || !strings.Contains(p.log, "shared memory") {
			return errors.New("pgtest: the server did not start: " + p.log)
		}
		if err := clock.Sleep(context.Background(), clock.Real(), 50*time.Millisecond); err != nil {
			return err
		}
	}
}

// launch starts the postmaster. The process is started and awaited from one locked thread, because the signal that ends it with
// this process comes when that thread ends.
func (s *Server) launch() (*process, error) {
	args := []string{"-D", s.data(), "-k", s.dir, "-c", "listen_addresses=", "-c", "shared_buffers=32MB", "-c", "max_connections=200",
		"-c", "logging_collector=off", "-c", "log_destination=stderr"}
	for _, setting := range s.settings {
		args = append(args, "-c", setting)
	}
	cmd := exec.Command(filepath.Join(s.bin, "postgres"), args...)
	cmd.Dir, cmd.SysProcAttr, cmd.Env = s.dir, s.attr, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir}
	// The server's own children keep the pipe open for a moment after it was killed.
	cmd.WaitDelay = patience
	out, err := cmd.StderrPipe()
	if err != nil {
		return nil, fmt.Errorf("pgtest: %w", err)
	}
	p := &process{ready: make(chan struct{}), done: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		p.proc = cmd.Process
		started <- err
		if err != nil {
			return
		}
		last := make([]string, 0, 20)
		isReady := false
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if !isReady && strings.Contains(lines.Text(), "ready to accept connections") {
				isReady = true
				close(p.ready)
			}
			if len(last) == cap(last) {
				last = last[:copy(last, last[1:])]
			}
			last = append(last, lines.Text())
		}
		_ = cmd.Wait()
		p.log = strings.Join(last, "\n")
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("pgtest: %w", err)
	}
	return p, nil
}

// Stop shuts the server down in an orderly way: connections are ended, what was committed is on disk.
func (s *Server) Stop() error { return s.end(syscall.SIGINT) }

// Kill ends the server as a crash would.
func (s *Server) Kill() error { return s.end(syscall.SIGKILL) }

// Pause stops the server's main process and Resume lets it go on: connections that exist work, new ones hang.
func (s *Server) Pause() error { return s.running.proc.Signal(syscall.SIGSTOP) }

// Resume undoes Pause.
func (s *Server) Resume() error { return s.running.proc.Signal(syscall.SIGCONT) }

func (s *Server) end(sig os.Signal) error {
	if s.running == nil {
		return nil
	}
	p := s.running
	s.running = nil
	if err := p.proc.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("pgtest: %w", err)
	}
	timer := clock.Real().NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.done:
		return nil
	case <-timer.C():
		_ = p.proc.Kill()
		return errors.New("pgtest: the server does not end")
	}
}

// Discard ends the server and removes its data.
func (s *Server) Discard() {
	_ = s.end(syscall.SIGQUIT)
	_ = os.RemoveAll(s.dir)
}

// Schema creates a schema in the database at base and returns the URL by which clients use it: a fresh place for tables, and much quicker
// to be had than a database. It goes with its database.
func Schema(t testing.TB, base string) string {
	t.Helper()
	name := newName()
	if err := run(base, "CREATE SCHEMA "+name); err != nil {
		t.Fatal("pgtest:", err)
	}
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal("pgtest:", err)
	}
	q := u.Query()
	q.Set("search_path", name)
	u.RawQuery = q.Encode()
	return u.String()
}

func newName() string {
	name := make([]byte, 8)
	_, _ = rand.Read(name)
	return "t" + hex.EncodeToString(name)
}

// run executes one statement.
func run(url, sql string) error {
	ctx, cancel := clock.WithTimeout(context.Background(), clock.Real(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, sql)
	return errors.Join(err, conn.Close(ctx))
}

// newDB creates a database on the server at base.
func newDB(t testing.TB, base string) string {
	t.Helper()
	db := newName()
	if err := run(base, "CREATE DATABASE "+db); err != nil {
		t.Fatal("pgtest:", err)
	}
	// A server that is down, or gone, has nothing left to be tidied.
	t.Cleanup(func() { _ = run(base, "DROP DATABASE "+db+" WITH (FORCE)") })
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal("pgtest:", err)
	}
	u.Path = "/" + db
	return u.String()
}
