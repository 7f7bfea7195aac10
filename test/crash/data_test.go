package crash

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"croft/internal/clock"
	"croft/test/harness"
)

type object = map[string]any

const (
	// mostCalls bounds how many calls are acknowledged before a kill, and brief how long after the last of them it comes at the latest.
	mostCalls = 120
	brief     = 50 * time.Millisecond
)

// diary is what the clients of one kind of work know: what was acknowledged, and what was begun and never answered. Either may be looked up
// after each kill.
type diary struct {
	mu    sync.Mutex
	acked map[string]bool
	doubt map[string]bool
	told  chan struct{}
}

func newDiary(told chan struct{}) *diary {
	return &diary{acked: map[string]bool{}, doubt: map[string]bool{}, told: told}
}

// note runs a call that makes id, and writes down how it ended. Errors are those of a process that is gone.
func (d *diary) note(id string, do func() error) error {
	d.mu.Lock()
	d.doubt[id] = true
	d.mu.Unlock()
	if err := do(); err != nil {
		return err
	}
	d.mu.Lock()
	delete(d.doubt, id)
	d.acked[id] = true
	d.mu.Unlock()
	select {
	case d.told <- struct{}{}:
	default:
	}
	return nil
}

// worker makes one kind of calls until one fails because the process is gone.
type worker interface {
	// prepare runs once, on a cloud that lives.
	prepare(t *testing.T)
	// work makes the n-th unit of work.
	work(n int) error
	// check looks at everything after a kill. The cloud lives again, and nobody else works.
	check(t *testing.T)
	// finish looks at what takes its time, once the killing is over.
	finish(t *testing.T)
}

// TestDataSurvivesKills has the four data services work until the process is killed, again and again. What was acknowledged is there, what was
// not is there whole or not at all.
func TestDataSurvivesKills(t *testing.T) {
	n := kills(t)
	c := harness.New(t, harness.Binary(t))
	c.Start()
	told := make(chan struct{}, mostCalls)
	bodies, parts := newObjects(c, told), newUploads(c, told)
	workers := []worker{
		&items{cloud: c, worker: "a", puts: newDiary(told), pairs: newDiary(told)}, &items{cloud: c, worker: "b", puts: newDiary(told), pairs: newDiary(told)},
		bodies, parts, newMessages(c, told), newFan(c, told),
	}
	for _, w := range workers {
		w.prepare(t)
	}
	next := make([]int, len(workers))
	for i := range n {
		workUntilKilled(t, c, workers, next, told)
		c.Start()
		for _, w := range workers {
			w.check(t)
		}
		if t.Failed() {
			t.Fatalf("after kill %d", i+1)
		}
	}
	for _, w := range workers {
		w.finish(t)
	}
	t.Logf("%d kills; units of work begun by each worker: %v", n, next)
	for i, begun := range next {
		if begun == 0 {
			t.Errorf("worker %d has done nothing", i)
		}
	}
	checkSwept(t, c, bodies, parts)
}

func workUntilKilled(t *testing.T, c *harness.Cloud, workers []worker, next []int, told chan struct{}) {
	t.Helper()
	var wg sync.WaitGroup
	var dying atomic.Bool
	for i, w := range workers {
		wg.Go(func() {
			for {
				next[i]++
				if err := w.work(next[i]); err != nil {
					if !dying.Load() {
						t.Errorf("worker %d, before the kill: %v", i, err)
					}
					return
				}
			}
		})
	}
	limit := clock.Real().NewTimer(ordersWithin)
	defer limit.Stop()
wait:
	for range 1 + clock.Pick(mostCalls) {
		select {
		case <-told:
		case <-limit.C():
			t.Errorf("too little was acknowledged within %v", ordersWithin)
			break wait
		}
	}
	_ = clock.Sleep(t.Context(), clock.Real(), time.Duration(clock.Pick(int(brief))))
	dying.Store(true)
	c.Kill()
	wg.Wait()
	for len(told) > 0 {
		<-told
	}
}

// items puts items and makes transactions of two items and a counter.
type items struct {
	cloud       *harness.Cloud
	worker      string
	puts, pairs *diary
	transacted  int
}

const dataTable = "Data"

func (it *items) call(operation string, in object, out any) error {
	return it.cloud.Call("dynamodb", "DynamoDB_20120810."+operation, in, out)
}

func (it *items) prepare(t *testing.T) {
	if it.worker != "a" {
		return
	}
	err := it.call("CreateTable", object{
		"TableName": dataTable, "BillingMode": "PAY_PER_REQUEST", "AttributeDefinitions": []object{{"AttributeName": "orderId", "AttributeType": "S"}},
		"KeySchema": []object{{"AttributeName": "orderId", "KeyType": "HASH"}},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
}

func text(s string) object { return object{"S": s} }

func (it *items) put(id string) object {
	return object{"TableName": dataTable, "Item": object{"orderId": text(id)}}
}

func (it *items) work(n int) error {
	id := fmt.Sprintf("%s%d", it.worker, n)
	if n%2 == 0 {
		return it.puts.note(id, func() error { return it.call("PutItem", it.put(id), nil) })
	}
	return it.pairs.note(id, func() error {
		return it.call("TransactWriteItems", object{"TransactItems": []object{
			{"Put": it.put(id + "-left")}, {"Put": it.put(id + "-right")},
			{"Update": object{
				"TableName": dataTable, "Key": object{"orderId": text("count-" + it.worker)}, "UpdateExpression": "ADD n :one",
				"ExpressionAttributeValues": object{":one": object{"N": "1"}},
			}},
		}}, nil)
	})
}

// check finds every acknowledged item, no half transaction, and a counter that says how many transactions there are.
func (it *items) check(t *testing.T) {
	t.Helper()
	for id := range it.puts.acked {
		if found, err := get(it.cloud, dataTable, id); err != nil || !found {
			t.Errorf("item %s was acknowledged and is not there (%v)", id, err)
		}
	}
	for id := range it.pairs.acked {
		if n := it.halves(t, id); n != 2 {
			t.Errorf("transaction %s was acknowledged, and %d of its 2 items are there", id, n)
		}
	}
	whole := len(it.pairs.acked)
	for id := range it.pairs.doubt {
		n := it.halves(t, id)
		if n == 1 {
			t.Errorf("half of transaction %s is there", id)
		}
		whole += n / 2
	}
	var out struct {
		Item struct{ N struct{ N string } }
	}
	if err := it.call("GetItem", object{"TableName": dataTable, "Key": object{"orderId": text("count-" + it.worker)}}, &out); err != nil {
		t.Fatal(err)
	}
	if got := out.Item.N.N; got != fmt.Sprint(whole) && (whole > 0 || got != "") {
		t.Errorf("the counter says %s transactions, of %d there are the items", got, whole)
	}
	it.transacted = whole
}

func (it *items) halves(t *testing.T, id string) (n int) {
	t.Helper()
	for _, half := range []string{"-left", "-right"} {
		found, err := get(it.cloud, dataTable, id+half)
		if err != nil {
			t.Fatal(err)
		}
		if found {
			n++
		}
	}
	return n
}

func (it *items) finish(t *testing.T) {
	if it.transacted == 0 {
		t.Error("there is not one transaction")
	}
}
