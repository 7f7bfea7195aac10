// Package poller takes messages from sources to functions: the mechanism under event source mappings.
//
// A Set runs one runner per mapping. A runner receives from its source, gathers a batch, and hands batches to the mapping's Send,
// several at a time up to the mapping's concurrency; it receives only while it may start another batch, so that messages do not lose
// their time waiting in memory. What Send has handled is removed from the source. Everything else stays with the source, which
// offers it again in its own time. A mapping that changes or goes stops receiving at once; batches under way are finished.
//
// Where several processes poll the same sources, the one that holds the lease "mapping/KEY" receives for a mapping. Batches that the former
// holder has under way it finishes; until then more than the mapping's concurrency may be under way in all.
//
// The package knows nothing of the store or of functions: sources are the other side of Source, functions of Send.
package poller

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"croft/internal/clock"
	"croft/internal/lease"
)

// Message is one message of a source.
type Message struct {
	// ID is what a function names to say that it could not handle the message.
	ID string
	// Handle is what the source needs to remove the message.
	Handle string
	// Record is the message as functions see it: one element of their event's Records.
	Record json.RawMessage
	// Trace is the trace header that the message came with; empty for none.
	Trace string
}

// Source is where messages come from. It is used by several goroutines at once.
type Source interface {
	// Receive returns at most max messages. It waits up to wait, a whole number of seconds, for the first one; none is no error.
	Receive(ctx context.Context, max int, wait time.Duration) ([]Message, error)
	// Remove takes messages that have been handled out of the source.
	Remove(ctx context.Context, handled []Message) error
}

// Send hands a batch to a function and returns the messages that it handled. A batch that the function failed is no error: nothing
// of it is handled. An error means that the function could not be asked, and makes the mapping slow down.
type Send func(ctx context.Context, batch []Message) (handled []Message, err error)

// Mapping says what to poll and where to send it.
type Mapping struct {
	// Key names the mapping. A mapping of the same key and another Revision replaces it.
	Key, Revision string
	// BatchSize is the most messages that one batch has.
	BatchSize int
	// Window is how long a batch that is not full waits for more, from its first message on.
	Window time.Duration
	// Concurrency is the most batches under way at a time.
	Concurrency int
	// MaxBytes bounds the records of one batch, in bytes.
	MaxBytes int
	Source   Source
	Send     Send
}

const (
	// longPoll is how long a source that has nothing is waited for at a time.
	longPoll = 20 * time.Second
	// receiveMax is the most messages asked for at a time: what SQS allows.
	receiveMax         = 10
	firstPause         = time.Second
	maxPause           = time.Minute
	maxPauseAfterFails = 6
)

// Set is a changing set of mappings. Its methods are for one goroutine.
type Set struct {
	ctx     context.Context
	leases  lease.Leases
	clock   clock.Clock
	log     *slog.Logger
	runners map[string]*runner
	running sync.WaitGroup
}

// New returns an empty set, which polls until ctx ends, for the mappings that leases give this process.
func New(ctx context.Context, leases lease.Leases, c clock.Clock, log *slog.Logger) *Set {
	return &Set{ctx: ctx, leases: leases, clock: c, log: log, runners: map[string]*runner{}}
}

// Apply makes the set poll exactly these mappings.
func (s *Set) Apply(mappings []Mapping) {
	wanted := make(map[string]bool, len(mappings))
	for _, m := range mappings {
		wanted[m.Key] = true
		old := s.runners[m.Key]
		if old != nil && old.Revision == m.Revision {
			continue
		}
		if old != nil {
			old.stop()
		}
		s.runners[m.Key] = s.start(m)
	}
	for key, r := range s.runners {
		if !wanted[key] {
			r.stop()
			delete(s.runners, key)
		}
	}
}

func (s *Set) start(m Mapping) *runner {
	receiving, stop := context.WithCancel(s.ctx)
	r := &runner{
		Mapping: m, stop: stop, clock: s.clock, log: s.log.With("mapping", m.Key),
		slots: make(chan struct{}, max(1, m.Concurrency)),
	}
	s.running.Go(func() {
		s.leases.Run(receiving, "mapping/"+m.Key, func(held context.Context) { r.run(held, s.ctx, &s.running) })
	})
	return r
}

// Close stops receiving and waits for the batches under way, which the end of New's ctx cuts short.
func (s *Set) Close() {
	for key, r := range s.runners {
		r.stop()
		delete(s.runners, key)
	}
	s.running.Wait()
}
