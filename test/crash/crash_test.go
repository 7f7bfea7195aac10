// Package crash kills the cloud at random instants and looks for what had been acknowledged.
package crash

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"croft/internal/clock"
	"croft/test/harness"
)

const (
	posters = 4
	// One kill in three comes at a random moment of a round, up to longest into it: before, in or just after the first cold start. The others
	// come a moment after some orders have been acknowledged, however long the machine takes to get there.
	longest    = 1500 * time.Millisecond
	moment     = 200 * time.Millisecond
	mostOrders = 30
	// ordersWithin bounds the wait for these orders.
	ordersWithin = 30 * time.Second
	// arriveWithin bounds how long events may take once the killing has stopped: shipments come after the visibility timeout of messages
	// that a killed function had taken.
	arriveWithin = 4 * time.Minute
)

func kills(t *testing.T) int {
	n, err := strconv.Atoi(os.Getenv("CROFT_KILLS"))
	if err != nil || n <= 0 {
		n = 5
		t.Logf("CROFT_KILLS is not set: only %d kills", n)
	}
	return n
}

// ledger is what clients were told.
type ledger struct {
	mu       sync.Mutex
	accepted map[string]bool
	fresh    []string
	// told has a value for each order, as far as there is room.
	told chan struct{}
}

func (l *ledger) add(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.accepted[id] = true
	l.fresh = append(l.fresh, id)
	select {
	case l.told <- struct{}{}:
	default:
	}
}

// wait returns when n orders have been acknowledged since the last takeFresh, and fails the test when that takes too long.
func (l *ledger) wait(t *testing.T, n int) {
	limit := clock.Real().NewTimer(ordersWithin)
	defer limit.Stop()
	for range n {
		select {
		case <-l.told:
		case <-limit.C():
			t.Errorf("no %d orders were acknowledged within %v", n, ordersWithin)
			return
		}
	}
}

func (l *ledger) takeFresh() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := l.fresh
	l.fresh = nil
	for len(l.told) > 0 {
		<-l.told
	}
	return out
}

func TestOrdersSurviveKills(t *testing.T) {
	n := kills(t)
	c := harness.New(t, harness.Binary(t))
	c.Start()
	url := c.Deploy("examples/orders")["OrdersUrl"]
	book := &ledger{accepted: map[string]bool{}, told: make(chan struct{}, mostOrders)}
	for i := range n {
		if i > 0 {
			c.Start()
		}
		checkOrders(t, c, book.takeFresh(), i)
		if i%3 == 0 {
			load(t, c, url, book, 0, time.Duration(clock.Pick(int(longest))))
		} else {
			load(t, c, url, book, 1+clock.Pick(mostOrders), time.Duration(clock.Pick(int(moment))))
		}
	}
	c.Start()
	checkOrders(t, c, book.takeFresh(), n)
	t.Logf("%d kills, %d orders acknowledged", n, len(book.accepted))
	if len(book.accepted) < n {
		t.Errorf("only %d orders in %d rounds: the load is too small to say anything", len(book.accepted), n)
	}
	checkAudit(t, c, book.accepted)
	checkShipments(t, c, book.accepted)
}

// load posts orders from several clients until the process is killed, d after the given number of orders has been acknowledged, and returns
// when all clients have stopped.
func load(t *testing.T, c *harness.Cloud, url string, book *ledger, orders int, d time.Duration) {
	t.Helper()
	var wg sync.WaitGroup
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	for range posters {
		wg.Go(func() {
			for ctx.Err() == nil {
				id, err := order(ctx, c, url)
				if err != nil {
					return // the process is gone
				}
				if id != "" {
					book.add(id)
				}
			}
		})
	}
	book.wait(t, orders)
	_ = clock.Sleep(ctx, clock.Real(), d)
	c.Kill()
	stop()
	wg.Wait()
}

// order posts one order and returns its id if it was acknowledged.
func order(ctx context.Context, c *harness.Cloud, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(`{"items":["book"]}`))
	if err != nil {
		return "", err
	}
	res, err := c.HTTP.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusCreated {
		return "", err
	}
	var out struct{ OrderID string }
	err = json.Unmarshal(text, &out)
	return out.OrderID, err
}

func get(c *harness.Cloud, table, id string) (found bool, err error) {
	var out struct{ Item map[string]any }
	err = c.Call("dynamodb", "DynamoDB_20120810.GetItem", map[string]any{
		"TableName": table, "Key": map[string]any{"orderId": map[string]any{"S": id}},
	}, &out)
	return out.Item != nil, err
}

func checkOrders(t *testing.T, c *harness.Cloud, ids []string, kill int) {
	t.Helper()
	for _, id := range ids {
		if found, err := get(c, "Orders", id); err != nil || !found {
			t.Errorf("after kill %d: order %s was acknowledged and is not in the table (%v)", kill, id, err)
		}
	}
}

// checkAudit empties the audit queue: every acknowledged order is announced there, and none twice, because a message goes from the topic to
// the queue in one transaction.
func checkAudit(t *testing.T, c *harness.Cloud, want map[string]bool) {
	t.Helper()
	seen := map[string]string{}
	missing := len(want)
	c.Until("every acknowledged order is in the audit queue", arriveWithin, func() bool {
		for _, m := range receive(t, c, "order-audit") {
			var body struct{ Message string }
			var order struct{ OrderID string }
			if err := json.Unmarshal([]byte(m.Body), &body); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal([]byte(body.Message), &order); err != nil {
				t.Fatal(err)
			}
			if first, twice := seen[order.OrderID]; twice && first != m.MessageID {
				t.Errorf("order %s was announced twice: messages %s and %s", order.OrderID, first, m.MessageID)
			} else if !twice && want[order.OrderID] {
				missing--
			}
			seen[order.OrderID] = m.MessageID
		}
		return missing == 0
	})
}

type message struct {
	Body          string
	MessageID     string `json:"MessageId"`
	ReceiptHandle string
}

func queueURL(c *harness.Cloud, queue string) string { return c.URL + "/000000000000/" + queue }

// receive takes up to ten messages from a queue and deletes them.
func receive(t *testing.T, c *harness.Cloud, queue string) []message {
	t.Helper()
	var out struct{ Messages []message }
	err := c.Call("sqs", "AmazonSQS.ReceiveMessage", map[string]any{
		"QueueUrl": queueURL(c, queue), "MaxNumberOfMessages": 10, "WaitTimeSeconds": 1,
	}, &out)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range out.Messages {
		err := c.Call("sqs", "AmazonSQS.DeleteMessage", map[string]any{"QueueUrl": queueURL(c, queue), "ReceiptHandle": m.ReceiptHandle}, nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	return out.Messages
}

func checkShipments(t *testing.T, c *harness.Cloud, want map[string]bool) {
	t.Helper()
	left := make(map[string]bool, len(want))
	for id := range want {
		left[id] = true
	}
	c.Until("every acknowledged order is shipped", arriveWithin, func() bool {
		for id := range left {
			found, err := get(c, "Shipments", id)
			if err != nil {
				t.Fatal(err)
			}
			if !found {
				return false
			}
			delete(left, id)
		}
		return true
	})
}

func TestSingleWriteOnIdleServerSurvives(t *testing.T) {
	c := harness.New(t, harness.Binary(t))
	c.Start()
	if err := c.Call("sqs", "AmazonSQS.CreateQueue", map[string]any{"QueueName": "idle"}, nil); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		text := fmt.Sprintf("message %d", i)
		if err := c.Call("sqs", "AmazonSQS.SendMessage", map[string]any{"QueueUrl": queueURL(c, "idle"), "MessageBody": text}, nil); err != nil {
			t.Fatal(err)
		}
		c.Kill()
		c.Start()
		got := receive(t, c, "idle")
		if len(got) != 1 || got[0].Body != text {
			t.Fatalf("after the kill the queue holds %v, want %q", got, text)
		}
	}
}
