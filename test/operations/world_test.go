// Package operations walks every operation that croft lists, on a cloud of all services in memory.
//
// Two things are shown of each. TestStories: a write changes the state and a read shows what was written. TestMembers: every optional
// parameter that the model has is real, refused by name, or documented as without effect.
//
// The steps are those of the stories in testdata/stories, a file for each service. An operation without a step fails the test.
package operations

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/cryptotest"
	"time"

	"croft/internal/app"
	"croft/internal/awsapi/cloudformation"
	"croft/internal/awsapi/logs"
	"croft/internal/clock"
	"croft/internal/cloud"
	"croft/internal/engine"
	"croft/internal/identity"
	"croft/internal/kv"
	"croft/internal/service"
	"croft/internal/service/lambda"
	"croft/internal/service/servicetest"
)

// patience bounds how long a test waits, in real time, for what should take milliseconds.
const patience = 20 * time.Second

// world is a cloud of all services whose functions run on an engine that notes what it is asked for and answers with the event.
type world struct {
	*servicetest.Env
	engine *echo
	vars   map[string]string
	// open is the last call that was answered with a stream of events, and next what takes the next event.
	open *made
	next func() string
}

// echo is the engine. What it was asked for is part of the cloud's state.
type echo struct {
	mu  sync.Mutex
	ran []string
}

func (e *echo) Invoke(_ context.Context, fn engine.Function, inv engine.Invocation) (*engine.Result, error) {
	text, err := json.Marshal([]any{fn, inv})
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	e.ran = append(e.ran, string(text))
	e.mu.Unlock()
	out := &engine.Result{Payload: inv.Payload}
	if inv.Stream != nil {
		out.Payload = nil
		if err := inv.Stream.Begin("application/json", true); err != nil {
			return nil, err
		}
		if _, err := inv.Stream.Write(inv.Payload); err != nil {
			return nil, err
		}
	}
	if inv.Tail {
		out.LogTail = []byte("a line\n")
	}
	return out, nil
}

func (e *echo) Retire(string) {}

func (e *echo) Ahead(engine.Function) {}

func (e *echo) Provision(engine.Function, int) {}

func (e *echo) Provisioned(string, string) engine.Provision { return engine.Provision{} }

// newWorld starts a cloud whose identifiers and keys are the same each time, so that two clouds that did the same can be compared.
func newWorld(t *testing.T) *world {
	t.Helper()
	cryptotest.SetGlobalRandom(t, 1)
	w := &world{engine: &echo{}, vars: map[string]string{}}
	var list []service.Descriptor
	makers := make([]func(service.Deps) service.Descriptor, len(declared()))
	for i := range makers {
		makers[i] = func(d service.Deps) service.Descriptor {
			if list == nil {
				keys, err := identity.New(t.Context(), d.Store, d.Clock)
				if err != nil {
					t.Fatal(err)
				}
				list = app.Services(d, keys, w.engine, lambda.Limits{})
			}
			return list[i]
		}
	}
	w.Env = servicetest.New(t, makers...)
	return w
}

// reseed makes the identifiers that are drawn in a step independent of how many were drawn before it.
func (w *world) reseed(t *testing.T, s step) { cryptotest.SetGlobalRandom(t, uint64(s.line)) }

// declared is what the services declare, without a cloud behind it.
func declared() []service.Descriptor { return app.Services(service.Deps{}, nil, nil, lambda.Limits{}) }

// state is a digest of all that the cloud remembers: every row, and what functions were run for. What operations store in the
// blob store is named by rows.
func (w *world) state(t *testing.T) string {
	t.Helper()
	h := sha256.New()
	part := func(b []byte) {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(b))))
		h.Write(b)
	}
	err := w.Deps.Store.View(t.Context(), func(_ context.Context, r kv.Reader) error {
		for e, err := range r.Scan(kv.Range{}, kv.ScanOptions{}) {
			if err != nil {
				return err
			}
			part(e.Key)
			part(e.Value)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	w.engine.mu.Lock()
	defer w.engine.mu.Unlock()
	for _, inv := range w.engine.ran {
		part([]byte(inv))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// call makes a call and waits until what follows from it has happened. A refusal has a code and a message; any other failure ends the
// test.
func (w *world) call(t *testing.T, target, input string) (answer string, refused *cloud.Error) {
	t.Helper()
	watching := w.Context()
	var err error
	if target == liveTail {
		answer, err = w.listen(t, input)
	} else {
		answer, err = w.Call(target, input)
	}
	if err != nil && !errors.As(err, &refused) {
		t.Fatalf("%s %s: %v", target, input, err)
	}
	if strings.HasPrefix(target, "cloudformation.") {
		w.stacksAtRest(t, watching)
	}
	w.Settle()
	return answer, refused
}

// liveTail is the operation that answers with a stream of events.
const liveTail = "logs.StartLiveTail"

// listen starts a session, which ends with the test, and answers with its first event.
func (w *world) listen(t *testing.T, input string) (string, error) {
	t.Helper()
	in := new(logs.StartLiveTailInput)
	if err := json.Unmarshal([]byte(input), in); err != nil {
		return "", err
	}
	ctx, cancel := context.WithCancel(w.Context())
	t.Cleanup(cancel)
	out, err := logs.NewClient(w.Dispatcher).StartLiveTail(ctx, in)
	if err != nil {
		return "", err
	}
	next, stop := iter.Pull2(iter.Seq2[*logs.StartLiveTailResponseStream, error](out.ResponseStream))
	t.Cleanup(stop)
	w.next = func() string {
		event, err, ok := next()
		text, problem := json.Marshal(event)
		if err != nil || !ok || problem != nil {
			t.Fatalf("the stream ends: %v, %v", err, problem)
		}
		return string(text)
	}
	return w.next(), nil
}

// hear takes the next event of the open stream, a second later.
func (w *world) hear(t *testing.T) *made {
	t.Helper()
	if w.next == nil {
		t.Fatal("no stream is open")
	}
	w.Clock.Advance(time.Second)
	m := *w.open
	m.answer = w.next()
	return &m
}

// stacksAtRest waits until no stack has an operation under way. It asks in one and the same context, which was made before: how often it
// has to ask must not show in the identifiers that others draw.
func (w *world) stacksAtRest(t *testing.T, ctx context.Context) {
	t.Helper()
	watch := w.Deps.Store.Watch(nil)
	defer watch.Close()
	limit := clock.Real().NewTimer(patience)
	defer limit.Stop()
	client := cloudformation.NewClient(w.Dispatcher)
	for {
		answer, err := client.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(answer.Stacks, changing) {
			return
		}
		select {
		case <-watch.C():
		case <-limit.C():
			t.Fatalf("a stack does not come to rest: %+v", answer)
		}
	}
}

func changing(s cloudformation.Stack) bool {
	return strings.HasSuffix(s.StackStatus, "_IN_PROGRESS") && s.StackStatus != cloudformation.StackStatusREVIEWINPROGRESS
}
