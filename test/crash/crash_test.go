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
	// longest is the longest load before a kill: long enough that kills fall before, into and after the first cold start.
	longest = 1500 * time.Millisecond
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
}

func (l *ledger) add(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.accepted[id] = true
	l.fresh = append(l.fresh, id)
}

func (l *ledger) takeFresh() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := l.fresh
	l.fresh = nil
	return out
}

func TestOrdersSurviveKills(t *testing.T) {
	n := kills(t)
	c := harness.New(t, harness.Binary(t))
	c.Start()
	url := c.Deploy("examples/orders")["OrdersUrl"]
	book := &ledger{accepted: map[string]bool{}}
	for i := range n {
		if i > 0 {
			c.Start()
		}
		checkOrders(t, c, book.takeFresh(), i)
		load(c, url, book, time.Duration(clock.Pick(int(longest))))
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

// load posts orders from several clients until the process is killed after d, and returns when all clients have stopped.
func load(c *harness.Cloud, url string, book *ledger, d time.Duration) {
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
