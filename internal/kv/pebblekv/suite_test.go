package pebblekv

import (
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"croft/internal/kv"
	"croft/internal/kv/kvtest"
)

// backend returns stores opened with o, in a folder of their own if o names none.
func backend(t testing.TB, o Options) kvtest.Backend {
	if !o.Ephemeral && o.Dir == "" {
		o.Dir = t.TempDir()
	}
	return kvtest.Backend{
		Open:     func(t testing.TB) kv.Store { return open(t, o) },
		Forgets:  o.Ephemeral,
		OpenCopy: func(t testing.TB, dir string) kv.Store { return open(t, Options{Dir: dir, FS: o.FS}) },
	}
}

// tiny makes Pebble rotate, flush and compact all the time.
func tiny(o *pebble.Options) {
	o.MemTableSize = 16 << 10
	o.L0CompactionThreshold = 1
	o.LBaseMaxBytes = 16 << 10
	o.TargetFileSizes[0] = 4 << 10
	for i := range o.Levels {
		o.Levels[i].BlockSize = 256
		o.Levels[i].FilterPolicy = nil
	}
}

func TestFolder(t *testing.T) {
	kvtest.Run(t, func(t testing.TB) kvtest.Backend { return backend(t, Options{}) })
}

func TestMemory(t *testing.T) {
	kvtest.Run(t, func(t testing.TB) kvtest.Backend { return backend(t, Options{Ephemeral: true}) })
}

func TestTiny(t *testing.T) {
	kvtest.Run(t, func(t testing.TB) kvtest.Backend {
		return backend(t, Options{FS: vfs.NewMem(), tune: tiny, gapWork: 1})
	})
}

func TestVariantsAgree(t *testing.T) {
	variant := func(o Options) func(testing.TB) kvtest.Backend {
		return func(t testing.TB) kvtest.Backend { return backend(t, o) }
	}
	kvtest.Metamorphic(t, map[string]func(testing.TB) kvtest.Backend{
		"folder": variant(Options{}),
		"fsync":  variant(Options{FS: vfs.NewMem(), Dir: "fsync", Fsync: true}),
		"memory": variant(Options{Ephemeral: true}),
		"tiny":   variant(Options{FS: vfs.NewMem(), Dir: "tiny", tune: tiny}),
		"gaps":   variant(Options{Ephemeral: true, gapWork: 1}),
	})
}
