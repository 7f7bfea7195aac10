package pgkv

import (
	"errors"
	"testing"

	"pgregory.net/rapid"

	"croft/internal/kv"
)

func joinErrors(errs ...error) error { return errors.Join(errs...) }

// drawParts draws keys of few parts, with numbers behind them that may look like ends of parts.
func drawParts(t *rapid.T, name string) kv.Key {
	var k kv.Key
	for range rapid.IntRange(0, 5).Draw(t, name+" parts") {
		k = k.Str(rapid.SampledFrom([]string{"", "a", "b\x00"}).Draw(t, name))
	}
	if rapid.Bool().Draw(t, name+" numbered") {
		k = k.Uint(rapid.SampledFrom([]uint64{0, 1, 2, 0x100, 1<<56 | 1, 1 << 48}).Draw(t, name+" number"))
	}
	return append(k, rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 2, 0xff}), 0, 2).Draw(t, name+" rest")...)
}

func drawPartsRange(t *rapid.T) kv.Range {
	r := kv.Range{Start: drawParts(t, "start"), End: drawParts(t, "end")}
	switch rapid.IntRange(0, 3).Draw(t, "kind of range") {
	case 0:
		r.End = nil
	case 1:
		r = kv.PrefixRange(r.Start)
	case 2:
		r.End = successor(r.Start)
	}
	return r
}

// meet reports whether two transactions with these locks exclude each other.
func meet(a, b lockSet) bool {
	for id, exclusive := range a {
		if other, ok := b[id]; ok && (exclusive || other) {
			return true
		}
	}
	return false
}

func locksOf(r kv.Range) lockSet {
	l := lockSet{}
	for _, p := range pieces(r) {
		l.piece(p)
	}
	return l
}

// TestLocksCoverEveryConflict: whenever two transactions touch the same key, and one of them writes it, they exclude each other.
func TestLocksCoverEveryConflict(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := drawParts(t, "key")
		log := kv.Key(drawParts(t, "log"))
		entry := kv.LogKey(log, rapid.SampledFrom([]uint64{1, 2, 0x100, 0x10000, 1<<56 | 1}).Draw(t, "seq"))
		read, write, writeEntry, absentEntry := lockSet{}, lockSet{}, lockSet{}, lockSet{}
		read.point(key, false)
		write.point(key, true)
		writeEntry.log(log)
		absentEntry.point(entry, false)
		absentEntry.absent(entry)
		if !meet(read, write) || !meet(write, write) || meet(read, read) {
			t.Fatal("readers and writers of a key")
		}
		if !meet(absentEntry, writeEntry) {
			t.Fatal("an entry appears where none was found")
		}
		r, other := drawPartsRange(t), drawPartsRange(t)
		if rapid.Bool().Draw(t, "range in the log") {
			// Its level may end inside the entry's number.
			r = kv.PrefixRange(entry[:rapid.IntRange(len(log), len(entry)).Draw(t, "digits")])
		}
		if isEmpty(r) || isEmpty(other) {
			return
		}
		if r.Contains(key) && (!meet(locksOf(r), write) || !meet(locksOf(r), read)) {
			t.Fatalf("range %q and key %q", r, key)
		}
		if r.Contains(entry) && !meet(locksOf(r), writeEntry) {
			t.Fatalf("range %q and an entry %q", r, entry)
		}
		if r.Contains(key) && other.Contains(key) && !meet(locksOf(r), locksOf(other)) {
			t.Fatalf("ranges %q and %q", r, other)
		}
		large := lockSet{globalLock: true}
		for _, l := range []lockSet{read, write, writeEntry, locksOf(r)} {
			if !meet(large, l) {
				t.Fatal("the global lock does not exclude all")
			}
		}
	})
}

// TestLocksLeaveOthersAlone: what does not touch does not wait, in the keys that services have.
func TestLocksLeaveOthersAlone(t *testing.T) {
	space := kv.Key(nil).Str("000000000000").Str("us-east-1").Str("sqs")
	other := kv.Key(nil).Str("000000000000").Str("us-east-1").Str("s3")
	a, b, purge := lockSet{}, lockSet{}, locksOf(kv.PrefixRange(space.Raw('m').Uint(7)))
	a.point(space.Raw('q').Str("queue"), true)
	a.log(space.Raw('m').Uint(7).Raw('v'))
	b.point(other.Raw('b').Str("bucket"), true)
	if meet(a, b) || meet(purge, b) || !meet(purge, a) {
		t.Error("services wait for each other")
	}
	one, two := lockSet{}, lockSet{}
	one.log(space.Raw('m').Uint(7).Raw('v'))
	two.log(space.Raw('m').Uint(8).Raw('v'))
	if meet(one, two) {
		t.Error("queues wait for each other")
	}
}
