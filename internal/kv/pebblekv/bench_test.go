package pebblekv

import (
	"context"
	"sync/atomic"
	"testing"

	"croft/internal/clock"
	"croft/internal/kv"
)

// modes are the ways to open a store, for benchmarks.
func modes() map[string]Options {
	return map[string]Options{"default": {}, "fsync": {Fsync: true}, "memory": {Ephemeral: true}}
}

func benchStore(b *testing.B, o Options) *Store {
	if !o.Ephemeral {
		o.Dir = b.TempDir()
	}
	return open(b, o)
}

func benchPut(b *testing.B, s *Store, n int64, value []byte) {
	err := s.Update(context.Background(), func(_ context.Context, tx kv.Tx) error {
		return tx.Put(kv.Key("account/region/service").Int(n), value)
	})
	if err != nil {
		b.Fatal(err)
	}
}

// BenchmarkCommit puts one kilobyte per transaction, from one goroutine and from sixteen.
func BenchmarkCommit(b *testing.B) {
	value := make([]byte, 1024)
	for name, o := range modes() {
		b.Run(name, func(b *testing.B) {
			s := benchStore(b, o)
			b.ReportAllocs()
			n := int64(0)
			for b.Loop() {
				n++
				benchPut(b, s, n, value)
			}
		})
		b.Run(name+"/16", func(b *testing.B) {
			s := benchStore(b, o)
			var n atomic.Int64
			b.SetParallelism(8)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					benchPut(b, s, n.Add(1), value)
				}
			})
		})
	}
}

// BenchmarkReadWrite is the usual small transaction: two reads that are checked, two writes.
func BenchmarkReadWrite(b *testing.B) {
	s := benchStore(b, Options{})
	fill(b, s)
	value := make([]byte, 200)
	b.ReportAllocs()
	for b.Loop() {
		err := s.Update(context.Background(), func(_ context.Context, tx kv.Tx) error {
			x, y := benchKey(), benchKey()
			for _, k := range []kv.Key{x, y} {
				if _, err := tx.Get(k); err != nil {
					return err
				}
				if err := tx.Put(k, value); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

const benchKeys = 20_000

func benchKey() kv.Key { return kv.Key("k").Int(int64(clock.Pick(benchKeys))) }

func fill(b *testing.B, s *Store) {
	for i := range 20 {
		err := s.Update(context.Background(), func(_ context.Context, tx kv.Tx) error {
			for j := range benchKeys / 20 {
				if err := tx.Put(kv.Key("k").Int(int64(i*benchKeys/20+j)), make([]byte, 200)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRead reads one key, and the first ten of a range, in a View.
func BenchmarkRead(b *testing.B) {
	s := benchStore(b, Options{})
	fill(b, s)
	b.Run("get", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			err := s.View(context.Background(), func(_ context.Context, r kv.Reader) error {
				_, err := r.Get(benchKey())
				return err
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("scan", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			err := s.View(context.Background(), func(_ context.Context, r kv.Reader) error {
				for _, err := range r.Scan(kv.Range{Start: benchKey()}, kv.ScanOptions{Limit: 10}) {
					if err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkCounter adds to one counter from sixteen goroutines.
func BenchmarkCounter(b *testing.B) {
	s := benchStore(b, Options{})
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			err := s.Update(context.Background(), func(_ context.Context, tx kv.Tx) error { return tx.Add([]byte("n"), 1) })
			if err != nil {
				b.Fatal(err)
			}
		}
	})
	if _, conflicts := s.Stats(); conflicts > 0 {
		b.Errorf("%d conflicts", conflicts)
	}
}

// BenchmarkDeleteSmallRange writes a few keys and deletes them as a range, with reads between.
func BenchmarkDeleteSmallRange(b *testing.B) {
	s := benchStore(b, Options{})
	n := int64(0)
	for b.Loop() {
		n++
		base := kv.Key("item").Int(n)
		err := s.Update(context.Background(), func(_ context.Context, tx kv.Tx) error {
			for i := range 3 {
				if err := tx.Put(base.Int(int64(i)), nil); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
		err = s.Update(context.Background(), func(_ context.Context, tx kv.Tx) error {
			for _, err := range tx.Scan(kv.PrefixRange(base), kv.ScanOptions{}) {
				if err != nil {
					return err
				}
			}
			return tx.DeleteRange(kv.PrefixRange(base))
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReset deletes everything, in one transaction.
func BenchmarkReset(b *testing.B) {
	s := benchStore(b, Options{})
	for range b.N {
		b.StopTimer()
		for i := range int64(100) {
			benchPut(b, s, i, nil)
		}
		b.StartTimer()
		err := s.Update(context.Background(), func(_ context.Context, tx kv.Tx) error { return tx.DeleteRange(kv.Range{}) })
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkQueue sends a message to the end of a queue and receives one from its head, again and again: what has been received must
// not slow down what follows.
func BenchmarkQueue(b *testing.B) {
	s := benchStore(b, Options{})
	body := make([]byte, 200)
	n := int64(0)
	for b.Loop() {
		n++
		err := s.Update(context.Background(), func(_ context.Context, tx kv.Tx) error {
			return tx.Put(kv.Key("q").Int(n), body)
		})
		if err != nil {
			b.Fatal(err)
		}
		err = s.Update(context.Background(), func(_ context.Context, tx kv.Tx) error {
			for e, err := range tx.Loose().Scan(kv.PrefixRange([]byte("q")), kv.ScanOptions{Limit: 10}) {
				if err != nil {
					return err
				}
				if _, err := tx.Get(e.Key); err != nil {
					return err
				}
				return tx.Delete(e.Key)
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpen opens and closes a small store.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	for b.Loop() {
		s, err := Open(Options{Dir: dir})
		if err != nil {
			b.Fatal(err)
		}
		benchPut(b, s, 1, make([]byte, 1000))
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
