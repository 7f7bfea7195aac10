package pebblekv

// arena hands out copies of keys and values in few allocations. Nothing is ever taken back, so a copy that outlives its
// transaction against the contract stays as it is.
type arena struct {
	free []byte
	next int
}

const (
	arenaMin = 256
	arenaMax = 16 << 10
)

// copy returns a copy of b that has room for one more byte, which is what successor uses.
func (a *arena) copy(b []byte) []byte {
	n := len(b) + 1
	if n > arenaMax/4 {
		out := make([]byte, n)
		copy(out, b)
		return out[:len(b)]
	}
	if n > len(a.free) {
		a.next = max(arenaMin, min(a.next*2, arenaMax), n)
		a.free = make([]byte, a.next)
	}
	out := a.free[:n:n]
	a.free = a.free[n:]
	copy(out, b)
	return out[:len(b)]
}

// successor returns the least key greater than key, which must come from arena.copy.
func successor(key []byte) []byte { return key[: len(key)+1 : len(key)+1] }
