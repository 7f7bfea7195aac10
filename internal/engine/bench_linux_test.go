package engine

import (
	"testing"
)

// BenchmarkWarm is an invocation of an echo whose environment is there.
func BenchmarkWarm(b *testing.B) {
	w := newWorld(b, nil)
	fn := w.function("def handler(event, context): return event\n")
	w.invoke(fn, "{}")
	for b.Loop() {
		w.invoke(fn, `{"message": "mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm"}`)
	}
}

// BenchmarkCold is the first invocation of a function whose code is unpacked.
func BenchmarkCold(b *testing.B) {
	w := newWorld(b, func(c *Config) { c.NoAhead = true })
	fn := w.function("def handler(event, context): return event\n")
	w.invoke(fn, "{}")
	for b.Loop() {
		b.StopTimer()
		w.engine.Retire(fn.ARN)
		b.StartTimer()
		if r := w.invoke(fn, "{}"); !r.Cold {
			b.Fatal("a warm one")
		}
	}
}
