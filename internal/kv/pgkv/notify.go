package pgkv

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"croft/internal/clock"
)

// channel is what the processes on one database notify each other by.
const channel = "croft_changes"

const (
	// notifyGap is how long a process waits between two notifications, during which changes gather.
	notifyGap = 3 * time.Millisecond
	// shortKey is how much of a key is told, and maxChanges how many are: a payload has at most 8,000 bytes.
	shortKey   = 60
	maxChanges = 80
	// watchPulse is how often watches get a value that nothing may stand behind.
	watchPulse = time.Second
	// listenPause is how long the listener waits before it connects again, and listenCheck how long it hears nothing before it sees whether
	// its connection still works.
	listenPause = 500 * time.Millisecond
	listenCheck = 15 * time.Second
)

// notifier tells other processes of changes. A notification inside the commit would put all commits of the database in a row, so it is
// sent afterwards, over a connection of its own, for many commits at once. One that is lost with its process is made up for by watchPulse.
type notifier struct {
	// id tells this process's own notifications from those of others.
	id   string
	mu   sync.Mutex
	due  map[change]struct{}
	all  bool
	wake chan struct{}
}

func newNotifier() (*notifier, error) {
	id := make([]byte, 9)
	if _, err := rand.Read(id); err != nil {
		return nil, err
	}
	return &notifier{id: base64.RawURLEncoding.EncodeToString(id), due: map[change]struct{}{}, wake: make(chan struct{}, 1)}, nil
}

// add puts changes among those to be told.
func (n *notifier) add(changes []change) {
	n.mu.Lock()
	for _, c := range changes {
		if n.all = n.all || len(n.due) >= maxChanges; n.all {
			break
		}
		n.due[c.shorten(shortKey)] = struct{}{}
	}
	n.mu.Unlock()
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// payload returns what is to be told, empty for nothing.
func (n *notifier) payload() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var changes []change
	for c := range n.due {
		changes = append(changes, c)
	}
	if n.all {
		changes = everything()
	}
	clear(n.due)
	n.all = false
	if len(changes) == 0 {
		return ""
	}
	return n.id + " " + base64.RawStdEncoding.EncodeToString(encodeChanges(changes))
}

// hear returns what a payload of another process tells.
func (n *notifier) hear(payload string) []change {
	id, text, _ := strings.Cut(payload, " ")
	if id == n.id {
		return nil
	}
	b, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return everything()
	}
	return decodeChanges(b)
}

// tell sends notifications until ctx ends, and then what is left.
func (s *Store) tell(ctx context.Context) {
	for {
		select {
		case <-s.notify.wake:
		case <-ctx.Done():
			s.send()
			return
		}
		s.send()
		_ = clock.Sleep(ctx, clock.Real(), notifyGap)
	}
}

// send sends one notification. That it fails is no loss: see watchPulse.
func (s *Store) send() {
	payload := s.notify.payload()
	if payload == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	c, err := s.acquire(ctx)
	if err == nil {
		err = c.run(call{st: &statement{"croft_notify", "SELECT pg_notify($1::text, $2::text)"}, params: [][]byte{[]byte(channel), []byte(payload)}})
		c.abandon(&s.sql.rollback)
	}
	if err != nil {
		s.log.Debug("a notification was not sent", "database", s.where, "error", err)
	}
}

// listen wakes watches by what other processes tell, until ctx ends.
func (s *Store) listen(ctx context.Context, config *pgx.ConnConfig) {
	for lost := false; ctx.Err() == nil; {
		err := s.hear(ctx, config, func() {
			if lost {
				s.log.Info("notifications of the database arrive again", "database", s.where)
			}
			lost = false
			// What was told meanwhile has not been heard.
			wake(&s.watch, everything())
		})
		if ctx.Err() != nil {
			return
		}
		var pg *pgconn.PgError
		if errors.As(err, &pg) && pg.Code == "0A000" {
			s.log.Info("the database has no notifications: changes by other processes are seen within a second", "database", s.where)
			return
		}
		if !lost {
			s.log.Warn("the connection for the database's notifications is lost: changes by other processes are seen within a second",
				"database", s.where, "error", scrub(err))
		}
		lost = true
		_ = clock.Sleep(ctx, clock.Real(), listenPause)
	}
}

// hear listens on a connection of its own for as long as that works. connected is called once nothing can be missed any more.
func (s *Store) hear(ctx context.Context, config *pgx.ConnConfig, connected func()) error {
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer func() {
		// The connection is at its end anyhow.
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), connectTimeout)
		defer cancel()
		_ = conn.Close(limited)
	}()
	if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
		return err
	}
	connected()
	for {
		limited, cancel := context.WithTimeout(ctx, listenCheck)
		n, err := conn.WaitForNotification(limited)
		quiet := err != nil && limited.Err() != nil && ctx.Err() == nil
		cancel()
		if quiet {
			if err = ping(ctx, conn); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		wake(&s.watch, s.notify.hear(n.Payload))
	}
}

func ping(ctx context.Context, conn *pgx.Conn) error {
	limited, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	return conn.Ping(limited)
}

// pulse wakes all watches now and then, until ctx ends.
func (s *Store) pulse(ctx context.Context) {
	for clock.Sleep(ctx, clock.Real(), watchPulse) == nil {
		wake(&s.watch, everything())
	}
}

// startBackground starts the goroutines that Close ends.
func (s *Store) startBackground(config *pgx.ConnConfig) {
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	s.background.Go(func() { s.tell(ctx) })
	s.background.Go(func() { s.listen(ctx, config) })
	s.background.Go(func() { s.pulse(ctx) })
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
