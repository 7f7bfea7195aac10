package runtimeapi

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// sockets returns the two ends of a stream socket.
func sockets(t testing.TB) (a, b net.Conn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]net.Conn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "socket")
		if ends[i], err = net.FileConn(f); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		c := ends[i]
		t.Cleanup(func() { _ = c.Close() })
	}
	return ends[0], ends[1]
}

// bootstrap is the function's end of a link.
type bootstrap struct {
	t    testing.TB
	conn net.Conn
	done chan struct{} // closes when the server has ended the link
}

func linked(t testing.TB, s *Server) *bootstrap {
	t.Helper()
	mine, theirs := sockets(t)
	b := &bootstrap{t: t, conn: theirs, done: make(chan struct{})}
	go func() {
		s.ServeFrames(mine)
		close(b.done)
	}()
	t.Cleanup(func() {
		_ = theirs.Close()
		<-b.done
	})
	return b
}

func frameOf(kind byte, header string, body []byte) []byte {
	f := make([]byte, 0, framePrefix+len(header)+len(body))
	f = binary.LittleEndian.AppendUint32(f, uint32(5+len(header)+len(body)))
	f = append(f, kind)
	f = binary.LittleEndian.AppendUint32(f, uint32(len(header)))
	f = append(f, header...)
	return append(f, body...)
}

func (b *bootstrap) send(kind byte, header, body string) {
	b.t.Helper()
	if _, err := b.conn.Write(frameOf(kind, header, []byte(body))); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bootstrap) receive(kind byte) (map[string]any, string) {
	b.t.Helper()
	var prefix [9]byte
	if _, err := io.ReadFull(b.conn, prefix[:]); err != nil {
		b.t.Fatal(err)
	}
	rest := make([]byte, binary.LittleEndian.Uint32(prefix[:])-5)
	if _, err := io.ReadFull(b.conn, rest); err != nil {
		b.t.Fatal(err)
	}
	n := binary.LittleEndian.Uint32(prefix[5:])
	var h map[string]any
	if err := json.Unmarshal(rest[:n], &h); err != nil || prefix[4] != kind {
		b.t.Fatalf("kind %q, header %s: %v", prefix[4], rest[:n], err)
	}
	return h, string(rest[n:])
}

// readied returns a link whose runtime waits for an event.
func readied(t testing.TB, s *Server) *bootstrap {
	t.Helper()
	if err := s.Assign(Assignment{Handler: "app.handler", Env: map[string]string{"A": "1"}, SDK: "/sdk"}); err != nil {
		t.Fatal(err)
	}
	b := linked(t, s)
	h, _ := b.receive('A')
	if env, _ := h["env"].(map[string]any); h["handler"] != "app.handler" || h["sdk"] != "/sdk" || env["A"] != "1" || h["restore"] != false {
		t.Fatalf("assigned %v", h)
	}
	b.send('R', `{"pid":7,"unknown":{}}`, "")
	<-s.Ready()
	return b
}

func TestFrames(t *testing.T) {
	s := New(Options{})
	b := readied(t, s)
	inv := Invocation{
		RequestID: "id-1", Payload: []byte(`{"a":1}`), Deadline: time.UnixMilli(1234567), FunctionARN: "arn:x",
		TraceID: "Root=1", ClientContext: `{"custom":{"ü":"1"}}`, Identity: `{"i":1}`, Tenant: "t",
	}
	got := invoke(t.Context(), s, inv)
	h, body := b.receive('N')
	for name, want := range map[string]any{
		"id": "id-1", "deadline": 1234567.0, "arn": "arn:x", "trace": "Root=1", "context": `{"custom":{"ü":"1"}}`, "identity": `{"i":1}`, "tenant": "t",
	} {
		if h[name] != want {
			t.Errorf("%s: %v", name, h[name])
		}
	}
	if body != `{"a":1}` {
		t.Errorf("body %s", body)
	}
	b.send('O', `{"type":"application/json"}`, "done")
	if o := <-got; o.err != nil || string(o.Payload) != "done" || o.MediaType != "application/json" || o.ErrorType != "" || o.Size != 4 {
		t.Errorf("%+v", o)
	}
	<-s.Settled()
	large := strings.Repeat("x", 1<<20)
	got = invoke(t.Context(), s, Invocation{RequestID: "id-2", Payload: []byte(large)})
	if _, body := b.receive('N'); body != large {
		t.Errorf("%d bytes came", len(body))
	}
	b.send('E', `{"type":"ValueError"}`, large)
	if o := <-got; o.err != nil || o.ErrorType != "ValueError" || string(o.Payload) != large {
		t.Errorf("%v %q, %d bytes", o.err, o.ErrorType, len(o.Payload))
	}
	got = invoke(t.Context(), s, Invocation{RequestID: "id-3"})
	b.receive('N')
	b.send('E', ``, "")
	if o := <-got; o.ErrorType != "Unhandled" {
		t.Errorf("%+v", o)
	}
}

func TestFramesInitError(t *testing.T) {
	s := New(Options{})
	b := linked(t, s)
	if err := s.Assign(Assignment{}); err != nil {
		t.Fatal(err)
	}
	if h, _ := b.receive('A'); h["env"] != nil {
		t.Errorf("an environment that nobody gave: %v", h)
	}
	b.send('I', `{"type":"Runtime.ImportModuleError"}`, `{"errorMessage":"m"}`)
	<-s.Failed()
	if a := s.InitError(); a.ErrorType != "Runtime.ImportModuleError" || string(a.Payload) != `{"errorMessage":"m"}` {
		t.Errorf("%+v", a)
	}
	if s.Assign(Assignment{}) == nil {
		t.Error("assigned twice")
	}
}

// TestOversizedFrame: the answer is lost, the environment is not.
func TestOversizedFrame(t *testing.T) {
	s := New(Options{MaxResponse: 1000})
	b := readied(t, s)
	got := invoke(t.Context(), s, Invocation{RequestID: "id"})
	b.receive('N')
	b.send('O', `{}`, strings.Repeat("x", 1001))
	if o := <-got; o.ErrorType != "Function.ResponseSizeTooLarge" || !strings.Contains(string(o.Payload), "(1000 bytes)") {
		t.Errorf("%+v", o)
	}
	<-s.Settled()
	got = invoke(t.Context(), s, Invocation{RequestID: "id-2"})
	b.receive('N')
	b.send('O', `{}`, strings.Repeat("x", 1000))
	if o := <-got; o.err != nil || len(o.Payload) != 1000 {
		t.Errorf("%+v", o)
	}
}

// TestFrameBreaches has runtimes that break the protocol: their environments end, and nothing else does.
func TestFrameBreaches(t *testing.T) {
	ready, event := frameOf('R', `{}`, nil), frameOf('O', `{}`, nil)
	for name, c := range map[string]struct {
		assigned, invoked bool
		bytes             []byte
	}{
		"ready before it is assigned":  {bytes: ready},
		"failed before it is assigned": {bytes: frameOf('I', `{}`, nil)},
		"an answer before ready":       {assigned: true, bytes: event},
		"ready twice":                  {assigned: true, bytes: append(bytes.Clone(ready), ready...)},
		"an answer to nothing":         {assigned: true, bytes: append(bytes.Clone(ready), event...)},
		"two answers":                  {assigned: true, invoked: true, bytes: append(bytes.Clone(event), event...)},
		"init error while running":     {assigned: true, invoked: true, bytes: frameOf('I', `{}`, nil)},
		"an unknown kind":              {assigned: true, bytes: frameOf('?', `{}`, nil)},
		"the server's own kind":        {assigned: true, bytes: frameOf('N', `{}`, nil)},
		"a header beyond the frame":    {assigned: true, bytes: []byte{6, 0, 0, 0, 'R', 9, 0, 0, 0, '{', '}'}},
		"a length below the least":     {assigned: true, bytes: []byte{4, 0, 0, 0, 'R', 0, 0, 0, 0}},
		"a header too large":           {assigned: true, bytes: frameOf('R', strings.Repeat(" ", maxHeader+1), nil)},
		"a header that is no JSON":     {assigned: true, bytes: frameOf('R', `{`, nil)},
		"a body where there is none":   {assigned: true, bytes: frameOf('R', `{}`, []byte("x"))},
		"an error beyond the bound":    {assigned: true, bytes: frameOf('I', `{}`, make([]byte, MaxPayload+1))},
		"a chunk without a stream":     {assigned: true, invoked: true, bytes: frameOf('C', ``, []byte("x"))},
		"a chunk too large":            {assigned: true, invoked: true, bytes: append(frameOf('S', ``, nil), frameOf('C', ``, make([]byte, maxChunk+1))...)},
		"an answer in a stream":        {assigned: true, invoked: true, bytes: append(frameOf('S', ``, nil), event...)},
		"an end half way":              {assigned: true, invoked: true, bytes: frameOf('O', ``, make([]byte, 100))[:50]},
		"nothing":                      {assigned: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := New(Options{})
			b := linked(t, s)
			if c.assigned {
				if err := s.Assign(Assignment{}); err != nil {
					t.Fatal(err)
				}
				b.receive('A')
			}
			ctx, cancel := context.WithCancelCause(t.Context())
			var got <-chan outcome
			if c.invoked {
				b.send('R', `{}`, "")
				got = invoke(ctx, s, Invocation{RequestID: "id"})
				b.receive('N')
			}
			_, _ = b.conn.Write(c.bytes) // the server may have closed it already
			_ = b.conn.(*net.UnixConn).CloseWrite()
			<-b.done
			if _, err := s.Invoke(t.Context(), Invocation{RequestID: "next"}); !errors.Is(err, ErrNotTaken) {
				t.Errorf("an invocation afterwards: %v", err)
			}
			cancel(errors.New("the process has ended"))
			if c.invoked {
				if o := <-got; errors.Is(o.err, ErrNotTaken) {
					t.Errorf("the invocation: %+v", o)
				}
			}
		})
	}
}

// TestFramesGivenUp has a runtime that does not read its event, and one that does not answer.
func TestFramesGivenUp(t *testing.T) {
	why := errors.New("why")
	for _, size := range []int{10, MaxPayload} {
		s := New(Options{})
		readied(t, s)
		ctx, cancel := context.WithCancelCause(t.Context())
		got := invoke(ctx, s, Invocation{RequestID: "id", Payload: make([]byte, size)})
		for taken := false; !taken; {
			s.mu.Lock()
			taken = s.state == running
			s.mu.Unlock()
		}
		cancel(why)
		if o := <-got; !errors.Is(o.err, why) || errors.Is(o.err, ErrNotTaken) {
			t.Errorf("%d bytes: %v", size, o.err)
		}
		s.Close()
	}
}

// TestFramesOfTheDead: the runtime is gone before it gets an event.
func TestFramesOfTheDead(t *testing.T) {
	s := New(Options{})
	b := readied(t, s)
	if err := b.conn.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Invoke(t.Context(), Invocation{RequestID: "id"}); !errors.Is(err, ErrNotTaken) {
		t.Errorf("the invocation: %v", err)
	}
	<-b.done
	if _, err := s.Invoke(t.Context(), Invocation{RequestID: "id"}); !errors.Is(err, ErrNotTaken) {
		t.Errorf("the next: %v", err)
	}
}

func FuzzFrames(f *testing.F) {
	f.Add(frameOf('R', `{"pid":1}`, nil))
	f.Add(append(frameOf('R', `{}`, nil), frameOf('O', `{"type":"a"}`, []byte("x"))...))
	f.Add(append(append(frameOf('R', `{}`, nil), frameOf('S', `{}`, nil)...), append(frameOf('C', ``, []byte("x")), frameOf('Z', `{"type":"e","error":"e30="}`, nil)...)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := newFrameReader(bytes.NewReader(b))
		for {
			_, _, err := r.next()
			if err != nil {
				return
			}
			left := r.left
			if body, err := r.body(); err != nil || int64(len(body)) != left {
				return
			}
		}
	})
}

// BenchmarkFrames is an echo of 200 bytes by a Go program in the same process.
func BenchmarkFrames(b *testing.B) {
	s := New(Options{})
	peer := readied(b, s)
	go func() {
		r := newFrameReader(peer.conn)
		for {
			if _, _, err := r.next(); err != nil {
				return
			}
			body, err := r.body()
			if err != nil {
				return
			}
			if _, err := peer.conn.Write(frameOf('O', `{"type":"application/json"}`, body)); err != nil {
				return
			}
		}
	}()
	inv := Invocation{
		RequestID: "8476a536-e9f4-11e8-9739-2dfe598c3fcd", Payload: bytes.Repeat([]byte("x"), 200), FunctionARN: "arn:aws:lambda:us-east-1:123456789012:function:f",
	}
	b.ReportAllocs()
	for b.Loop() {
		if a, err := s.Invoke(context.Background(), inv); err != nil || len(a.Payload) != 200 {
			b.Fatal(err, len(a.Payload))
		}
	}
}

func clockless(t *testing.T) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(t.Context())
	return ctx, func() { cancel(errors.New("why")) }
}

// FuzzLink has a runtime that says anything at all, before and after it got an event: the link ends, and the server lives.
func FuzzLink(f *testing.F) {
	ready, answer := frameOf('R', `{"pid":1}`, nil), frameOf('O', `{"type":"a"}`, []byte("x"))
	stream := append(append(frameOf('S', `{}`, nil), frameOf('C', ``, []byte("x"))...), frameOf('Z', `{"type":"e","error":"e30="}`, nil)...)
	f.Add(append(bytes.Clone(ready), answer...))
	f.Add(append(bytes.Clone(ready), stream...))
	f.Add(append(append(append(bytes.Clone(ready), stream...), frameOf('E', `{}`, nil)...), answer...))
	f.Add(frameOf('I', `{"type":"e"}`, []byte("{}")))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := New(Options{MaxResponse: 100, MaxStreamed: 100})
		if err := s.Assign(Assignment{}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		rec := &record{}
		got := invoke(ctx, s, Invocation{RequestID: "id", Stream: rec})
		mine, theirs := net.Pipe()
		drained := make(chan struct{})
		go func() {
			_, _ = io.Copy(io.Discard, theirs)
			close(drained)
		}()
		go func() {
			_, _ = theirs.Write(b)
			_ = theirs.Close()
		}()
		s.ServeFrames(mine)
		cancel()
		o := <-got
		if o.err == nil && (o.Size > 100 || len(o.Payload) > 1000) {
			t.Errorf("%+v", o)
		}
		if _, err := s.Invoke(t.Context(), Invocation{RequestID: "next"}); !errors.Is(err, ErrNotTaken) {
			t.Errorf("an invocation afterwards: %v", err)
		}
		<-drained
		s.Close()
	})
}
