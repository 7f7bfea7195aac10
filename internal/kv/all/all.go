// Package all knows every store and opens one by its URL.
package all

import (
	"fmt"
	"log/slog"
	"net/url"

	"croft/internal/kv"
	"croft/internal/kv/pebblekv"
)

// Options are what every store can be told.
type Options struct {
	// Fsync makes a commit wait until it survives loss of power, where the store leaves a choice.
	Fsync bool
	// Logger receives what operators should know. Nil means none.
	Logger *slog.Logger
}

// Open opens the store at location. "pebble:" followed by a folder is the embedded store in that folder, and so is a location
// without a scheme; "memory:" is the embedded store in memory, gone when it is closed.
func Open(location string, o Options) (kv.Store, error) {
	u, err := url.Parse(location)
	if err != nil || len(u.Scheme) < 2 {
		// One letter is a drive, not a scheme.
		return pebblekv.Open(pebblekv.Options{Dir: location, Fsync: o.Fsync, Logger: o.Logger})
	}
	switch u.Scheme {
	case "pebble":
		dir := u.Opaque
		if dir == "" {
			dir = u.Path
		}
		return pebblekv.Open(pebblekv.Options{Dir: dir, Fsync: o.Fsync, Logger: o.Logger})
	case "memory":
		return pebblekv.Open(pebblekv.Options{Ephemeral: true, Logger: o.Logger})
	}
	return nil, fmt.Errorf("kv: unknown store %q: use a folder, pebble:FOLDER or memory:", u.Scheme)
}
