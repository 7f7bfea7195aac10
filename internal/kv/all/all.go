// Package all knows every store and opens one by its location.
package all

import (
	"fmt"
	"log/slog"
	"strings"

	"croft/internal/kv"
	"croft/internal/kv/pebblekv"
	"croft/internal/kv/pgkv"
)

// Options are what every store can be told.
type Options struct {
	// Fsync makes a commit wait until it survives loss of power, where the store leaves a choice.
	Fsync bool
	// Version is this croft's, for other versions to name that find its data.
	Version string
	// Logger receives what operators should know. Nil means none.
	Logger *slog.Logger
}

// Open opens the store at location: "pebble:FOLDER", or just a folder, for the embedded store in that folder; "memory:" for the
// embedded store in memory, gone when it is closed; "postgres://USER:PASSWORD@HOST:PORT/DATABASE" for a database, which several processes may
// share (kv.IsShared).
func Open(location string, o Options) (kv.Store, error) {
	p := pebblekv.Options{Dir: location, Fsync: o.Fsync, Logger: o.Logger}
	if dir, ok := strings.CutPrefix(location, "pebble:"); ok {
		p.Dir = dir
	} else if location == "memory:" {
		p.Dir, p.Ephemeral = "", true
	} else if scheme, _, ok := strings.Cut(location, "://"); ok {
		return openDatabase(scheme, location, o)
	}
	s, err := pebblekv.Open(p)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// openDatabase opens a store whose location is a URL.
func openDatabase(scheme, url string, o Options) (kv.Store, error) {
	if scheme != "postgres" && scheme != "postgresql" {
		return nil, fmt.Errorf("kv: unknown store %q: use a folder, pebble:FOLDER, memory: or postgres://USER:PASSWORD@HOST:PORT/DATABASE", scheme)
	}
	s, err := pgkv.Open(pgkv.Options{URL: url, Fsync: o.Fsync, Version: o.Version, Logger: o.Logger})
	if err != nil {
		return nil, err
	}
	return s, nil
}
