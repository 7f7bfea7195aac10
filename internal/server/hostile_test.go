package server

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// TestPublishedPagesDoNotControl: a page that a function publishes is not of the origin from which control calls are taken.
func TestPublishedPagesDoNotControl(t *testing.T) {
	w := newWorld(t)
	serve := w.fronts["execute-api"].Serve
	w.fronts["execute-api"].Serve = func(rw http.ResponseWriter, r *http.Request, id string) {
		rw.Header()["Content-Security-Policy"] = []string{"sandbox allow-same-origin allow-scripts"}
		serve(rw, r, id)
	}
	control := map[string]string{ControlHeader: "1"}
	for _, host := range []string{"abc.execute-api.localhost:4566", "ABC.Execute-API.localhost.:4566", "abc.execute-api.us-east-1.amazonaws.com"} {
		rec := w.do(call{host: host, path: "/_croft/credentials", unsigned: true, header: control})
		if got := rec.Body.String(); !strings.HasSuffix(got, " /_croft/credentials") {
			t.Errorf("%s: %d %s", host, rec.Code, got)
		}
		if p := rec.Result().Header["Content-Security-Policy"]; len(p) != 1 {
			t.Errorf("%s: %q", host, p)
		}
	}
	rec := w.do(call{path: "/_aws/execute-api/abc/page", method: "GET", unsigned: true})
	if p := rec.Result().Header["Content-Security-Policy"]; len(p) != 2 || p[1] != sandboxPolicy || strings.Contains(p[1], "same-origin") {
		t.Errorf("on the shared address: %q", p)
	}
}

// TestRefusedAtOnce promises more than is allowed, and sends nothing of it.
func TestRefusedAtOnce(t *testing.T) {
	srv := httptest.NewServer(newWorld(t).Handler())
	defer srv.Close()
	for _, length := range []string{"83886080", "9223372036854775807"} {
		c, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: "+length+"\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || res.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: %v, %v", length, res, err)
		}
	}
}

// deadlines records what is set.
type deadlines []time.Time

func (d *deadlines) SetReadDeadline(t time.Time) error {
	*d = append(*d, t)
	return nil
}

func TestPaceOfLargeBodies(t *testing.T) {
	var set deadlines
	b := newPacedBody(io.NopCloser(iotest.OneByteReader(bytes.NewReader(make([]byte, 3*minPace)))), &set)
	if _, err := io.Copy(io.Discard, b); err != nil {
		t.Fatal(err)
	}
	last := set[len(set)-1]
	if at := set[len(set)-2].Sub(b.began); !last.IsZero() || at != paceGrace+3*time.Second || !set[0].Equal(b.began.Add(paceGrace)) {
		t.Errorf("%v after the beginning, then %v", at, last)
	}
	set = nil
	b = newPacedBody(io.NopCloser(iotest.ErrReader(errors.New("reset"))), &set)
	if _, err := b.Read(make([]byte, 1)); err == nil || set[len(set)-1].IsZero() {
		t.Errorf("%v; the deadline is lifted before the body's end", err)
	}
}

// TestMemoryIsTakenAsItComes promises large bodies and sends none of them.
func TestMemoryIsTakenAsItComes(t *testing.T) {
	whole := newBudget(10*smallBody, nil)
	own := newBudget(4*smallBody, whole)
	stalled := &budgetedBody{ReadCloser: io.NopCloser(iotest.TimeoutReader(iotest.OneByteReader(neverEnding('x')))), memory: own}
	if _, err := readLarge(stalled, maxBody); !errors.Is(err, iotest.ErrTimeout) || own.left != 4*smallBody {
		t.Errorf("%v, %d left", err, own.left)
	}
	greedy := &budgetedBody{ReadCloser: io.NopCloser(neverEnding('x')), memory: own}
	if _, err := readLarge(greedy, -1); !errors.Is(err, errBusy) || own.left != 0 || whole.left != 6*smallBody {
		t.Errorf("%v, %d and %d left", err, own.left, whole.left)
	}
	greedy.release()
	if own.left != 4*smallBody || whole.left != 10*smallBody {
		t.Errorf("%d and %d left", own.left, whole.left)
	}
}

func TestLargeBodies(t *testing.T) {
	for _, n := range []int{smallBody, smallBody + 1, 2 * smallBody, 5*smallBody + 7} {
		for _, length := range []int64{-1, int64(n), int64(n + 1)} {
			got, err := readLarge(bytes.NewReader(bytes.Repeat([]byte{'x'}, n)), length)
			if wrong := length > int64(n); (err != nil) != wrong || !wrong && len(got) != n {
				t.Errorf("%d bytes said to be %d: %d, %v", n, length, len(got), err)
			}
		}
	}
	w := newWorld(t)
	body := "{" + strings.Repeat(" ", 3*smallBody) + "}"
	if rec := w.do(call{target: "AmazonSQS.ListQueues", body: body}); rec.Code != http.StatusOK {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if w.memory.left != maxBuffered {
		t.Errorf("%d bytes of the budget are gone", maxBuffered-w.memory.left)
	}
}
