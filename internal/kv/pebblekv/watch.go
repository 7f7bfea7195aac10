package pebblekv

import (
	"croft/internal/kv"
)

// wake wakes the watches that the writes concern.
func wake(ws *kv.Watchers, log []*write) {
	if ws.None() {
		return
	}
	for _, w := range log {
		if w.op == opDeleteRange {
			ws.PokeRange(w.rng())
		} else {
			ws.Poke(w.key)
		}
	}
}
