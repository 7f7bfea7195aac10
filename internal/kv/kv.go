// Package kv is the contract under all of croft's state: ordered keys, values and transactions.
//
// Two things are promised here and tested by kvtest, whatever the store:
//
//   - Update is serializable and atomic. Its function may run several times and must therefore have no effect outside its
//     transaction. When Update returns nil, the commit is as durable as the store was opened to be; when it returns an error, nothing
//     of it is there.
//   - View sees one consistent snapshot, and nothing in it that is less durable than promised.
//
// Plain optimistic transactions die on queue heads, counters, log tails and timers. For those the contract has reads outside the
// conflict set (Reader.Loose), a commutative Add, Append to a log in commit order, key-range conflict checks (Tx.Guard) and a
// change watch.
//
// Services never see a Store. They get a Space: the same contract below a prefix that they cannot leave.
package kv

import (
	"bytes"
	"context"
	"errors"
	"iter"
)

// Limits of the contract. A call beyond them returns ErrTooLarge and leaves the transaction usable.
const (
	// MaxKeyBytes bounds a key, including the prefix of its Space.
	MaxKeyBytes = 8 << 10
	// MaxValueBytes bounds a value. Larger bodies belong into a blob store.
	MaxValueBytes = 8 << 20
	// MaxTxBytes bounds the keys and values that one transaction writes.
	MaxTxBytes = 64 << 20
)

// Errors of the contract.
var (
	// ErrNotFound is returned by Get for a key that has no value.
	ErrNotFound = errors.New("kv: key not found")
	// ErrTooLarge is returned for a key, value or transaction beyond the limits.
	ErrTooLarge = errors.New("kv: key, value or transaction too large")
	// ErrConflict is returned by Update when its transaction lost against others more often than the store retries. Nothing of it
	// is there; the caller may try again later.
	ErrConflict = errors.New("kv: transaction conflicted too often")
	// ErrClosed is returned once the store is closed.
	ErrClosed = errors.New("kv: store is closed")
	// ErrUnavailable is returned while a store that lies elsewhere cannot be reached. Nothing of the transaction is there, unless the store
	// was lost in the middle of a commit: then the error says that the outcome is not known, and who tries again must look first.
	ErrUnavailable = errors.New("kv: store cannot be reached")
	// ErrReadOnly is returned by Update inside a View: a snapshot cannot be written.
	ErrReadOnly = errors.New("kv: Update inside View")
)

// Entry is one key with its value. Both belong to the store: they are valid until the function given to View or Update returns,
// and must not be changed.
type Entry struct{ Key, Value []byte }

// Range is the keys k with Start <= k < End. A nil End means no upper bound.
type Range struct{ Start, End []byte }

// PrefixRange returns the range of all keys that begin with p.
func PrefixRange(p []byte) Range {
	end := bytes.Clone(p)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i] != 0xff {
			end[i]++
			return Range{Start: p, End: end[:i+1]}
		}
	}
	return Range{Start: p}
}

// Contains reports whether k lies in r.
func (r Range) Contains(k []byte) bool {
	return bytes.Compare(k, r.Start) >= 0 && (r.End == nil || bytes.Compare(k, r.End) < 0)
}

// Scan options. The zero value scans forward without a limit.
type ScanOptions struct {
	// Reverse scans from the end of the range to its start.
	Reverse bool
	// Limit ends the scan after that many entries; zero means none.
	Limit int
}

// Reader reads. Within Update it sees the transaction's own writes.
type Reader interface {
	// Get returns the value of key, or ErrNotFound. In an Update the key joins the conflict set, present or not. The value
	// belongs to the store, as an Entry's does.
	Get(key []byte) ([]byte, error)
	// Scan yields the entries of r in key order. In an Update the part of r that was really walked joins the conflict set, so that
	// nothing can appear in it unnoticed (no phantoms). An error ends the sequence. The transaction may be written while a
	// scan is under way; whether the scan sees that write is not defined.
	Scan(r Range, o ScanOptions) iter.Seq2[Entry, error]
	// Loose returns a Reader of the same snapshot and own writes whose reads do not join the conflict set. What was read loosely
	// may have changed by the time the transaction commits: confirm with Get or Guard what matters.
	Loose() Reader
}

// Writer writes. Writes are buffered until commit and never fail for conflicts themselves. Keys and values are copied.
type Writer interface {
	// Put sets key. Two transactions that put the same key without reading it do not conflict; the later commit wins.
	Put(key, value []byte) error
	// Delete removes key; a key that is not there is no error.
	Delete(key []byte) error
	// DeleteRange removes every key of r that is there at commit, including keys committed since the snapshot.
	DeleteRange(r Range) error
	// Add adds delta to the counter at key; an absent counter counts from zero. Adds commute: they conflict with reads of the key
	// and never with each other. Counters are read with Get and Int64. A counter is written by Add and Delete alone: Add to a
	// value that is not eight bytes long counts from zero. Sums wrap around.
	Add(key []byte, delta int64) error
	// Append writes value under a new key below log: log followed by an eight-byte big-endian number, assigned at commit. Numbers
	// of one log grow in commit order: a reader that has seen N never later finds a smaller one. They need not be dense. Appends do not
	// conflict with each other. Within its own transaction an appended value cannot be read.
	Append(log, value []byte) error
}

// Tx is one transaction. It is for one goroutine, and only until the function given to Update returns.
type Tx interface {
	Reader
	Writer
	// Guard puts r into the conflict set without reading it: the transaction fails, and is run again, when another one writes into r
	// between this one's snapshot and its commit.
	Guard(r Range) error
	// Savepoint returns a function that takes back every write made through the transaction since. Reads stay in the
	// conflict set. Savepoints nest; taking back an outer one takes back the inner ones.
	Savepoint() (rollback func())
}

// Watch tells that something below a prefix has changed.
type Watch interface {
	// C receives a value after a commit that wrote below the prefix, once that commit can be read. Several commits may give one
	// value. To miss nothing: open the watch, read, then wait. On a shared store, changes by other processes count too,
	// and spurious values are allowed.
	C() <-chan struct{}
	// Close ends the watch. C is not closed.
	Close()
}

// Store is what a back end implements. All methods are safe for concurrent use.
//
// View and Update give fn a context that carries the transaction. An Update or View called with such a context (of the same Store)
// joins it: it runs on the same transaction and commits with it. A joined Update whose fn fails leaves none of its own writes, and the
// outer function decides whether to go on. Back ends get this from
// JoinUpdate and JoinView.
type Store interface {
	// View runs fn on a consistent snapshot and returns its error.
	View(ctx context.Context, fn func(ctx context.Context, r Reader) error) error
	// Update runs fn in a serializable transaction and commits it when fn returns nil. It runs fn again when the commit
	// conflicts, after a growing, bounded number of tries returns ErrConflict, and returns ctx's error if ctx ends before the commit has
	// begun. An error that fn returned is reported only if what fn had read was still true.
	Update(ctx context.Context, fn func(ctx context.Context, tx Tx) error) error
	// Watch opens a watch on the keys that begin with prefix.
	Watch(prefix []byte) Watch
	// Checkpoint writes a consistent copy of the store into dir, which must not exist. The copy opens as a store.
	Checkpoint(ctx context.Context, dir string) error
	// Close waits for the transactions under way, makes everything durable and releases the store.
	Close() error
}
