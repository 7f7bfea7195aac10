package pgkv

import (
	"bytes"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/tidwall/btree"

	"croft/internal/kv"
)

// change is what a commit changed: key, or with below anything that begins with key.
type change struct {
	key   string
	below bool
}

// changesOf returns the changes that a commit of o makes.
func changesOf(o *overlay) []change {
	var out []change
	if o.keys != nil {
		o.keys.Scan(func(w own) bool {
			out = append(out, change{key: string(w.key)})
			return true
		})
	}
	for _, h := range o.holes {
		out = append(out, change{string(common(h)), true})
	}
	for _, e := range o.appends {
		out = append(out, change{string(e.log), true})
	}
	return out
}

// common returns a prefix of all keys in r.
func common(r kv.Range) []byte {
	end := r.End
	if end == nil {
		end = lastK()
	}
	return piece{start: r.Start[:min(len(r.Start), deepBytes)], end: end[:min(len(end), deepBytes)]}.prefix()
}

// watchers finds the watches that a change concerns: for a key, one look-up per length that any watched prefix has.
type watchers struct {
	total    atomic.Int64
	mu       sync.RWMutex
	byPrefix btree.Map[string, map[*watch]struct{}]
	// lengths counts the watched prefixes of each length.
	lengths map[int]int
}

// watch implements kv.Watch.
type watch struct {
	all    *watchers
	prefix string
	c      chan struct{}
}

// C implements kv.Watch.
func (w *watch) C() <-chan struct{} { return w.c }

func (ws *watchers) open(prefix []byte) *watch {
	w := &watch{all: ws, prefix: string(prefix), c: make(chan struct{}, 1)}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	set, ok := ws.byPrefix.Get(w.prefix)
	if !ok {
		set = map[*watch]struct{}{}
		ws.byPrefix.Set(w.prefix, set)
		if ws.lengths == nil {
			ws.lengths = map[int]int{}
		}
		ws.lengths[len(prefix)]++
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
	set, _ := ws.byPrefix.Get(w.prefix)
	if _, ok := set[w]; !ok {
		return
	}
	delete(set, w)
	ws.total.Add(-1)
	if len(set) > 0 {
		return
	}
	ws.byPrefix.Delete(w.prefix)
	if ws.lengths[len(w.prefix)]--; ws.lengths[len(w.prefix)] == 0 {
		delete(ws.lengths, len(w.prefix))
	}
}

// poke wakes the watches that changes concern.
func (ws *watchers) poke(changes []change) {
	if ws.total.Load() == 0 {
		return
	}
	ws.mu.RLock()
	defer ws.mu.RUnlock()
	for _, c := range changes {
		for l := range ws.lengths {
			if l <= len(c.key) {
				set, _ := ws.byPrefix.Get(c.key[:l])
				wake(set)
			}
		}
		if !c.below {
			continue
		}
		ws.byPrefix.Ascend(c.key, func(prefix string, set map[*watch]struct{}) bool {
			if !strings.HasPrefix(prefix, c.key) {
				return false
			}
			wake(set)
			return true
		})
	}
}

func wake(set map[*watch]struct{}) {
	for w := range set {
		select {
		case w.c <- struct{}{}:
		default:
		}
	}
}

// everything is a change that concerns every watch.
func everything() []change { return []change{{below: true}} }

// shorten returns c as a change of at most n bytes that concerns whatever c does.
func (c change) shorten(n int) change {
	if len(c.key) > n {
		return change{c.key[:n], true}
	}
	return c
}

// encodeChanges writes changes, which are short, as bytes; decodeChanges reads them, and takes what it cannot read for everything.
func encodeChanges(changes []change) []byte {
	var out bytes.Buffer
	for _, c := range changes {
		n := byte(len(c.key)) << 1
		if c.below {
			n |= 1
		}
		out.WriteByte(n)
		out.WriteString(c.key)
	}
	return out.Bytes()
}

func decodeChanges(b []byte) (out []change) {
	for len(b) > 0 {
		n := int(b[0] >> 1)
		if len(b) < 1+n {
			return everything()
		}
		out = append(out, change{string(b[1 : 1+n]), b[0]&1 == 1})
		b = b[1+n:]
	}
	return out
}
