package kvtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"croft/internal/clock"
	"croft/internal/kv"
)

func serialCases() map[string]func(*env) {
	return map[string]func(*env){
		"random transactions can be put in a row": serialCase,
		"write skew":         writeSkewCase,
		"money is conserved": transferCase,
	}
}

// event is one committed transaction of serialCase: what it did, in order.
type event struct {
	name string
	ops  []action
	// seen is what its reads returned.
	seen string
}

// orderLog is the log to which every transaction of serialCase appends its name: the order of its entries is the order of the commits.
const orderLog = logSpace + "order"

// serialCase runs random transactions at the same time and then replays the committed ones, one after the other in commit order, on
// the model: every read must have returned what the model returns. Views are checked at the place where their snapshot stands.
func serialCase(e *env) {
	const each = 40
	var mu sync.Mutex
	events := map[string]event{}
	var views []event
	together(e, func(who int) error {
		for i := range each {
			name := fmt.Sprintf("%d/%d", who, i)
			if i%5 == 4 {
				v, err := serialView(e)
				if err != nil {
					return err
				}
				mu.Lock()
				views = append(views, v)
				mu.Unlock()
				continue
			}
			ev, err := serialUpdate(e, name)
			if errors.Is(err, kv.ErrConflict) {
				continue
			}
			if err != nil {
				return err
			}
			mu.Lock()
			events[name] = ev
			mu.Unlock()
		}
		return nil
	})
	replay(e, events, views)
	n, _ := e.conflicts()
	e.Logf("%d commits, %d views, %d conflicts", len(events), len(views), n)
}

// randomAction is an action on few keys, for a transaction that must commit.
func randomAction() action {
	key := string("abcd"[clock.Pick(4)])
	counter := "n" + string("ab"[clock.Pick(2)])
	value := fmt.Sprint(clock.Pick(1000))
	some := kv.Range{Start: []byte(key), End: []byte{key[0] + byte(clock.Pick(3))}}
	switch clock.Pick(10) {
	case 0, 1:
		return getAction(key, false)
	case 2:
		return getAction(counter, false)
	case 3:
		return scanAction(some, kv.ScanOptions{Reverse: clock.Pick(2) == 0, Limit: clock.Pick(3)}, false)
	case 4:
		return deleteAction(key)
	case 5:
		return deleteRangeAction(some)
	case 6, 7:
		return addAction(counter, int64(clock.Pick(100)))
	default:
		return putAction(key, value)
	}
}

func serialUpdate(e *env, name string) (event, error) {
	ev := event{name: name}
	err := e.s.Update(e.ctx, func(ctx context.Context, tx kv.Tx) (err error) {
		ev.ops = ev.ops[:0]
		for range 1 + clock.Pick(5) {
			ev.ops = append(ev.ops, randomAction())
		}
		if ev.seen, err = (step{ops: ev.ops}).runActions(ctx, e.s, tx); err != nil {
			return err
		}
		if clock.Pick(4) == 0 {
			// A loose look must neither help nor hurt.
			if _, err := scanHistory(tx.Loose(), kv.Range{}, kv.ScanOptions{}); err != nil {
				return err
			}
		}
		return tx.Append([]byte(orderLog), []byte(name))
	})
	return ev, err
}

// serialView reads everything, and the name of the last transaction in its snapshot.
func serialView(e *env) (event, error) {
	var ev event
	err := e.s.View(e.ctx, func(_ context.Context, r kv.Reader) (err error) {
		if ev.seen, err = scanHistory(r, span("", logSpace), kv.ScanOptions{}); err != nil {
			return err
		}
		for entry, err := range r.Scan(prefix(orderLog), kv.ScanOptions{Reverse: true, Limit: 1}) {
			if err != nil {
				return err
			}
			ev.name = string(entry.Value)
		}
		return nil
	})
	return ev, err
}

// replay checks events, in the order of the log, and views against the model.
func replay(e *env, events map[string]event, views []event) {
	var order []string
	e.view(func(r kv.Reader) error {
		for entry, err := range r.Scan(prefix(orderLog), kv.ScanOptions{}) {
			e.ok(err)
			order = append(order, string(entry.Value))
		}
		return nil
	})
	e.eq(len(order), len(events))
	m := newModel()
	states := map[string]string{"": ""}
	for i, name := range order {
		ev, ok := events[name]
		if !ok {
			e.Fatalf("%s is in the log and was not acknowledged, or is there twice", name)
		}
		if got := (step{ops: ev.ops}).onModel(m); got != ev.seen {
			e.Fatalf("transaction %d of %d (%s) saw%s\nin commit order it would have seen%s\nbefore it: %s",
				i, len(order), name, ev.seen, got, strings.Join(order[max(0, i-5):i], ", "))
		}
		states[name] = m.scan(kv.Range{}, kv.ScanOptions{})
	}
	for _, v := range views {
		if want, ok := states[v.name]; !ok || v.seen != want {
			e.Fatalf("a view after %q saw %s, want %s", v.name, v.seen, want)
		}
	}
}

// writeSkewCase: two transactions that each read what the other writes cannot both win.
func writeSkewCase(e *env) {
	for round := range 50 {
		a, b := kv.Key("a").Int(int64(round)), kv.Key("b").Int(int64(round))
		e.put(string(a), "on", string(b), "on")
		together(e, func(i int) error {
			mine, yours := a, b
			if i%2 == 1 {
				mine, yours = b, a
			}
			return e.s.Update(e.ctx, func(_ context.Context, tx kv.Tx) error {
				v, err := tx.Get(yours)
				if err != nil || string(v) == "off" {
					return err
				}
				return tx.Put(mine, []byte("off"))
			})
		})
		e.view(func(r kv.Reader) error {
			x, err := r.Get(a)
			e.ok(err)
			y, err := r.Get(b)
			e.ok(err)
			if string(x) == "off" && string(y) == "off" {
				e.Fatal("both are off")
			}
			return nil
		})
	}
}

// transferCase moves amounts between accounts, while others sum them up.
func transferCase(e *env) {
	const accounts, each = 5, 30
	account := func(i int) []byte { return kv.Key("account").Int(int64(i)) }
	e.update(func(tx kv.Tx) error {
		for i := range accounts {
			e.ok(tx.Put(account(i), kv.EncodeInt64(100)))
		}
		return nil
	})
	sum := func(r kv.Reader) error {
		total := int64(0)
		for entry, err := range r.Scan(prefix("account"), kv.ScanOptions{}) {
			if err != nil {
				return err
			}
			total += kv.Int64(entry.Value)
		}
		if total != 100*accounts {
			return fmt.Errorf("the sum is %d", total)
		}
		return nil
	}
	move := func(tx kv.Tx, from, to []byte, amount int64) error {
		for _, k := range [][]byte{from, to} {
			v, err := tx.Get(k)
			if err != nil {
				return err
			}
			if err := tx.Put(k, kv.EncodeInt64(kv.Int64(v)-amount)); err != nil {
				return err
			}
			amount = -amount
		}
		return nil
	}
	together(e, func(who int) error {
		var errs []error
		for range each {
			err := e.s.Update(e.ctx, func(_ context.Context, tx kv.Tx) error {
				if who%4 == 0 {
					return sum(tx)
				}
				return move(tx, account(clock.Pick(accounts)), account(clock.Pick(accounts)), int64(clock.Pick(50)))
			})
			if !errors.Is(err, kv.ErrConflict) {
				errs = append(errs, err)
			}
			errs = append(errs, e.s.View(e.ctx, func(_ context.Context, r kv.Reader) error { return sum(r) }))
		}
		return errors.Join(slices.Clip(errs)...)
	})
	e.view(sum)
}
