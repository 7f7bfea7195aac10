package pebblekv

import (
	"bytes"
	"slices"
	"sync"
	"sync/atomic"

	"croft/internal/kv"
)

// watchers finds the watches that a commit concerns: for each written key, one look-up per length that any watched prefix has.
type watchers struct {
	total atomic.Int64
	mu    sync.RWMutex
	// byPrefix holds the watches of each prefix, and lengths how many prefixes there are of each length, shortest first.
	byPrefix map[string]map[*watch]struct{}
	lengths  []prefixLength
}

type prefixLength struct{ length, prefixes int }

// watch implements kv.Watch.
type watch struct {
	all    *watchers
	prefix string
	c      chan struct{}
}

// C implements kv.Watch.
func (w *watch) C() <-chan struct{} { return w.c }

func (w *watch) poke() {
	select {
	case w.c <- struct{}{}:
	default:
	}
}

// open returns a watch on prefix.
func (ws *watchers) open(prefix []byte) *watch {
	w := &watch{all: ws, prefix: string(prefix), c: make(chan struct{}, 1)}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.byPrefix == nil {
		ws.byPrefix = map[string]map[*watch]struct{}{}
	}
	set := ws.byPrefix[w.prefix]
	if set == nil {
		set = map[*watch]struct{}{}
		ws.byPrefix[w.prefix] = set
		ws.count(len(prefix), 1)
	}
	set[w] = struct{}{}
	ws.total.Add(1)
	return w
}

// Close implements kv.Watch.
func (w *watch) Close() {
	ws := w.all
	ws.mu.Lock()
	defer ws.mu.Unlock()
	set := ws.byPrefix[w.prefix]
	if _, ok := set[w]; !ok {
		return
	}
	delete(set, w)
	ws.total.Add(-1)
	if len(set) == 0 {
		delete(ws.byPrefix, w.prefix)
		ws.count(len(w.prefix), -1)
	}
}

// count notes that there are n more prefixes of that length.
func (ws *watchers) count(length, n int) {
	i, found := slices.BinarySearchFunc(ws.lengths, length, func(p prefixLength, l int) int { return p.length - l })
	if !found {
		ws.lengths = slices.Insert(ws.lengths, i, prefixLength{length: length})
	}
	if ws.lengths[i].prefixes += n; ws.lengths[i].prefixes == 0 {
		ws.lengths = slices.Delete(ws.lengths, i, i+1)
	}
}

// notify pokes the watches that the writes concern.
func (ws *watchers) notify(log []*write) {
	if ws.total.Load() == 0 {
		return
	}
	ws.mu.RLock()
	defer ws.mu.RUnlock()
	for _, w := range log {
		if w.op == opDeleteRange {
			ws.notifyRange(w.rng())
			continue
		}
		for _, l := range ws.lengths {
			if l.length > len(w.key) {
				break
			}
			for w := range ws.byPrefix[string(w.key[:l.length])] {
				w.poke()
			}
		}
	}
}

// notifyRange pokes the watches below whose prefix r has room for keys.
func (ws *watchers) notifyRange(r kv.Range) {
	for prefix, set := range ws.byPrefix {
		p := kv.PrefixRange([]byte(prefix))
		if r.End != nil && bytes.Compare(p.Start, r.End) >= 0 || p.End != nil && bytes.Compare(r.Start, p.End) >= 0 {
			continue
		}
		for w := range set {
			w.poke()
		}
	}
}
