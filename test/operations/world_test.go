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
	"strings"
	"sync"
	"testing"
	"testing/cryptotest"
	"time"

	"croft/internal/app"
	"croft/internal/clock"
	"croft/internal/cloud"
	"croft/internal/engine"
	"croft/internal/identity"
	"croft/internal/kv"
	"croft/internal/service"
	"croft/internal/service/servicetest"
)

// patience bounds how long a test waits, in real time, for what should take milliseconds.
const patience = 20 * time.Second

// world is a cloud of all services whose functions run on an engine that notes what it is asked for and answers with the event.
type world struct {
	*servicetest.Env
	engine *echo
	vars   map[string]string
}

// echo is the engine. What it was asked for is part of the cloud's state.
type echo struct {
	mu  sync.Mutex
	ran []string
}

func (e *echo) Invoke(_ context.Context, fn engine.Function, inv engine.Invocation) (*engine.Result, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	text, err := json.Marshal([]any{fn, inv})
	if err != nil {
		return nil, err
	}
	e.ran = append(e.ran, string(text))
	out := &engine.Result{Payload: inv.Payload}
	if inv.Tail {
		out.LogTail = []byte("a line\n")
	}
	return out, nil
}

func (e *echo) Retire(string) {}

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
				list = app.Services(d, keys, w.engine)
			}
			return list[i]
		}
	}
	w.Env = servicetest.New(t, makers...)
	return w
}

// declared is what the services declare, without a cloud behind it.
func declared() []service.Descriptor { return app.Services(service.Deps{}, nil, nil) }

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
	answer, err := w.Call(target, input)
	if err != nil && !errors.As(err, &refused) {
		t.Fatalf("%s %s: %v", target, input, err)
	}
	if strings.HasPrefix(target, "cloudformation.") {
		w.stacksAtRest(t)
	}
	w.Settle()
	return answer, refused
}

// stacksAtRest waits until no stack has an operation under way.
func (w *world) stacksAtRest(t *testing.T) {
	t.Helper()
	watch := w.Deps.Store.Watch(nil)
	defer watch.Close()
	limit := clock.Real().NewTimer(patience)
	defer limit.Stop()
	for {
		answer, err := w.Call("cloudformation.DescribeStacks", "{}")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(strings.ReplaceAll(answer, "REVIEW_IN_PROGRESS", ""), "_IN_PROGRESS") {
			return
		}
		select {
		case <-watch.C():
		case <-limit.C():
			t.Fatalf("a stack does not come to rest: %s", answer)
		}
	}
}
