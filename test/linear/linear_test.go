package linear

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"croft/internal/clock"
	"croft/test/harness"
)

const (
	clients = 6
	// each is how many calls a client makes in a round. Rounds are short, since what the checker tries grows fast with the calls that overlap.
	each = 15
	// within bounds the checker's work on one round.
	within = 30 * time.Second
)

// rounds returns how many histories are recorded of each kind: CROFT_LINEAR, or what takes seconds.
func rounds() int {
	if n, err := strconv.Atoi(os.Getenv("CROFT_LINEAR")); err == nil && n > 0 {
		return n
	}
	return 20
}

// recorder keeps the history of one round.
type recorder struct {
	clock clock.Clock
	begin time.Time
	mu    sync.Mutex
	ops   []porcupine.Operation
}

func newRecorder() *recorder {
	c := clock.Real()
	return &recorder{clock: c, begin: c.Now()}
}

// at returns the time since the history began, which does not step back.
func (r *recorder) at() int64 { return int64(r.clock.Now().Sub(r.begin)) }

func (r *recorder) add(client int, input, output any, begin, end int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = append(r.ops, porcupine.Operation{ClientId: client, Input: input, Output: output, Call: begin, Return: end})
}

// together runs fn for every client at once and returns their errors.
func together(fn func(client int) error) error {
	var wg sync.WaitGroup
	errs := make([]error, clients)
	for i := range clients {
		wg.Go(func() { errs[i] = fn(i) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// run records one history of registers: every client makes calls that pick gives it.
func run(pick func() call, do func(call) (outcome, error)) ([]porcupine.Operation, error) {
	r := newRecorder()
	err := together(func(client int) error {
		for range each {
			c := pick()
			begin := r.at()
			o, err := do(c)
			if err != nil {
				return fmt.Errorf("%+v: %w", c, err)
			}
			r.add(client, c, o, begin, r.at())
		}
		return nil
	})
	return r.ops, err
}

// mustHold fails the test when there is no order for a history, or when the checker does not find out in time.
func mustHold(t *testing.T, model porcupine.Model, history []porcupine.Operation) {
	t.Helper()
	got := porcupine.CheckOperationsTimeout(model, history, within)
	if got == porcupine.Ok {
		return
	}
	t.Errorf("the checker says %s of:", got)
	for _, op := range slices.SortedFunc(slices.Values(history), func(a, b porcupine.Operation) int { return int(a.Call - b.Call) }) {
		t.Logf("client %d, %9d to %9d: %s", op.ClientId, op.Call, op.Return, model.DescribeOperation(op.Input, op.Output))
	}
}

// mustBreak takes a true history, makes one of its reads see what nobody wrote, and fails the test when the checker does not notice.
func mustBreak(t *testing.T, history []porcupine.Operation) {
	t.Helper()
	for i, op := range history {
		o := op.Output.(outcome)
		if !o.ok || len(o.seen) == 0 {
			continue
		}
		wrong := slices.Clone(history)
		o.seen = append([]int{-1}, o.seen[1:]...)
		wrong[i].Output = o
		if got := porcupine.CheckOperationsTimeout(registers(), wrong, within); got != porcupine.Illegal {
			t.Errorf("the checker says %s of a read of what nobody wrote", got)
		}
		return
	}
	t.Error("no call has read anything")
}

// tally counts how calls ended: a test in which no condition fails says little about conditions.
func tally(total map[string]int, history []porcupine.Operation) {
	for _, op := range history {
		switch o := op.Output.(outcome); {
		case o.conflict:
			total["conflict"]++
		case o.ok:
			total["done"]++
		default:
			total["condition failed"]++
		}
	}
}

func cloudOf(t *testing.T) *harness.Cloud {
	t.Helper()
	c := harness.New(t, harness.Binary(t))
	c.Start()
	return c
}

// TestLinearizable runs all parts against one croft.
func TestLinearizable(t *testing.T) {
	c := cloudOf(t)
	for _, part := range []struct {
		name string
		test func(*testing.T, *harness.Cloud)
	}{{"items", testItems}, {"objects", testObjects}, {"standard", testStandard}, {"fifo", testFIFO}} {
		t.Run(part.name, func(t *testing.T) { part.test(t, c) })
	}
}
