package sandbox

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// benchSetup is a sandbox as the engine makes one: three listeners, an interpreter, code in a stock. The program is /bin/true, or what stands for it.
func benchSetup(b *testing.B) (Base, Work, Program) {
	b.Helper()
	stock := b.TempDir()
	if err := os.Chmod(stock, 0o755); err != nil {
		b.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(stock, "code"), 0o755); err != nil {
		b.Fatal(err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { null.Close() })
	return Base{
			Anchor: b.TempDir(), Stock: stock, Binds: []Bind{{Source: "/usr/bin", Target: "/usr/bin"}}, Tunnel: true,
			Listen: []string{"127.0.0.1:9001", "127.0.0.1:2000", "127.0.0.1:4566"}, ListenPackets: []string{"127.0.0.1:2000"},
		}, Work{
			Binds: []Bind{{Source: filepath.Join(stock, "code"), Target: "/var/task"}}, TmpBytes: 512 << 20, Programs: 1,
			Limits: Limits{Memory: 128 << 20, CPUWeight: 100},
		}, Program{Args: []string{"/usr/bin/true"}, Output: null}
}

// cpu is what the benchmark's process and its ended children have taken, in nanoseconds.
func cpu() int64 {
	var total int64
	for _, who := range []int{unix.RUSAGE_SELF, unix.RUSAGE_CHILDREN} {
		var u unix.Rusage
		_ = unix.Getrusage(who, &u)
		total += u.Utime.Nano() + u.Stime.Nano()
	}
	return total
}

// BenchmarkPrepare makes a shell and ends it; the time of the end is not counted, its CPU is.
func BenchmarkPrepare(b *testing.B) {
	base, _, _ := benchSetup(b)
	before := cpu()
	for b.Loop() {
		s, err := Prepare(b.Context(), base)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		end(s)
		b.StartTimer()
	}
	b.ReportMetric(float64(cpu()-before)/float64(b.N), "cpu-ns/op")
}

// BenchmarkStart gives a shell its work.
func BenchmarkStart(b *testing.B) {
	base, work, _ := benchSetup(b)
	for b.Loop() {
		b.StopTimer()
		s, err := Prepare(b.Context(), base)
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if _, err := s.Start(b.Context(), work); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		end(s)
		b.StartTimer()
	}
}

// BenchmarkRun executes a program.
func BenchmarkRun(b *testing.B) {
	base, work, program := benchSetup(b)
	for b.Loop() {
		b.StopTimer()
		s, err := Prepare(b.Context(), base)
		if err != nil {
			b.Fatal(err)
		}
		r, err := s.Start(b.Context(), work)
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if _, err := r.Run(b.Context(), program); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		end(s)
		b.StartTimer()
	}
}
