package kvtest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"croft/internal/kv"
)

// Metamorphic runs the same random operations on a model and on one store of every variant, and fails unless all have the
// same history. The variants are stores that may differ in everything but their answers.
func Metamorphic(t *testing.T, variants map[string]func(testing.TB) Backend) {
	var runs []*run
	for _, name := range slices.Sorted(maps.Keys(variants)) {
		runs = append(runs, &run{tb: t, name: name, b: variants[name](t), dir: t.TempDir()})
	}
	rapid.Check(t, func(rt *rapid.T) {
		program := rapid.SliceOfN(rapid.Custom(drawStep), 1, 12).Draw(rt, "program")
		m := newModel()
		var want []string
		for _, s := range program {
			want = append(want, s.name+s.onModel(m))
			m.commit()
		}
		for _, r := range runs {
			got, err := r.program(program)
			if err != nil {
				rt.Fatalf("%s: %v", r.name, err)
			}
			for i := range want {
				if got[i] != want[i] {
					rt.Fatalf("%s: step %d\n got %s\nwant %s", r.name, i, got[i], want[i])
				}
			}
		}
	})
}

// step is one transaction, or something done to the whole store.
type step struct {
	name string
	// ops of a transaction, and whether it fails at its end.
	ops  []action
	fail bool
	view bool
	// whole is what is done to the store instead.
	whole func(*run) error
}

// action is one operation in a transaction, on the store and on the model. Both return what was read.
type action struct {
	name    string
	onStore func(ctx context.Context, s kv.Store, tx kv.Tx) (string, error)
	onModel func(*model) string
	// onReader is set for those that only read.
	onReader func(kv.Reader) (string, error)
}

// run is one store, on which programs run one after the other.
type run struct {
	tb    testing.TB
	name  string
	b     Backend
	s     kv.Store
	dir   string
	count int
}

// program empties the store and runs program on it.
func (r *run) program(program []step) (history []string, err error) {
	if r.s == nil {
		r.s = r.b.Open(r.tb)
	}
	err = r.s.Update(context.Background(), func(_ context.Context, tx kv.Tx) error { return tx.DeleteRange(kv.Range{}) })
	if err != nil {
		return nil, err
	}
	for _, s := range program {
		var out string
		switch {
		case s.whole != nil:
			err = s.whole(r)
		case s.view:
			out, err = s.runView(r.s)
		default:
			out, err = s.runJoined(context.Background(), r.s)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		history = append(history, s.name+out)
	}
	return history, nil
}

func (s step) runView(store kv.Store) (string, error) {
	var out strings.Builder
	err := store.View(context.Background(), func(_ context.Context, r kv.Reader) error {
		for _, a := range s.ops {
			read, err := a.onReader(r)
			if err != nil {
				return err
			}
			fmt.Fprintf(&out, "\n  %s -> %s", a.name, read)
		}
		return nil
	})
	return out.String(), err
}

// runJoined runs the operations in an Update, which joins the transaction that ctx carries, if any.
func (s step) runJoined(ctx context.Context, store kv.Store) (out string, err error) {
	err = store.Update(ctx, func(ctx context.Context, tx kv.Tx) (err error) {
		out, err = s.runActions(ctx, store, tx)
		if err == nil && s.fail {
			return errTest
		}
		return err
	})
	if s.fail && errors.Is(err, errTest) {
		err = nil
	}
	return out, err
}

func (s step) runActions(ctx context.Context, store kv.Store, tx kv.Tx) (string, error) {
	var out strings.Builder
	for _, a := range s.ops {
		read, err := a.onStore(ctx, store, tx)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&out, "\n  %s -> %s", a.name, read)
	}
	return out.String(), nil
}

func (s step) onModel(m *model) string {
	var out strings.Builder
	before := m.clone()
	for _, a := range s.ops {
		fmt.Fprintf(&out, "\n  %s -> %s", a.name, a.onModel(m))
	}
	if s.fail {
		*m = *before
	}
	return out.String()
}

// drawStep draws a step. Most are transactions.
func drawStep(t *rapid.T) step {
	switch kind := rapid.IntRange(0, 11).Draw(t, "kind"); kind {
	case 0:
		return step{name: "reopen", whole: reopenStep}
	case 1:
		return step{name: "checkpoint", whole: checkpointStep}
	case 2, 3, 4:
		return step{name: "view", view: true, ops: append(rapid.SliceOfN(rapid.Custom(drawRead), 0, 4).Draw(t, "reads"), readAllAction())}
	default:
		ops := rapid.SliceOfN(rapid.Custom(drawAction), 1, 10).Draw(t, "ops")
		return step{name: "update", ops: ops, fail: kind == 5}
	}
}

func reopenStep(r *run) error {
	if r.b.Forgets {
		return nil
	}
	if err := r.s.Close(); err != nil {
		return err
	}
	r.s = r.b.Open(r.tb)
	return nil
}

// checkpointStep compares a copy with the store.
func checkpointStep(r *run) error {
	r.count++
	dir := filepath.Join(r.dir, fmt.Sprint(r.count))
	if err := r.s.Checkpoint(context.Background(), dir); err != nil {
		return err
	}
	c := r.b.OpenCopy(r.tb, dir)
	whole := step{ops: []action{readAllAction()}}
	here, err := whole.runView(r.s)
	there, err2 := whole.runView(c)
	if here != there {
		err = errors.Join(err, fmt.Errorf("the copy has %s, the store %s", there, here))
	}
	return errors.Join(err, err2, c.Close(), os.RemoveAll(dir))
}

func readAllAction() action {
	return scanAction(kv.Range{}, kv.ScanOptions{}, false)
}
