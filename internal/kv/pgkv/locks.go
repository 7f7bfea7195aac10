package pgkv

import (
	"math"
	"slices"
)

// globalLock is the lock above all others: shared for transactions that name what they touch, exclusive for those that cannot.
const globalLock = math.MinInt64

// Locks of different kinds never meet, whatever their bytes.
const (
	keyLock byte = iota
	levelLock
	logLock
	slotLock
)

// logSlots is how many rows number the entries of all logs.
const logSlots = 4096

// lockSet is the advisory locks that a commit takes, true for the exclusive ones.
type lockSet map[int64]bool

func (l lockSet) take(id int64, exclusive bool) { l[id] = l[id] || exclusive }

// lockID names a lock, by FNV-1a: transactions whose names collide wait for each other, and that is all.
func lockID(kind byte, name []byte) int64 {
	h := (uint64(14695981039346656037) ^ uint64(kind)) * 1099511628211
	for _, b := range name {
		h = (h ^ uint64(b)) * 1099511628211
	}
	return int64(h)
}

// slotOf returns the row that numbers the entries of log.
func slotOf(log []byte) int64 { return int64(uint64(lockID(logLock, log)) % logSlots) }

// levels returns the prefixes of key up to the ends of its third and fourth part, as far as it has them: the state of a service in an
// account and region, and mostly one table, queue or group of it. A part ends with 00 01 (kv.Key.Str); bytes that only look so do no harm,
// since keys with a common prefix agree about the ends inside it.
func levels(key []byte) (out [2][]byte, n int) {
	key = key[:min(len(key), deepBytes)]
	parts := 0
	for i := 0; i+1 < len(key) && n < len(out); i++ {
		if key[i] != 0 || key[i+1] != 1 {
			continue
		}
		i++
		if parts++; parts >= 3 {
			out[n] = key[:i+1]
			n++
		}
	}
	return out, n
}

// intend takes what whoever touches key, or something below it, holds shared: the levels around it.
func (l lockSet) intend(key []byte) {
	l.take(globalLock, false)
	ls, n := levels(key)
	for _, level := range ls[:n] {
		l.take(lockID(levelLock, level), false)
	}
}

// point takes what reading or writing key needs.
func (l lockSet) point(key []byte, write bool) {
	l.intend(key)
	l.take(lockID(keyLock, key), write)
}

// absent takes, beside point, what keeps an appended entry from getting the key that was found absent.
func (l lockSet) absent(key []byte) {
	if len(key) >= 8 {
		l.take(lockID(logLock, key[:len(key)-8]), false)
	}
}

// log takes what appending to log needs.
func (l lockSet) log(log []byte) {
	l.intend(log)
	l.take(lockID(logLock, log), true)
	l.take(lockID(slotLock, int8Param(slotOf(log))), true)
}

// piece takes what reading or deleting p needs: the deepest level around it, alone.
func (l lockSet) piece(p piece) {
	prefix := p.prefix()
	l.intend(prefix)
	ls, n := levels(prefix)
	if n == 0 {
		l.take(globalLock, true)
		return
	}
	level := ls[n-1]
	l.take(lockID(levelLock, level), true)
	// An entry's key may belong to this level by its number alone, which its writer does not know beforehand.
	for i := 1; i <= 8 && i <= len(level); i++ {
		l.take(lockID(logLock, level[:len(level)-i]), false)
	}
}

// sorted returns the locks in the order in which everybody takes them. A set of more than limit, or one with the global lock
// exclusively, becomes that lock.
func (l lockSet) sorted(limit int) (ids []int64) {
	if len(l) > limit || l[globalLock] {
		clear(l)
		l[globalLock] = true
	}
	ids = make([]int64, 0, len(l))
	for id := range l {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}
