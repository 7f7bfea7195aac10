package blobtest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"runtime"
	"strings"
	"sync"
	"time"

	"croft/internal/blob"
	"croft/internal/clock"
)

// pattern returns n bytes in which no two places look alike.
func pattern(n int) []byte {
	out := make([]byte, n)
	fill(out, 0)
	return out
}

// fill writes what pattern has at offset at.
func fill(p []byte, at int64) {
	for i := range p {
		x := uint64(at+int64(i)) / 8 * 0x9e3779b97f4a7c15
		p[i] = byte((x ^ x>>29) >> (8 * (uint64(at+int64(i)) % 8)))
	}
}

// reads: ReadAt, Read and Seek give what is there, in any order.
func (s *suite) reads() {
	const size = 3<<20 + 123
	text := pattern(size)
	ref := s.mustPut(string(text))
	body, _, err := s.store.Open(s.ctx, ref.ID)
	s.must(err)
	defer body.Close()
	s.readAts(body, text)
	s.seeks(body, text)
}

func (s *suite) readAts(body blob.Body, text []byte) {
	random := clock.Random(1)
	size := int64(len(text))
	var wg sync.WaitGroup
	for i := range 60 {
		off := random.Int64N(size)
		n := 1 + random.IntN([]int{10, 5000, 2 << 20}[i%3])
		wg.Go(func() {
			p := make([]byte, n)
			got, err := body.ReadAt(p, off)
			want := min(int64(n), size-off)
			if int64(got) != want || !bytes.Equal(p[:got], text[off:off+want]) || (err != nil) != (want < int64(n)) || err != nil && !errors.Is(err, io.EOF) {
				s.Errorf("ReadAt(%d bytes, %d) = %d, %v", n, off, got, err)
			}
		})
	}
	wg.Wait()
	p := make([]byte, 10)
	for _, off := range []int64{size, size + 5} {
		if n, err := body.ReadAt(p, off); n != 0 || !errors.Is(err, io.EOF) {
			s.Errorf("ReadAt at %d of %d = %d, %v", off, size, n, err)
		}
	}
	if _, err := body.ReadAt(p, -1); err == nil {
		s.Error("ReadAt before the beginning")
	}
	if n, err := body.ReadAt(p, size-10); n != 10 || err != nil && !errors.Is(err, io.EOF) {
		s.Errorf("ReadAt of the last bytes = %d, %v", n, err)
	}
}

func (s *suite) seeks(body blob.Body, text []byte) {
	size := int64(len(text))
	for _, c := range []struct {
		off    int64
		whence int
		want   int64
	}{{0, io.SeekEnd, size}, {-100, io.SeekEnd, size - 100}, {5, io.SeekStart, 5}, {1 << 20, io.SeekCurrent, 5 + 1<<20}, {0, io.SeekStart, 0}} {
		at, err := body.Seek(c.off, c.whence)
		if err != nil || at != c.want {
			s.Fatalf("Seek(%d, %d) = %d, %v", c.off, c.whence, at, err)
		}
		rest := min(50, size-at)
		p := make([]byte, rest)
		if _, err := io.ReadFull(body, p); err != nil || !bytes.Equal(p, text[at:at+rest]) {
			s.Errorf("after a seek to %d: %v", at, err)
		}
		_, err = body.Seek(at, io.SeekStart)
		s.must(err)
	}
	if _, err := body.Seek(-1, io.SeekStart); err == nil {
		s.Error("a seek before the beginning")
	}
	_, err := body.Seek(0, io.SeekStart)
	s.must(err)
	if got, err := io.ReadAll(body); err != nil || !bytes.Equal(got, text) {
		s.Errorf("everything is %d bytes, %v", len(got), err)
	}
}

// list: every body older than the time, once, over many pages.
func (s *suite) list() {
	n := s.Many
	if n == 0 {
		n = 2500
	}
	want := map[string]int64{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := worker; i < n; i += 8 {
				ref, err := s.store.Put(s.ctx, strings.NewReader(fmt.Sprint(i)), 10)
				if err != nil {
					s.Error(err)
					return
				}
				mu.Lock()
				want[ref.ID] = ref.Size
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	s.clock.Advance(time.Second)
	young := s.mustPut("young")
	if got := s.ask(Begin()); len(got) != 0 {
		s.Errorf("%d bodies were there before the first", len(got))
	}
	got := s.ask(Begin().Add(time.Second))
	for id, size := range want {
		if got[id].Size != size || !got[id].Created.Equal(Begin()) {
			s.Fatalf("%s is listed as %+v, has %d bytes", id, got[id], size)
		}
	}
	if len(got) != len(want) {
		s.Errorf("%d listed, %d there; the young one: %v", len(got), len(want), got[young.ID])
	}
	seen := 0
	for info, err := range s.store.List(s.ctx, Begin().Add(time.Hour)) {
		s.must(err)
		s.must(s.store.Delete(s.ctx, info.ID)) // as the sweep does
		if seen++; seen == 10 {
			break
		}
	}
	if left := s.ask(Begin().Add(time.Hour)); len(left) != len(want)+1-10 {
		s.Errorf("%d left of %d after 10 deletions", len(left), len(want)+1)
	}
	s.must(s.store.Clear(s.ctx, Begin().Add(time.Hour)))
	s.nothing()
}

// endless yields the pattern, size bytes of it.
type endless struct {
	at, size int64
	sum      hash.Hash
}

func (e *endless) Read(p []byte) (int, error) {
	p = p[:min(int64(len(p)), e.size-e.at)]
	if len(p) == 0 {
		return 0, io.EOF
	}
	fill(p, e.at)
	e.at += int64(len(p))
	e.sum.Write(p)
	return len(p), nil
}

// big: memory does not grow with the body.
func (s *suite) big() {
	size, memory := s.BigBody, s.Memory
	if size == 0 {
		size = 64 << 20
	}
	if memory == 0 {
		memory = 4 << 20
	}
	before := allocated()
	source := &endless{size: size, sum: sha256.New()}
	ref, err := s.store.Put(s.ctx, source, size)
	s.must(err)
	if sum := hex.EncodeToString(source.sum.Sum(nil)); ref.Size != size || ref.SHA256 != sum {
		s.Fatalf("Put = %+v, want %s", ref, sum)
	}
	body, n, err := s.store.Open(s.ctx, ref.ID)
	s.must(err)
	defer body.Close()
	h := sha256.New()
	copied, err := io.CopyBuffer(h, struct{ io.Reader }{body}, make([]byte, 64<<10))
	if err != nil || copied != size || n != size || hex.EncodeToString(h.Sum(nil)) != ref.SHA256 {
		s.Fatalf("%d bytes read of %d, %v", copied, n, err)
	}
	if used := allocated() - before; used > uint64(memory) {
		s.Errorf("%d bytes were allocated for a body of %d", used, size)
	}
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}
