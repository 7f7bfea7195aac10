// Package blobtest is the suite that every blob.Store passes: the contract, as tests.
package blobtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"croft/internal/blob"
	"croft/internal/clock"
)

// Backend is a kind of store under test.
type Backend struct {
	// New makes an empty place for bodies and returns what opens a store on it: each call a store of its own, as another process has.
	New func(t *testing.T) func(c clock.Clock) blob.Store
	// DeletedStaysReadable says that a body that is open survives its deletion.
	DeletedStaysReadable bool
	// BigBody is the size of the largest body that is put, 64 MiB when zero, and Memory what all allocations for putting and reading it may
	// come to.
	BigBody, Memory int64
	// Many is how many bodies are listed; 2,500 when zero.
	Many int
}

// Begin is when the suite's clock starts.
func Begin() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 678_000_000, time.UTC) }

// suite is one test's store on a clock that stands still.
type suite struct {
	*testing.T
	Backend
	ctx   context.Context
	clock *clock.Manual
	open  func(clock.Clock) blob.Store
	store blob.Store
}

// Run runs the suite.
func Run(t *testing.T, b Backend) {
	for name, test := range map[string]func(*suite){
		"put":        (*suite).put,
		"ids":        (*suite).ids,
		"durable":    (*suite).durable,
		"limits":     (*suite).limits,
		"cut off":    (*suite).cutOff,
		"contexts":   (*suite).contexts,
		"no such id": (*suite).noSuchID,
		"delete":     (*suite).delete,
		"reads":      (*suite).reads,
		"list":       (*suite).list,
		"clear":      (*suite).clear,
		"tidy":       (*suite).tidy,
		"concurrent": (*suite).concurrent,
		"big":        (*suite).big,
	} {
		t.Run(name, func(t *testing.T) {
			s := &suite{T: t, Backend: b, ctx: t.Context(), clock: clock.NewManual(Begin()), open: b.New(t)}
			s.store = s.open(s.clock)
			test(s)
		})
	}
}

func (s *suite) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// mustPut stores a body and checks what Put says of it.
func (s *suite) mustPut(content string) blob.Ref {
	s.Helper()
	ref, err := s.store.Put(s.ctx, strings.NewReader(content), int64(len(content)))
	s.must(err)
	sum := sha256.Sum256([]byte(content))
	if ref.Size != int64(len(content)) || ref.SHA256 != hex.EncodeToString(sum[:]) {
		s.Fatalf("Put of %d bytes = %+v", len(content), ref)
	}
	return ref
}

// content returns what the store has of a body.
func (s *suite) content(store blob.Store, id string) string {
	s.Helper()
	body, size, err := store.Open(s.ctx, id)
	s.must(err)
	got, err := io.ReadAll(body)
	s.must(errors.Join(err, body.Close()))
	if size != int64(len(got)) {
		s.Fatalf("Open says %d bytes, there are %d", size, len(got))
	}
	return string(got)
}

func (s *suite) ask(before time.Time) map[string]blob.Info {
	s.Helper()
	out := map[string]blob.Info{}
	for info, err := range s.store.List(s.ctx, before) {
		s.must(err)
		if _, twice := out[info.ID]; twice {
			s.Errorf("%s is listed twice", info.ID)
		}
		out[info.ID] = info
	}
	return out
}

// nothing checks that the store holds no body.
func (s *suite) nothing() {
	s.Helper()
	if left := s.ask(Begin().Add(1000 * time.Hour)); len(left) != 0 {
		s.Errorf("left behind: %v", left)
	}
}

func (s *suite) put() {
	for _, size := range []int{0, 1, 100, 128 << 10, 256<<10 + 1, 1<<20 + 7} {
		text := string(pattern(size))
		ref := s.mustPut(text)
		if got := s.content(s.store, ref.ID); got != text {
			s.Errorf("%d bytes came back as %d others", size, len(got))
		}
	}
}

func (s *suite) ids() {
	first, second := s.mustPut("same"), s.mustPut("same")
	if first.ID == second.ID || first.SHA256 != second.SHA256 {
		s.Errorf("the same content twice: %+v and %+v", first, second)
	}
	s.must(s.store.Delete(s.ctx, first.ID))
	if got := s.content(s.store, second.ID); got != "same" {
		s.Errorf("the other one is %q", got)
	}
	if at, ok := blob.Created(first.ID); !ok || !at.Equal(Begin()) {
		s.Errorf("created at %v, %v", at, ok)
	}
	// The id is of the end of a Put, however long it takes.
	slow := iotest.DataErrReader(io.MultiReader(strings.NewReader("a"), readerFunc(func([]byte) (int, error) {
		s.clock.Advance(3 * time.Hour)
		return 0, io.EOF
	})))
	ref, err := s.store.Put(s.ctx, slow, 10)
	s.must(err)
	if at, _ := blob.Created(ref.ID); !at.Equal(Begin().Add(3 * time.Hour)) {
		s.Errorf("the slow one is of %v", at)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// durable: once Put has returned, everybody has the body.
func (s *suite) durable() {
	other := s.open(s.clock)
	ref := s.mustPut("shared")
	for _, store := range []blob.Store{other, s.open(s.clock)} {
		if got := s.content(store, ref.ID); got != "shared" {
			s.Errorf("another store has %q", got)
		}
	}
	s.must(other.Delete(s.ctx, ref.ID))
	if _, _, err := s.store.Open(s.ctx, ref.ID); !errors.Is(err, blob.ErrNotFound) {
		s.Errorf("after the deletion elsewhere: %v", err)
	}
}

func (s *suite) limits() {
	for _, c := range []struct {
		size  int
		limit int64
	}{{1, 0}, {6, 5}, {300 << 10, 300<<10 - 1}, {9 << 20, 8 << 20}, {1, -1}} {
		if _, err := s.store.Put(s.ctx, bytes.NewReader(pattern(c.size)), c.limit); !errors.Is(err, blob.ErrTooLarge) {
			s.Errorf("%d bytes of %d: %v", c.size, c.limit, err)
		}
	}
	s.nothing()
	for _, limit := range []int64{5, 6, math.MaxInt64 - 1, math.MaxInt64} {
		ref, err := s.store.Put(s.ctx, strings.NewReader("hello"), limit)
		if err != nil || ref.Size != 5 {
			s.Errorf("limit %d: %+v, %v", limit, ref, err)
		}
	}
}

func (s *suite) cutOff() {
	for _, size := range []int{0, 10, 1 << 20, 9 << 20} {
		r := io.MultiReader(bytes.NewReader(pattern(size)), iotest.ErrReader(io.ErrUnexpectedEOF))
		if _, err := s.store.Put(s.ctx, r, 1<<30); !errors.Is(err, io.ErrUnexpectedEOF) {
			s.Errorf("cut off after %d bytes: %v", size, err)
		}
	}
	s.nothing()
}

func (s *suite) contexts() {
	ref := s.mustPut("x")
	ended, end := context.WithCancel(s.ctx)
	end()
	_, err := s.store.Put(ended, strings.NewReader("y"), 10)
	s.ended("Put", err)
	body, _, err := s.store.Open(ended, ref.ID)
	if err == nil {
		// A store may find out at the first read.
		_, err = io.ReadAll(body)
		s.must(body.Close())
	}
	s.ended("Open", err)
	s.ended("Delete", s.store.Delete(ended, ref.ID))
	s.ended("Clear", s.store.Clear(ended, Begin().Add(time.Hour)))
	err = nil
	for _, err = range s.store.List(ended, Begin().Add(time.Hour)) {
	}
	s.ended("List", err)
	_, err = s.store.Tidy(ended, Begin().Add(time.Hour))
	s.ended("Tidy", err)
	if got := s.content(s.store, ref.ID); got != "x" {
		s.Errorf("the body is %q", got)
	}
	s.must(s.store.Delete(s.ctx, ref.ID))
	for _, after := range []int{10, 9 << 20} {
		ctx, end := context.WithCancel(s.ctx)
		_, err := s.store.Put(ctx, io.MultiReader(bytes.NewReader(pattern(after)), readerFunc(func(p []byte) (int, error) {
			end()
			return copy(p, "z"), nil
		})), 1<<30)
		s.ended("Put under way", err)
	}
	s.nothing()
}

func (s *suite) ended(what string, err error) {
	s.Helper()
	if !errors.Is(err, context.Canceled) {
		s.Errorf("%s with a context that has ended: %v", what, err)
	}
}

func (s *suite) noSuchID() {
	for _, id := range []string{
		"", ".", "..", "../../etc/passwd", blob.NewID(Begin()), strings.Repeat("a", 64), strings.Repeat("A", 64), strings.Repeat("a", 63) + "/",
		strings.ToUpper(blob.NewID(Begin())) + "x", "tmp", "lock", strings.Repeat("x", 5000), "a\x00b",
	} {
		if _, _, err := s.store.Open(s.ctx, id); !errors.Is(err, blob.ErrNotFound) {
			s.Errorf("Open(%q): %v", id, err)
		}
		if err := s.store.Delete(s.ctx, id); err != nil {
			s.Errorf("Delete(%q): %v", id, err)
		}
	}
}

func (s *suite) delete() {
	text := string(pattern(1 << 20))
	ref := s.mustPut(text)
	body, _, err := s.store.Open(s.ctx, ref.ID)
	s.must(err)
	s.must(s.store.Delete(s.ctx, ref.ID))
	got, err := io.ReadAll(body)
	if s.DeletedStaysReadable && (err != nil || string(got) != text) || !s.DeletedStaysReadable && err == nil && string(got) != text {
		s.Errorf("an open body after Delete: %d bytes, %v", len(got), err)
	}
	s.must(body.Close())
	if _, _, err := s.store.Open(s.ctx, ref.ID); !errors.Is(err, blob.ErrNotFound) {
		s.Errorf("after Delete: %v", err)
	}
	s.must(s.store.Delete(s.ctx, ref.ID))
	s.nothing()
}

func (s *suite) clear() {
	old := s.mustPut("old")
	s.clock.Advance(time.Millisecond)
	border := s.clock.Now()
	young := s.mustPut("young")
	s.must(s.store.Clear(s.ctx, border))
	if _, _, err := s.store.Open(s.ctx, old.ID); !errors.Is(err, blob.ErrNotFound) {
		s.Errorf("the old one: %v", err)
	}
	if got := s.content(s.store, young.ID); got != "young" {
		s.Errorf("the young one is %q", got)
	}
	s.must(s.store.Clear(s.ctx, border.Add(time.Hour)))
	s.nothing()
	s.mustPut("afterwards")
}

// tidy: what is finished stays, whatever its age.
func (s *suite) tidy() {
	ref := s.mustPut("kept")
	n, err := s.store.Tidy(s.ctx, Begin().Add(1000*time.Hour))
	if err != nil || n != 0 {
		s.Errorf("Tidy = %d, %v", n, err)
	}
	if got := s.content(s.store, ref.ID); got != "kept" {
		s.Errorf("the body is %q", got)
	}
}

func (s *suite) concurrent() {
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 12 {
				text := strings.Repeat(string(rune('a'+worker)), 1+i*30_000)
				ref, err := s.store.Put(s.ctx, strings.NewReader(text), int64(len(text)))
				if err != nil {
					s.Error(err)
					return
				}
				body, size, err := s.store.Open(s.ctx, ref.ID)
				if err != nil {
					s.Error(err)
					return
				}
				got, err := io.ReadAll(body)
				if err = errors.Join(err, body.Close()); err != nil || string(got) != text || size != int64(len(text)) {
					s.Errorf("%d bytes of %d, %v", len(got), len(text), err)
				}
				if err := s.store.Delete(s.ctx, ref.ID); err != nil {
					s.Error(err)
				}
			}
		})
	}
	wg.Wait()
	s.nothing()
}
