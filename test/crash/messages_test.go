package crash

import (
	"fmt"
	"testing"

	"croft/test/harness"
)

// messages sends messages and takes every second one out again.
type messages struct {
	cloud         *harness.Cloud
	sent, deleted *diary
}

const dataQueue = "crash-data"

func newMessages(c *harness.Cloud, told chan struct{}) *messages {
	return &messages{c, newDiary(told), newDiary(told)}
}

func createQueue(t *testing.T, c *harness.Cloud, name string) {
	t.Helper()
	in := object{"QueueName": name, "Attributes": map[string]string{"VisibilityTimeout": "0"}}
	if err := c.Call("sqs", "AmazonSQS.CreateQueue", in, nil); err != nil {
		t.Fatal(err)
	}
}

func (m *messages) prepare(t *testing.T) { createQueue(t, m.cloud, dataQueue) }

func (m *messages) work(n int) error {
	body, url := fmt.Sprint(n), queueURL(m.cloud, dataQueue)
	err := m.sent.note(body, func() error {
		return m.cloud.Call("sqs", "AmazonSQS.SendMessage", object{"QueueUrl": url, "MessageBody": body}, nil)
	})
	if err != nil || n%2 == 0 {
		return err
	}
	var out struct{ Messages []message }
	if err := m.cloud.Call("sqs", "AmazonSQS.ReceiveMessage", object{"QueueUrl": url}, &out); err != nil {
		return err
	}
	for _, got := range out.Messages {
		err := m.deleted.note(got.Body, func() error {
			return m.cloud.Call("sqs", "AmazonSQS.DeleteMessage", object{"QueueUrl": url, "ReceiptHandle": got.ReceiptHandle}, nil)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (m *messages) check(*testing.T) {}

// finish empties the queue: it holds every acknowledged message whose deletion was not, and none whose deletion was.
func (m *messages) finish(t *testing.T) {
	t.Helper()
	there := drain(t, m.cloud, dataQueue)
	for body := range m.sent.acked {
		if there[body] == 0 && !m.deleted.acked[body] && !m.deleted.doubt[body] {
			t.Errorf("message %s was acknowledged and is lost", body)
		}
	}
	for body, n := range there {
		if m.deleted.acked[body] || n > 1 {
			t.Errorf("message %s is there %d times; deleted before: %v", body, n, m.deleted.acked[body])
		}
	}
	t.Logf("%d messages sent, %d deleted, %d left", len(m.sent.acked), len(m.deleted.acked), len(there))
}

// drain takes all messages of a queue, and returns how often each body was among them.
func drain(t *testing.T, c *harness.Cloud, queue string) map[string]int {
	t.Helper()
	out := map[string]int{}
	for {
		got := receive(t, c, queue)
		if len(got) == 0 {
			return out
		}
		for _, m := range got {
			out[m.Body]++
		}
	}
}

// fan publishes to a topic with three queues.
type fan struct {
	cloud     *harness.Cloud
	published *diary
	topic     string
}

func newFan(c *harness.Cloud, told chan struct{}) *fan { return &fan{c, newDiary(told), ""} }

func fanQueue(i int) string { return fmt.Sprintf("crash-fan%d", i) }

// query makes a call in SNS's protocol.
func (f *fan) query(operation string, in map[string]string) error {
	return f.cloud.Form("sns", "2010-03-31", operation, in)
}

func (f *fan) prepare(t *testing.T) {
	t.Helper()
	f.topic = "arn:aws:sns:us-east-1:000000000000:crash-data"
	if err := f.query("CreateTopic", map[string]string{"Name": "crash-data"}); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		createQueue(t, f.cloud, fanQueue(i))
		err := f.query("Subscribe", map[string]string{
			"TopicArn": f.topic, "Protocol": "sqs", "Endpoint": "arn:aws:sqs:us-east-1:000000000000:" + fanQueue(i),
			"Attributes.entry.1.key": "RawMessageDelivery", "Attributes.entry.1.value": "true",
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func (f *fan) work(n int) error {
	body := fmt.Sprint(n)
	return f.published.note(body, func() error {
		return f.query("Publish", map[string]string{"TopicArn": f.topic, "Message": body})
	})
}

func (f *fan) check(*testing.T) {}

// finish waits for every acknowledged message in each queue. What was not acknowledged is in all of them or in none, and nothing is there twice.
func (f *fan) finish(t *testing.T) {
	t.Helper()
	var there [3]map[string]int
	for i := range there {
		there[i] = map[string]int{}
		missing := len(f.published.acked)
		f.cloud.Until("every published message is in "+fanQueue(i), arriveWithin, func() bool {
			for _, m := range receive(t, f.cloud, fanQueue(i)) {
				if there[i][m.Body]++; there[i][m.Body] == 1 && f.published.acked[m.Body] {
					missing--
				}
			}
			return missing == 0
		})
	}
	// What nobody was told of goes the same way, and has had the same time: two empty answers in a row say that nothing is on its way.
	for range 2 {
		for i := range there {
			for body, n := range drain(t, f.cloud, fanQueue(i)) {
				there[i][body] += n
			}
		}
	}
	for body := range there[0] {
		for i := range there {
			if there[i][body] != 1 {
				t.Errorf("message %s is in queue %d %d times", body, i, there[i][body])
			}
		}
	}
	if len(there[1]) != len(there[0]) || len(there[2]) != len(there[0]) {
		t.Errorf("the queues have had %d, %d and %d messages", len(there[0]), len(there[1]), len(there[2]))
	}
	t.Logf("%d messages published, %d delivered to each queue", len(f.published.acked), len(there[0]))
}
