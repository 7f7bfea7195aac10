package app

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"time"

	"croft/internal/awsapi/logs"
	"croft/internal/clock"
	"croft/internal/wire"
)

const (
	// followPause is the least time between two looks at the stored lines.
	followPause = 100 * time.Millisecond
	// awayPause is the pause after stored lines could not be read.
	awayPause = time.Second
	// lateness is how far behind the newest line one may be stored and still be shown.
	lateness = 10 * time.Second
	// maxShown bounds the lines that are remembered as shown. Beyond it late ones are not shown.
	maxShown = 100_000
)

// followStored shows stored lines and then those that are added, until ctx ends: where functions run on several nodes, the store alone knows
// all of them.
func (a *App) followStored(ctx context.Context, name string, since time.Time, out lines) error {
	call := a.root(ctx)
	watch := a.deps.Space(call, "logs").Watch(nil)
	defer watch.Close()
	seen := &shown{ids: map[string]int64{}}
	for failures := 0; ; {
		_, err := a.past(ctx, name, since, seen, out)
		if err := http.NewResponseController(out.w).Flush(); err != nil {
			return err
		}
		if err != nil {
			if failures++; failures == 1 {
				a.opts.Log.Debug("logs cannot be read; trying again every second", "err", err)
			}
			if clock.Sleep(ctx, clock.Real(), awayPause) != nil {
				return nil // the client has gone
			}
			continue
		}
		failures = 0
		if from := seen.forget(); from.After(since) {
			since = from
		}
		if err := clock.Sleep(ctx, clock.Real(), followPause); err != nil {
			return nil // the client has gone
		}
		select {
		case <-watch.C():
		case <-ctx.Done():
			return nil
		}
	}
}

// shown are the newest of the lines that have been shown, by their events' ids. Nil remembers nothing.
type shown struct {
	// ids has the times of events, in milliseconds since 1970.
	ids    map[string]int64
	newest int64
}

// others returns the events that were not shown before, and takes note of them.
func (s *shown) others(events []logs.FilteredLogEvent) []logs.FilteredLogEvent {
	if s == nil {
		return events
	}
	return slices.DeleteFunc(events, func(e logs.FilteredLogEvent) bool {
		id, at := wire.Value(e.EventId), wire.Value(e.Timestamp)
		if _, twice := s.ids[id]; twice {
			return true
		}
		s.ids[id] = at
		s.newest = max(s.newest, at)
		return false
	})
}

// forget returns the time from which lines are still looked for, and drops what is older.
func (s *shown) forget() time.Time {
	from := s.newest - lateness.Milliseconds()
	if len(s.ids) > maxShown {
		from = s.newest
	}
	maps.DeleteFunc(s.ids, func(_ string, at int64) bool { return at < from })
	return time.UnixMilli(from)
}
