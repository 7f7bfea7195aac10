package linear

import (
	"fmt"
	"testing"

	"github.com/anishathalye/porcupine"

	"croft/internal/clock"
	"croft/test/harness"
)

// visibility is longer than any history, in seconds: nothing becomes visible but by a call.
const visibility = 3600

// messages makes calls on the queue of one round.
type messages struct {
	cloud *harness.Cloud
	rec   *recorder
	url   string
	fifo  bool
	// most is how many messages a receive asks for. Of a FIFO queue it is one: the model has a group's first message in flight alone.
	most int
}

type received struct {
	Body, ReceiptHandle string
	Attributes          struct{ MessageGroupId string }
}

func testStandard(t *testing.T, c *harness.Cloud) { testQueues(t, c, false, standard()) }

func testFIFO(t *testing.T, c *harness.Cloud) { testQueues(t, c, true, fifo()) }

func testQueues(t *testing.T, c *harness.Cloud, fifo bool, model porcupine.Model) {
	count := map[verb]int{}
	for round := range rounds() {
		m := &messages{cloud: c, rec: newRecorder(), fifo: fifo, most: 3}
		attributes := map[string]string{"VisibilityTimeout": fmt.Sprint(visibility)}
		name := fmt.Sprintf("linear%d", round)
		if fifo {
			name, m.most = name+".fifo", 1
			attributes["FifoQueue"] = "true"
		}
		var out struct{ QueueUrl string }
		if err := c.Call("sqs", "AmazonSQS.CreateQueue", object{"QueueName": name, "Attributes": attributes}, &out); err != nil {
			t.Fatal(err)
		}
		m.url = out.QueueUrl
		if err := together(m.load); err != nil {
			t.Fatal(err)
		}
		if err := m.drain(); err != nil {
			t.Fatal(err)
		}
		mustHold(t, model, m.rec.ops)
		for _, op := range m.rec.ops {
			count[op.Input.(messageCall).verb]++
		}
		if round == 0 {
			m.mustBreak(t, model)
		}
	}
	t.Logf("%d sent, %d received, %d of them given back", count[send], count[receive], count[release])
	if count[release] == 0 || count[receive] != count[release]+count[send] {
		t.Errorf("the load does not add up: %v", count)
	}
}

// load is one client: it sends, and what it receives it deletes or gives back.
func (m *messages) load(client int) error {
	for i := range each {
		if clock.Pick(2) == 0 {
			if err := m.send(client, fmt.Sprintf("%d.%d", client, i)); err != nil {
				return err
			}
			continue
		}
		got, err := m.receive(client)
		if err != nil {
			return err
		}
		for _, r := range got {
			v := remove
			if clock.Pick(3) == 0 {
				v = release
			}
			if err := m.settle(client, v, r); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *messages) send(client int, text string) error {
	in := object{"QueueUrl": m.url, "MessageBody": text}
	group := ""
	if m.fifo {
		group = fmt.Sprint(clock.Pick(2))
		in["MessageGroupId"], in["MessageDeduplicationId"] = group, text
	}
	var out struct{ SequenceNumber string }
	begin := m.rec.at()
	if err := m.cloud.Call("sqs", "AmazonSQS.SendMessage", in, &out); err != nil {
		return err
	}
	m.rec.add(client, messageCall{send, group, text, out.SequenceNumber}, nil, begin, m.rec.at())
	return nil
}

func (m *messages) receive(client int) ([]received, error) {
	var out struct{ Messages []received }
	begin := m.rec.at()
	err := m.cloud.Call("sqs", "AmazonSQS.ReceiveMessage", object{"QueueUrl": m.url, "MaxNumberOfMessages": m.most, "AttributeNames": []string{"All"}}, &out)
	end := m.rec.at()
	for _, r := range out.Messages {
		m.rec.add(client, messageCall{receive, r.Attributes.MessageGroupId, r.Body, ""}, nil, begin, end)
	}
	return out.Messages, err
}

func (m *messages) settle(client int, v verb, r received) error {
	in, target := object{"QueueUrl": m.url, "ReceiptHandle": r.ReceiptHandle}, "AmazonSQS.DeleteMessage"
	if v == release {
		in["VisibilityTimeout"], target = 0, "AmazonSQS.ChangeMessageVisibility"
	}
	begin := m.rec.at()
	if err := m.cloud.Call("sqs", target, in, nil); err != nil {
		return err
	}
	m.rec.add(client, messageCall{v, r.Attributes.MessageGroupId, r.Body, ""}, nil, begin, m.rec.at())
	return nil
}

// drain receives and deletes until nothing comes, and writes down that whatever was sent must by then be gone.
func (m *messages) drain() error {
	for {
		got, err := m.receive(0)
		if err != nil {
			return err
		}
		if len(got) == 0 {
			break
		}
		for _, r := range got {
			if err := m.settle(0, remove, r); err != nil {
				return err
			}
		}
	}
	now := m.rec.at()
	groups := map[string]bool{}
	for _, op := range m.rec.ops {
		// One for each part that the model takes by itself.
		if c := op.Input.(messageCall); c.verb == send && !groups[c.group] {
			groups[c.group] = m.fifo
			m.rec.add(0, messageCall{drained, c.group, c.message, ""}, nil, now, now+1)
		}
	}
	return nil
}

// mustBreak fails the test when the checker does not notice that the last delete is missing from the history, which makes its message a lost one.
func (m *messages) mustBreak(t *testing.T, model porcupine.Model) {
	t.Helper()
	for i := len(m.rec.ops) - 1; i >= 0; i-- {
		if m.rec.ops[i].Input.(messageCall).verb != remove {
			continue
		}
		wrong := append(append([]porcupine.Operation{}, m.rec.ops[:i]...), m.rec.ops[i+1:]...)
		if got := porcupine.CheckOperationsTimeout(model, wrong, within); got != porcupine.Illegal {
			t.Errorf("the checker says %s of a lost message", got)
		}
		return
	}
	t.Error("no message was deleted")
}
