package pgkv

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"croft/internal/clock"
	"croft/internal/kv"
	"croft/internal/kv/pgkv/pgtest"
)

// execute runs statements as the server's owner.
func execute(t *testing.T, url string, sql ...string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	for _, s := range sql {
		if _, err := conn.Exec(t.Context(), s); err != nil {
			t.Fatal(s, err)
		}
	}
}

func TestOpenErrorsSayWhatToDo(t *testing.T) {
	good := pgtest.SharedDB(t)
	parsed, err := url.Parse(good)
	if err != nil {
		t.Fatal(err)
	}
	with := func(change func(u *url.URL)) string {
		u := *parsed
		change(&u)
		return u.String()
	}
	newer := pgtest.SharedDB(t)
	if s, err := Open(Options{URL: newer, Version: "0.1"}); err != nil || s.Close() != nil {
		t.Fatal(err)
	}
	execute(t, newer, "UPDATE croft_meta SET format = 99, written_by = '9.9'")
	poor := pgtest.SharedDB(t)
	execute(t, poor, "DROP ROLE IF EXISTS poor", "CREATE ROLE poor LOGIN PASSWORD 'sesame'", "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
	poorURL, err := url.Parse(poor)
	if err != nil {
		t.Fatal(err)
	}
	poorURL.User = url.UserPassword("poor", "sesame")
	for name, c := range map[string]struct {
		url  string
		want []string
	}{
		"no URL":            {"postgres://u:sesame@host:port/db", []string{"postgres://USER"}},
		"bad escape":        {"postgres://u:sesame%zz@host/db", []string{"postgres://USER"}},
		"bad parameter":     {with(func(u *url.URL) { u.User = url.UserPassword("u", "sesame"); u.RawQuery = "connect_timeout=odd" }), []string{"postgres://USER"}},
		"@ in the password": {"postgres://croft:open@sesame@127.0.0.1:1/croft", []string{"postgres://USER", "%XX"}},
		"# in the password": {"postgres://croft:1#sesame@127.0.0.1:1/croft", []string{"postgres://USER", "%XX"}},
		"wrong password":    {with(func(u *url.URL) { u.User = url.UserPassword("croft", "sesame") }), []string{`user "croft"`, "pg_hba.conf"}},
		"no database":       {with(func(u *url.URL) { u.Path = "/nowhere" }), []string{`no database "nowhere"`, "createdb"}},
		"no server":         {"postgres://u:sesame@127.0.0.1:1/db", []string{"127.0.0.1:1", "running"}},
		"newer":             {newer, []string{"99", "9.9", "newer"}},
		"no rights":         {poorURL.String(), []string{`user "poor"`, "GRANT"}},
		"no schema":         {good + "&search_path=nowhere", []string{"search_path"}},
	} {
		s, err := Open(Options{URL: c.url, Version: "0.1"})
		if err == nil {
			t.Errorf("%s: it opens", name)
			_ = s.Close()
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q is missing in: %v", name, want, err)
			}
		}
		if ping := Ping(t.Context(), c.url); ping != nil && strings.Contains(ping.Error(), "sesame") {
			t.Errorf("%s: the password is in: %v", name, ping)
		}
		if strings.Contains(err.Error(), "sesame") || strings.Contains(err.Error(), "pgtest-password") {
			t.Errorf("%s: the password is in: %v", name, err)
		}
		if errors.Is(err, ErrFormat) != (name == "newer") || errors.Is(err, kv.ErrUnavailable) != (name == "no server") {
			t.Errorf("%s: wrong kind of error: %v", name, err)
		}
	}
}

// TestOpenAtOnce: several processes may find the database empty at the same time, and agree about the cloud.
func TestOpenAtOnce(t *testing.T) {
	url := pgtest.SharedDB(t)
	ids := make([]string, 6)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			s, err := Open(Options{URL: url})
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = s.ClusterID()
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, id := range ids {
		if len(id) != 32 || id != ids[0] {
			t.Errorf("identities %q", ids)
			break
		}
	}
}

// heard waits for a value of w.
func heard(t *testing.T, w kv.Watch, within time.Duration) bool {
	t.Helper()
	select {
	case <-w.C():
		return true
	default:
	}
	timer := clock.Real().NewTimer(within)
	defer timer.Stop()
	select {
	case <-w.C():
		return true
	case <-timer.C():
		return false
	}
}

// TestWatchAcrossProcesses: a change by one store is seen by the watch of another, faster than by the pulse, also after the
// database was away.
func TestWatchAcrossProcesses(t *testing.T) {
	server := pgtest.Start(t)
	url := server.DB(t)
	var log bytes.Buffer
	a := open(t, Options{URL: url})
	b := open(t, Options{URL: url, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	w := b.Watch([]byte("queue/1"))
	defer w.Close()
	quick := func() bool {
		fast := 0
		for range 20 {
			// The pulse of a second may come in between, so that one quick value proves nothing.
			for heard(t, w, 0) {
			}
			begun := clock.Real().Now()
			err := a.Update(t.Context(), func(_ context.Context, tx kv.Tx) error { return tx.Append([]byte("queue/1/messages"), nil) })
			if err != nil {
				t.Fatal(err)
			}
			if heard(t, w, 3*time.Second) && clock.Real().Now().Sub(begun) < 100*time.Millisecond {
				fast++
			}
		}
		return fast >= 15
	}
	await := func() {
		for range 100 {
			if quick() {
				return
			}
		}
		t.Fatal("changes come by the pulse alone")
	}
	await()
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	back(t, a)
	await()
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if text := log.String(); !strings.Contains(text, "lost") || strings.Contains(text, "pgtest-password") {
		t.Errorf("the log says %s", text)
	}
}

func TestChangesAreTold(t *testing.T) {
	long := strings.Repeat("x", 200)
	var ws kv.Watchers
	for _, c := range []struct {
		change change
		prefix string
		want   bool
	}{
		{change{key: "abc"}, "ab", true}, {change{key: "abc"}, "abc", true}, {change{key: "abc"}, "abcd", false},
		{change{key: "abc"}, "", true}, {change{key: "ab", below: true}, "abcd", true}, {change{key: "ab", below: true}, "a", true},
		{change{key: "ab", below: true}, "b", false}, {change{key: long + "1"}, long + "1", true}, {change{key: long + "1"}, "y", false},
		{everything()[0], "anything", true},
	} {
		w := ws.Open([]byte(c.prefix))
		n, err := newNotifier()
		if err != nil {
			t.Fatal(err)
		}
		n.add([]change{c.change})
		payload := n.payload()
		if n.payload() != "" || len(n.hear(payload)) != 0 {
			t.Error("a notification is told twice, or to its sender")
		}
		other, err := newNotifier()
		if err != nil {
			t.Fatal(err)
		}
		wake(&ws, other.hear(payload))
		if got := heard(t, w, 0); got != c.want {
			t.Errorf("%q, watch of %q: %v", c.change.key, c.prefix, got)
		}
		w.Close()
	}
	n, err := newNotifier()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 * maxChanges {
		n.add([]change{{key: strings.Repeat("k", 100-i%100) + long}, {key: long[:i%60] + string(rune('a'+i))}})
	}
	if p := n.payload(); len(p) >= 8000 {
		t.Errorf("a payload of %d bytes", len(p))
	}
	for _, bad := range []string{"", "x", "x !", "x " + "Af8"} {
		_ = n.hear(bad)
	}
}
