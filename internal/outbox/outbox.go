// Package outbox delivers what a service must tell others, written in the same transaction as the change that it tells of.
//
// A handler is of one of three sorts. Apply runs inside the transaction that removes the message: for effects in croft's own services, which
// therefore happen exactly once. Deliver runs outside any transaction: for functions and outside endpoints, which may see a message more
// than once and never less. Run is a Deliver that says what is to be written when the message is removed. A message that fails waits in the
// timer service and is tried again; after the handler's last attempt its Dead function takes it, in the transaction that removes it. A message that no handler knows is kept and tried again without end.
//
// Messages are sharded by a hash of their key before time. Messages of one key are taken up in commit order; a failed
// message does not hold up those behind it.
//
// Where several processes share the store, each shard is worked off by the one that holds the lease "outbox/N". A new holder reads the
// log from its start, so what the old one had taken up and not removed is taken up again; whoever removes a message decides what became
// of it, and the other finds nothing left to do.
//
// Key layout, below the space "!outbox": shard (8 bytes), then the log of that shard.
package outbox

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"sync"
	"time"

	"croft/internal/clock"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/lease"
	"croft/internal/timer"
)

const (
	shards = 8
	// batch bounds how many messages one look at a shard takes up.
	batch = 64
	// deliveries bounds how many Deliver calls one shard has under way, queued how many messages wait for one in memory. Beyond
	// that the shard waits.
	deliveries = 16
	queued     = 256
	// defaultAttempts is how often a handler that does not say otherwise is tried.
	defaultAttempts = 20
	firstRetry      = 200 * time.Millisecond
	maxRetry        = time.Minute
	retryHandler    = "outbox.retry"
	// finishWithin is how long what is being delivered may go on, by the machine's clock, while another process waits for the shard.
	finishWithin = 10 * time.Second
)

// Message is one thing to tell.
type Message struct {
	// Handler names who takes it: "service.purpose".
	Handler string
	Account string
	Region  string
	// Key orders messages and spreads them over the shards.
	Key  string
	Body []byte
	// Attempt counts the failures so far.
	Attempt int
	// ID is unique to the message and the same for each attempt.
	ID string
}

// Handler takes messages. Exactly one of Apply, Deliver and Run is set. Their context carries a Call of croft's internal principal in the
// message's account and region.
type Handler struct {
	Apply   func(ctx context.Context, m Message) error
	Deliver func(ctx context.Context, m Message) error
	// Run is a Deliver whose result is written: finish, which may be nil, runs in the transaction that removes the message, again and again until
	// that commits. It returns an error only for what may pass, such as the store's.
	Run func(ctx context.Context, m Message) (finish func(ctx context.Context) error, err error)
	// Attempts bounds the tries; zero means 20.
	Attempts int
	// Pause returns how long to wait after the given number of failures; nil means a doubling pause from 200 ms to a minute.
	Pause func(failures int) time.Duration
	// Dead takes a message whose last attempt failed, in the transaction that removes it; nil logs it as an error. When Dead fails,
	// the message is tried once more later.
	Dead func(ctx context.Context, m Message, cause error) error
}

// Outbox is the service. All methods are safe for concurrent use.
type Outbox struct {
	store    kv.Store
	space    kv.Space
	timers   *timer.Timers
	clock    clock.Clock
	log      *slog.Logger
	handlers map[string]Handler
	stop     context.CancelFunc
	done     sync.WaitGroup
}

// New returns the outbox that lies in store. Messages are delivered once Start is called.
func New(store kv.Store, timers *timer.Timers, c clock.Clock, log *slog.Logger) *Outbox {
	return &Outbox{store: store, space: kv.NewSpace(store, "!outbox"), timers: timers, clock: c, log: log}
}

// ErrNoTransaction is returned by Put when ctx carries no transaction: an event without a change to commit with is a mistake.
var ErrNoTransaction = errors.New("outbox: Put outside a transaction")

// Put writes m in the transaction that ctx carries. Account, Region and ID may be left empty: they come from the call in ctx, and
// from crypto/rand.
func (o *Outbox) Put(ctx context.Context, m Message) error {
	if !kv.InTx(ctx, o.store) {
		return ErrNoTransaction
	}
	if m.Account == "" {
		call := cloud.CallOf(ctx)
		m.Account, m.Region = call.Account, call.Region
	}
	if m.ID == "" {
		m.ID = cloud.NewRequestID()
	}
	return o.space.Update(ctx, func(_ context.Context, tx kv.Tx) error {
		return tx.Append(logKey(shardOf(m)), encode(m))
	})
}

func shardOf(m Message) uint64 {
	h := fnv.New32a()
	for _, s := range []string{m.Handler, m.Account, m.Region, m.Key} {
		h.Write([]byte(s))
		h.Write([]byte{0})
	}
	return uint64(h.Sum32() % shards)
}

func logKey(shard uint64) kv.Key { return kv.Key(nil).Uint(shard) }

// Timers returns the timer handlers that the outbox needs: the caller passes them to Timers.Start with everybody else's.
func (o *Outbox) Timers() map[string]timer.Handler {
	return map[string]timer.Handler{retryHandler: o.retry}
}

// retry puts a message that had failed back, to be taken up again.
func (o *Outbox) retry(ctx context.Context, t timer.Timer) error {
	m, err := decode(t.Body)
	if err != nil {
		return fmt.Errorf("outbox: message %s: %w", t.ID, err)
	}
	return o.Put(ctx, m)
}

// Idle reports whether nothing is left to deliver but messages that wait in the timers for their next attempt. It joins the snapshot
// that ctx carries.
func (o *Outbox) Idle(ctx context.Context) (idle bool, err error) {
	err = o.space.View(ctx, func(_ context.Context, r kv.Reader) error {
		idle = true
		for _, err := range r.Scan(kv.PrefixRange(nil), kv.ScanOptions{Limit: 1}) {
			idle = false
			return err
		}
		return nil
	})
	return idle, err
}

// Start begins to deliver, until Close, the shards that leases give this process. It is called once.
func (o *Outbox) Start(leases lease.Leases, handlers map[string]Handler) {
	ctx, stop := context.WithCancel(context.Background())
	o.stop, o.handlers = stop, handlers
	for shard := range uint64(shards) {
		o.done.Go(func() {
			leases.Run(ctx, fmt.Sprintf("outbox/%d", shard), func(held context.Context) { o.work(ctx, held, shard) })
		})
	}
}

// work delivers a shard's messages until held ends. When the shard is wanted elsewhere, it gives what is being delivered some time to finish, so
// that it is not begun anew; the end of ctx or of the lease cuts it short.
func (o *Outbox) work(ctx, held context.Context, shard uint64) {
	delivering, cut := context.WithCancel(ctx)
	defer cut()
	w := &worker{
		o: o, log: logKey(shard), held: held, delivering: delivering,
		queue: make(chan pending, queued), slots: make(chan struct{}, deliveries),
	}
	watch := o.space.Watch(w.log)
	defer watch.Close()
	w.run(held, watch)
	if !errors.Is(context.Cause(held), lease.ErrHandOver) {
		cut()
	}
	finished := make(chan struct{})
	go func() {
		w.running.Wait()
		close(finished)
	}()
	limit := clock.Real().NewTimer(finishWithin)
	defer limit.Stop()
	select {
	case <-finished:
	case <-limit.C():
	case <-ctx.Done():
	}
	cut()
	<-finished
}

// Close stops delivering and waits for what is under way, whose contexts it ends. What was not finished is delivered after the
// next start.
func (o *Outbox) Close() {
	if o.stop == nil {
		return
	}
	o.stop()
	o.done.Wait()
}
