package engine

import (
	"testing"
	"time"
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

// BenchmarkRestore is the same with SnapStart: what is left to do of a handler that makes a client and a resource of boto3.
func BenchmarkRestore(b *testing.B) {
	w := newWorld(b, func(c *Config) { c.NoAhead = true })
	fn := w.snapFunction(`
import boto3
client = boto3.client("dynamodb")
table = boto3.resource("dynamodb").Table("t")
def handler(event, context): return event
`)
	w.invoke(fn, "{}")
	var restored time.Duration
	n := 0
	for b.Loop() {
		b.StopTimer()
		w.engine.pools.retire(fn.ARN) // the environments, and not the snapshot
		b.StartTimer()
		r := w.invoke(fn, "{}")
		if r.Restore == 0 {
			b.Fatal("a warm one")
		}
		restored += r.Restore
		n++
	}
	b.ReportMetric(float64(restored.Microseconds())/float64(n)/1000, "restore-ms")
}
