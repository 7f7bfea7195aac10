// Package blob keeps large bodies (objects, deployment packages) outside the transactional store.
//
// A body is durable when Put returns, so a transaction that names it afterwards never names something that a crash can take away. Bodies are
// immutable, and each Put makes a new one under a new id, whatever its content. An id tells when the body was made. Which
// bodies are still wanted is not known here: package blobref counts who names them.
package blob

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"
)

var (
	// ErrNotFound is returned for a body that is not there.
	ErrNotFound = errors.New("blob: no such body")
	// ErrTooLarge is returned by Put for a body over its limit, or over what the store can hold.
	ErrTooLarge = errors.New("blob: body too large")
	// ErrUnavailable is in the chain of errors of a place that cannot be reached just now. The same may succeed later.
	ErrUnavailable = errors.New("blob: the place for bodies cannot be reached")
	// ErrDamaged is returned when reading a body that is not what was put.
	ErrDamaged = errors.New("blob: body is damaged")
)

// Ref names a body: its id, the SHA-256 of its content in lower-case hexadecimal, and its size in bytes.
type Ref struct {
	ID     string `json:"id"`
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

// Info is what a store knows of a body. Created is to the millisecond.
type Info struct {
	ID      string
	Size    int64
	Created time.Time
}

// Body is an open body. The caller closes it. ReadAt is safe for concurrent use; Read and Seek are for one goroutine.
type Body interface {
	io.ReaderAt
	io.Reader
	io.Seeker
	io.Closer
}

// Store keeps bodies. All methods are safe for concurrent use, also by several processes on one store. Network and disk errors are returned as
// they are, after a bounded number of tries; a context that ends ends the call with the context's error in the chain.
type Store interface {
	// Put stores what r yields, at most limit bytes, and returns once it survives a loss of power. Its id is made when r has been read to
	// its end. After an error nothing is there, or at most a body whose id nobody knows. Memory is bounded whatever the size.
	Put(ctx context.Context, r io.Reader, limit int64) (Ref, error)
	// Open opens the body with that id, and returns its size; ErrNotFound when there is none, also for what is no id. ctx holds for the
	// reads of the body too.
	Open(ctx context.Context, id string) (Body, int64, error)
	// Delete removes a body; one that is not there is no error. Bodies that are open in a folder stay readable; elsewhere a reader may get
	// ErrNotFound.
	Delete(ctx context.Context, id string) error
	// List yields the bodies that were created before that time, in any order and page by page. Bodies that come and go meanwhile may
	// be among them. An error ends the sequence.
	List(ctx context.Context, before time.Time) iter.Seq2[Info, error]
	// Tidy removes what Puts that began before that time, and were cut off, have left, and returns how many. A Put still
	// under way since then fails.
	Tidy(ctx context.Context, before time.Time) (int, error)
	// Clear removes the bodies that were created before that time.
	Clear(ctx context.Context, before time.Time) error
}

const (
	// timeDigits of an id are its time in milliseconds since 1970, which lasts until the year 10889.
	timeDigits   = 12
	randomDigits = 32
	idDigits     = timeDigits + randomDigits
	// formerDigits is the length of the names of bodies in folders of former versions: the SHA-256 of the content.
	formerDigits = 64
)

// NewID returns the id of a body created now: the time, then 16 random bytes, so that ids can be neither guessed nor repeated.
func NewID(now time.Time) string {
	var b [randomDigits / 2]byte
	rand.Read(b[:])
	return IDPrefix(now) + hex.EncodeToString(b[:])
}

// IDPrefix returns what the ids of bodies created at that time begin with. Prefixes are ordered as the times are.
func IDPrefix(t time.Time) string {
	return fmt.Sprintf("%0*x", timeDigits, min(max(t.UnixMilli(), 0), 1<<(4*timeDigits)-1))
}

// Created returns when the body with that id was made, and false for what NewID has not made.
func Created(id string) (time.Time, bool) {
	if len(id) != idDigits || !isHex(id) {
		return time.Time{}, false
	}
	ms, err := strconv.ParseInt(id[:timeDigits], 16, 64)
	return time.UnixMilli(ms).UTC(), err == nil
}

// IsFormer reports whether id has the form of names in folders of former versions. Such bodies can be opened. Nobody counts who names
// them, so they stay until the cloud is reset.
func IsFormer(id string) bool { return len(id) == formerDigits && isHex(id) }

func isHex(s string) bool { return strings.Trim(s, "0123456789abcdef") == "" }

// Limit returns a reader that yields what r has, fails with ErrTooLarge when that is more than limit bytes, and with ctx's error once ctx has
// ended: what a Put reads through.
func Limit(ctx context.Context, r io.Reader, limit int64) io.Reader {
	return &limited{ctx, r, limit}
}

type limited struct {
	ctx  context.Context
	r    io.Reader
	left int64
}

func (l *limited) Read(p []byte) (int, error) {
	if l.ctx.Err() != nil {
		return 0, l.ctx.Err()
	}
	if l.left < 0 {
		return 0, ErrTooLarge
	}
	// One byte more than is allowed, to see whether it is there.
	if int64(len(p))-1 > l.left {
		p = p[:l.left+1]
	}
	n, err := l.r.Read(p)
	l.left -= int64(n)
	if l.left < 0 {
		return n, ErrTooLarge
	}
	return n, err
}
