package kv

import (
	"bytes"
	"sync"
	"sync/atomic"

	"github.com/tidwall/btree"
)

// Watchers is what back ends make Store.Watch of: the open watches, and which of them a change concerns. For a key that is one look-up per length
// that any watched prefix has. The zero value has no watches. It is safe for concurrent use.
type Watchers struct {
	total    atomic.Int64
	mu       sync.RWMutex
	byPrefix map[string]map[*watch]struct{}
	// prefixes has the keys of byPrefix in their order, lengths how many there are of each length.
	prefixes btree.Set[string]
	lengths  btree.Map[int, int]
}

type watch struct {
	all    *Watchers
	prefix string
	c      chan struct{}
}

// C implements Watch.
func (w *watch) C() <-chan struct{} { return w.c }

// Open opens a watch on the keys that begin with prefix.
func (ws *Watchers) Open(prefix []byte) Watch {
	w := &watch{all: ws, prefix: string(prefix), c: make(chan struct{}, 1)}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	set := ws.byPrefix[w.prefix]
	if set == nil {
		if ws.byPrefix == nil {
			ws.byPrefix = map[string]map[*watch]struct{}{}
		}
		set = map[*watch]struct{}{}
		ws.byPrefix[w.prefix] = set
		ws.prefixes.Insert(w.prefix)
		n, _ := ws.lengths.Get(len(w.prefix))
		ws.lengths.Set(len(w.prefix), n+1)
	}
	set[w] = struct{}{}
	ws.total.Add(1)
	return w
}

// Close implements Watch.
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
	if len(set) > 0 {
		return
	}
	delete(ws.byPrefix, w.prefix)
	ws.prefixes.Delete(w.prefix)
	n, _ := ws.lengths.Get(len(w.prefix))
	if n == 1 {
		ws.lengths.Delete(len(w.prefix))
	} else {
		ws.lengths.Set(len(w.prefix), n-1)
	}
}

// None reports whether there are no watches, so that a commit need not work out what it changed.
func (ws *Watchers) None() bool { return ws.total.Load() == 0 }

// Poke wakes the watches of the prefixes that key begins with.
func (ws *Watchers) Poke(key []byte) {
	if ws.None() {
		return
	}
	ws.mu.RLock()
	defer ws.mu.RUnlock()
	ws.poke(key)
}

func (ws *Watchers) poke(key []byte) {
	ws.lengths.Scan(func(length, _ int) bool {
		if length > len(key) {
			return false
		}
		wake(ws.byPrefix[string(key[:length])])
		return true
	})
}

// PokeRange wakes the watches below whose prefix r has room for keys.
func (ws *Watchers) PokeRange(r Range) {
	if ws.None() {
		return
	}
	ws.mu.RLock()
	defer ws.mu.RUnlock()
	// A prefix whose keys meet r either begins r's start, or lies in r itself.
	ws.poke(r.Start)
	ws.prefixes.Ascend(string(r.Start), func(prefix string) bool {
		if r.End != nil && bytes.Compare([]byte(prefix), r.End) >= 0 {
			return false
		}
		wake(ws.byPrefix[prefix])
		return true
	})
}

func wake(set map[*watch]struct{}) {
	for w := range set {
		select {
		case w.c <- struct{}{}:
		default:
		}
	}
}
