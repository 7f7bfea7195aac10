package runtimes

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"croft/internal/clock"
	"croft/internal/engine/sandbox"
)

const hello = "def handler(event, context): return event\n"

const clients = `
import boto3
client = boto3.client("dynamodb")
table = boto3.resource("dynamodb").Table("t")
def handler(event, context): return event
`

// spans are measured times: on a busy machine their mean says little.
type spans []time.Duration

func (s spans) report(b *testing.B) {
	slices.Sort(s)
	if len(s) > 0 {
		b.ReportMetric(float64(s[len(s)/2].Microseconds())/1000, "p50-ms")
		b.ReportMetric(float64(s[0].Microseconds())/1000, "least-ms")
	}
}

// BenchmarkFork forks a process into a sandbox that waits for it.
func BenchmarkFork(b *testing.B) {
	s := newStand(b)
	l := s.prepare(s.code(map[string]string{"app.py": hello}), "", "app.handler", nil)
	parent, err := l.Boot.Parent(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	var taken spans
	defer func() { taken.report(b) }()
	for b.Loop() {
		b.StopTimer()
		v := s.spare(b.Context(), l, true)
		p, done := v.program(sandbox.Program{}, true)
		b.StartTimer()
		begin := clock.Real().Now()
		if err := v.shell.Fork(b.Context(), parent, p); err != nil {
			b.Fatal(err)
		}
		taken = append(taken, clock.Real().Now().Sub(begin))
		b.StopTimer()
		done()
		v.end()
		b.StartTimer()
	}
}

// BenchmarkAssign is the time until ready, in a sandbox that has its function, of a process that waits and of one that starts fresh.
func BenchmarkAssign(b *testing.B) {
	for _, c := range []struct {
		name, text string
		fresh      bool
	}{{"hello", hello, false}, {"hello-fresh", hello, true}, {"boto3", clients, false}, {"boto3-fresh", clients, true}} {
		b.Run(c.name, func(b *testing.B) {
			s := newStand(b)
			code := s.code(map[string]string{"app.py": c.text})
			env := map[string]string{"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"}
			l := s.prepare(code, "", "app.handler", env)
			var taken spans
			defer func() { taken.report(b) }()
			for b.Loop() {
				b.StopTimer()
				v := s.spare(b.Context(), l, c.fresh)
				v.begin(b.Context(), l, code, "", "app.handler", env)
				b.StartTimer()
				begin := clock.Real().Now()
				v.assign(b.Context(), l, "app.handler")
				if failure := v.await(); failure != "" {
					b.Fatal(failure, v.out)
				}
				taken = append(taken, clock.Real().Now().Sub(begin))
				b.StopTimer()
				v.end()
				b.StartTimer()
			}
		})
	}
}

// BenchmarkIdleMemory is the proportional memory of each of a hundred environments that have answered once.
func BenchmarkIdleMemory(b *testing.B) {
	const count = 100
	for _, c := range []struct {
		name, text string
		fresh      bool
	}{{"hello", hello, false}, {"hello-fresh", hello, true}, {"boto3", clients, false}, {"boto3-fresh", clients, true}} {
		b.Run(c.name, func(b *testing.B) {
			s := newStand(b)
			code := s.code(map[string]string{"app.py": c.text + "import os\ndef pss(e, c): return [l.split()[1] for l in open('/proc/self/smaps_rollup') if l.startswith('Pss:')][0]\n"})
			l := s.prepare(code, "", "app.pss", nil)
			for b.Loop() {
				var total float64
				all := make([]*live, count)
				for i := range all {
					all[i] = s.spare(b.Context(), l, c.fresh)
					all[i].start(b.Context(), l, code, "", "app.pss", nil)
					if failure := all[i].await(); failure != "" {
						b.Fatal(failure)
					}
					all[i].invoke("{}")
				}
				for _, v := range all {
					text, _ := v.invoke("{}")
					kb, err := strconv.Atoi(strings.Trim(text, `"`))
					if err != nil {
						b.Fatal(text)
					}
					total += float64(kb)
				}
				b.ReportMetric(total/count/1024, "MiB/environment")
				for _, v := range all {
					v.end()
				}
			}
			_ = os.RemoveAll(code)
		})
	}
}
