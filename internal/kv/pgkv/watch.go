package pgkv

import (
	"bytes"

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

// wake wakes the watches that changes concern.
func wake(ws *kv.Watchers, changes []change) {
	if ws.None() {
		return
	}
	for _, c := range changes {
		if c.below {
			ws.PokeRange(kv.PrefixRange([]byte(c.key)))
		} else {
			ws.Poke([]byte(c.key))
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
