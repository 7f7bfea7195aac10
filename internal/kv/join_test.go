package kv

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"
)

// fake is a store with one key space and no conflicts: just enough for joins and spaces.
type fake struct{ data map[string]string }

func (f *fake) View(ctx context.Context, fn func(context.Context, Reader) error) error {
	if joined, err := JoinView(ctx, f, fn); joined {
		return err
	}
	tx := &fakeTx{data: f.data}
	return fn(WithReader(ctx, f, tx), tx)
}

func (f *fake) Update(ctx context.Context, fn func(context.Context, Tx) error) error {
	if joined, err := JoinUpdate(ctx, f, fn); joined {
		return err
	}
	tx := &fakeTx{data: cloneMap(f.data)}
	if err := fn(WithTx(ctx, f, tx), tx); err != nil {
		return err
	}
	f.data = tx.data
	return nil
}

func (f *fake) Watch(prefix []byte) Watch                { return fakeWatch(prefix) }
func (f *fake) Checkpoint(context.Context, string) error { return nil }
func (f *fake) Close() error                             { return nil }

type fakeWatch string

func (fakeWatch) C() <-chan struct{} { return nil }
func (fakeWatch) Close()             {}

type fakeTx struct {
	data    map[string]string
	guarded []Range
}

func cloneMap(m map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range m {
		out[k] = v
	}
	return out
}

func (t *fakeTx) Get(key []byte) ([]byte, error) {
	if v, ok := t.data[string(key)]; ok {
		return []byte(v), nil
	}
	return nil, ErrNotFound
}

func (t *fakeTx) Scan(r Range, _ ScanOptions) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		var keys []string
		for k := range t.data {
			if r.Contains([]byte(k)) {
				keys = append(keys, k)
			}
		}
		slices.Sort(keys)
		for _, k := range keys {
			if !yield(Entry{[]byte(k), []byte(t.data[k])}, nil) {
				return
			}
		}
		yield(Entry{}, errFake)
	}
}

func (t *fakeTx) Loose() Reader               { return t }
func (t *fakeTx) Put(k, v []byte) error       { t.data[string(k)] = string(v); return nil }
func (t *fakeTx) Delete(k []byte) error       { delete(t.data, string(k)); return nil }
func (t *fakeTx) Add(k []byte, _ int64) error { return t.Put(k, []byte("added")) }
func (t *fakeTx) Append(l, v []byte) error    { return t.Put(LogKey(l, 1), v) }
func (t *fakeTx) Guard(r Range) error         { t.guarded = append(t.guarded, r); return nil }
func (t *fakeTx) Savepoint() func() {
	saved := cloneMap(t.data)
	return func() { t.data = saved }
}

func (t *fakeTx) DeleteRange(r Range) error {
	for k := range t.data {
		if r.Contains([]byte(k)) {
			delete(t.data, k)
		}
	}
	return nil
}

var errFake = errors.New("fake")

func (f *fake) String() string {
	var out []string
	for k, v := range f.data {
		out = append(out, k+"="+v)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func put(key, value string) func(context.Context, Tx) error {
	return func(_ context.Context, tx Tx) error { return tx.Put([]byte(key), []byte(value)) }
}

func TestJoin(t *testing.T) {
	s, other := &fake{}, &fake{}
	ctx := context.Background()
	err := s.Update(ctx, func(ctx context.Context, tx Tx) error {
		if !InTx(ctx, s) || InTx(ctx, other) || InTx(Detach(ctx, s), s) {
			t.Error("InTx is wrong")
		}
		failing := func(_ context.Context, tx Tx) error { return errors.Join(tx.Put([]byte("x"), nil), errFake) }
		if err := s.Update(ctx, failing); !errors.Is(err, errFake) {
			t.Errorf("got %v", err)
		}
		// Another store's transaction is its own, and stays when this one fails.
		if err := other.Update(ctx, put("other", "1")); err != nil {
			t.Error(err)
		}
		return errors.Join(
			s.Update(ctx, put("a", "1")),
			s.View(ctx, func(ctx context.Context, r Reader) error {
				if v, err := r.Get([]byte("a")); string(v) != "1" {
					t.Errorf("joined View got %q, %v", v, err)
				}
				return s.Update(ctx, put("b", "2"))
			}))
	})
	if err != nil || s.String() != "a=1 b=2" || other.String() != "other=1" {
		t.Errorf("%v, %v, %v", err, s, other)
	}
	err = s.View(ctx, func(ctx context.Context, _ Reader) error { return s.Update(ctx, put("c", "3")) })
	if !errors.Is(err, ErrReadOnly) {
		t.Errorf("got %v", err)
	}
}

func TestJoinDepth(t *testing.T) {
	s := &fake{}
	depth := 0
	var update func(context.Context, Tx) error
	var view func(context.Context, Reader) error
	update = func(ctx context.Context, _ Tx) error { depth++; return s.View(ctx, view) }
	view = func(ctx context.Context, _ Reader) error {
		if depth > 10*MaxJoinDepth {
			return errFake
		}
		if InTx(ctx, s) {
			return s.Update(ctx, update)
		}
		depth++
		return s.View(ctx, view)
	}
	if err := s.Update(context.Background(), update); !errors.Is(err, ErrTooDeep) {
		t.Errorf("updates: %v at %d", err, depth)
	}
	depth = 0
	if err := s.View(context.Background(), view); !errors.Is(err, ErrTooDeep) {
		t.Errorf("views: %v at %d", err, depth)
	}
}

func TestSpace(t *testing.T) {
	s := &fake{}
	ctx := context.Background()
	a := NewSpace(s, "a")
	ab := NewSpace(s, "a", "b")
	if sub := a.Sub("b"); string(sub.prefix) != string(ab.prefix) || a.Store() != Store(s) {
		t.Error("Sub is not NewSpace")
	}
	err := a.Update(ctx, func(ctx context.Context, tx Tx) error {
		rollback := tx.Savepoint()
		err := errors.Join(tx.Put([]byte("gone"), nil), tx.Delete([]byte("gone")))
		rollback()
		err = errors.Join(err, tx.Put([]byte("k"), []byte("1")), tx.Add([]byte("n"), 1), tx.Append([]byte("l"), []byte("e")),
			tx.Guard(Range{}), tx.Guard(Range{Start: []byte("x"), End: []byte("y")}), ab.Update(ctx, put("k", "2")))
		guarded := tx.(*spaceTx).tx.(*fakeTx).guarded
		if string(guarded[0].End) != "a\x00\x02" || string(guarded[1].End) != "a\x00\x01y" {
			t.Errorf("guarded %q", guarded)
		}
		return err
	})
	const p = "a\x00\x01"
	want := p + "b\x00\x01k=2 " + p + "k=1 " + p + "l\x00\x00\x00\x00\x00\x00\x00\x01=e " + p + "n=added"
	if err != nil || s.String() != want {
		t.Errorf("%v, %q", err, s)
	}
	err = ab.View(ctx, func(_ context.Context, r Reader) error {
		var got []string
		for e, err := range r.Loose().Scan(Range{}, ScanOptions{}) {
			if err != nil {
				return err
			}
			got = append(got, string(e.Key)+"="+string(e.Value))
		}
		t.Errorf("the error of a scan was swallowed after %q", got)
		return nil
	})
	if !errors.Is(err, errFake) {
		t.Errorf("got %v", err)
	}
	if err := ab.Clear(ctx); err != nil || strings.Contains(s.String(), "=2") || !strings.Contains(s.String(), "=1") {
		t.Errorf("%v, %q", err, s)
	}
	if w := a.Watch([]byte("q")); string(w.(fakeWatch)) != p+"q" {
		t.Errorf("watches %q", w)
	}
}
