// Package all knows every store and opens one by its location.
package all

import (
	"fmt"
	"log/slog"
	"strings"

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

// Open opens the store at location: "pebble:FOLDER", or just a folder, for the embedded store in that folder; "memory:" for the
// embedded store in memory, gone when it is closed.
func Open(location string, o Options) (kv.Store, error) {
	p := pebblekv.Options{Dir: location, Fsync: o.Fsync, Logger: o.Logger}
	if dir, ok := strings.CutPrefix(location, "pebble:"); ok {
		p.Dir = dir
	} else if location == "memory:" {
		p.Dir, p.Ephemeral = "", true
	} else if scheme, _, ok := strings.Cut(location, "://"); ok {
		return nil, fmt.Errorf("kv: unknown store %q: use a folder, pebble:FOLDER or memory:", scheme)
	}
	s, err := pebblekv.Open(p)
	if err != nil {
		return nil, err
	}
	return s, nil
}
