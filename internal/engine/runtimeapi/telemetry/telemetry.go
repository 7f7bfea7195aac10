// Package telemetry tells the extensions of an environment what happens in it: the Telemetry API, and the Logs API that came before it.
//
// Events are given to Function, Extension and Platform, which never wait. Each subscriber has a bounded queue and a goroutine that sends batches to a
// listener inside the environment. What does not fit into the queue is dropped and counted, and the subscriber is told by a platform.logsDropped event;
// a subscriber that is slow, frozen or dead costs nobody but itself. Delivery is at least once: a batch that a listener refused is sent again.
//
// Source: Lambda Developer Guide, "Lambda Telemetry API reference", "Lambda Telemetry API Event schema reference" and "Using the Lambda Logs API".
package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"croft/internal/clock"
)

// maxEarly bounds what is kept, in bytes, for those who subscribe later in the init phase.
const maxEarly = 256 << 10

// Options says what a Telemetry is made with.
type Options struct {
	Clock clock.Clock
	Log   *slog.Logger
	// Dial connects to a loopback address inside the environment. Nil: nobody can subscribe.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	// JSONLogs says that the function's lines are JSON.
	JSONLogs bool
}

// Telemetry is the stream of events of one environment. It is safe for concurrent use.
type Telemetry struct {
	opt    Options
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup
	// deaf: there is nobody to tell, and nobody will come.
	deaf atomic.Bool

	mu         sync.Mutex
	sealed     bool
	subs       []*subscriber
	early      []event
	earlyBytes int
}

// event is one thing that happened.
type event struct {
	at   time.Time
	kind string
	// record is JSON; object is the same for subscribers that take lines in JSON as objects, nil when there is no difference.
	record, object []byte
}

func (e *event) size() int { return len(e.record) + len(e.kind) + 64 }

// New returns a Telemetry to which extensions can subscribe until Seal.
func New(o Options) *Telemetry {
	t := &Telemetry{opt: o}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t
}

// Function tells of a line that the function, or an internal extension, wrote.
func (t *Telemetry) Function(at time.Time, line string) { t.line(at, kindFunction, line) }

// Extension tells of a line that an external extension wrote.
func (t *Telemetry) Extension(at time.Time, line string) { t.line(at, kindExtension, line) }

// Platform tells of something that the platform did. kind is one of the Kind constants and record the type of that name.
func (t *Telemetry) Platform(at time.Time, kind string, record any) {
	if t.deaf.Load() {
		return
	}
	b, err := json.Marshal(record)
	if err != nil {
		t.opt.Log.Error("telemetry: a record that is no JSON", "kind", kind, "error", err)
		return
	}
	t.tell(event{at: at, kind: kind, record: b})
}

func (t *Telemetry) line(at time.Time, kind, line string) {
	if t.deaf.Load() {
		return
	}
	b, err := json.Marshal(line)
	if err != nil {
		return // a string always encodes
	}
	e := event{at: at, kind: kind, record: b}
	if t.opt.JSONLogs && kind == kindFunction {
		if raw := bytes.TrimSpace([]byte(line)); len(raw) > 0 && raw[0] == '{' && json.Valid(raw) {
			e.object = raw
		}
	}
	t.tell(e)
}

func (t *Telemetry) tell(e event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.subs {
		s.tell(&e)
	}
	if !t.sealed && t.earlyBytes+e.size() <= maxEarly {
		t.early, t.earlyBytes = append(t.early, e), t.earlyBytes+e.size()
	}
}

// Seal ends the time in which extensions can subscribe: the init phase.
func (t *Telemetry) Seal() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sealed, t.early = true, nil
	t.deaf.Store(len(t.subs) == 0)
}

// Flush has everything sent that waits, and returns when it is delivered or given up, or when ctx ends.
func (t *Telemetry) Flush(ctx context.Context) {
	t.mu.Lock()
	subs := slices.Clone(t.subs)
	t.mu.Unlock()
	for _, s := range subs {
		select {
		case <-s.flush():
		case <-ctx.Done():
			return
		}
	}
}

// Close ends all delivery. What has not been sent is lost.
func (t *Telemetry) Close() {
	t.mu.Lock()
	t.sealed, t.early, t.subs = true, nil, nil
	t.deaf.Store(true)
	t.mu.Unlock()
	t.cancel()
	t.work.Wait()
}

// Refusal is why a subscription is refused, as the extension is told.
type Refusal struct {
	Status        int
	Type, Message string
}

// Subscribe subscribes the extension of that name, with the body of its request. Nil: it is subscribed.
func (t *Telemetry) Subscribe(api API, name string, body []byte) *Refusal {
	if t.opt.Dial == nil {
		return &Refusal{202, string(api) + ".NotSupported", string(api) + " API is not supported"}
	}
	sub, err := parse(api, body)
	if err != nil {
		return invalid(api, err.Error())
	}
	sub.name = name
	if r := t.add(sub); r != nil {
		return r
	}
	kind := KindTelemetrySubscription
	if api == Logs {
		kind = KindLogsSubscription
	}
	t.Platform(t.opt.Clock.Now(), kind, Subscription{Name: name, State: "Subscribed", Types: sub.types})
	return nil
}

func (t *Telemetry) add(sub *subscription) *Refusal {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.sealed {
		return &Refusal{403, string(sub.api) + ".SubscriptionClosed", string(sub.api) + " API subscription is closed"}
	}
	for i, old := range t.subs {
		if old.name != sub.name {
			continue
		}
		if old.api != sub.api {
			return invalid(sub.api, "The extension has subscribed to the "+string(old.api)+" API, and cannot subscribe to the "+string(sub.api)+" API too")
		}
		if old.subscription.equal(sub) {
			return nil
		}
		old.cancel() // the new subscription takes its place, and begins at the beginning
		t.subs = slices.Delete(t.subs, i, i+1)
		break
	}
	s := newSubscriber(t.ctx, t.opt, sub)
	for i := range t.early {
		s.tell(&t.early[i])
	}
	t.subs = append(t.subs, s)
	t.work.Go(s.run)
	return nil
}
