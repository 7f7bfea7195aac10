// Package nodes runs two real croft processes on one PostgreSQL: one cloud, whatever happens to either of them or to the database.
package nodes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"croft/internal/clock"
	"croft/internal/cloud"
	"croft/internal/control"
	"croft/internal/kv/pgkv/pgtest"
	"croft/internal/sigv4"
	"croft/test/harness"
)

const (
	// soon bounds what should take milliseconds, on a busy machine.
	soon = 20 * time.Second
	// takeover bounds how long background work may rest after the node that did it was killed.
	takeover = 15 * time.Second
)

// pair is a cloud of two nodes.
type pair struct {
	t        *testing.T
	database *pgtest.Server
	a, b     *harness.Cloud
}

func newPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{t: t, database: pgtest.Start(t)}
	binary, store, bodies := harness.Binary(t), p.database.DB(t), t.TempDir()
	p.a = harness.New(t, binary, "--store", store, "--blobs", bodies)
	p.b = harness.New(t, binary, "--store", store, "--blobs", bodies)
	p.a.Start()
	p.b.Start()
	return p
}

func (p *pair) status(c *harness.Cloud) control.StatusReport {
	p.t.Helper()
	s, err := c.Control.Status(context.Background())
	if err != nil {
		p.t.Fatal(err)
	}
	return s
}

// holder returns the node that holds a lease whose name begins with prefix, nil when none does.
func (p *pair) holder(by *harness.Cloud, prefix string) *harness.Cloud {
	p.t.Helper()
	for _, n := range p.status(by).Nodes {
		if !slices.ContainsFunc(n.Leases, func(name string) bool { return strings.HasPrefix(name, prefix) }) {
			continue
		}
		for _, c := range []*harness.Cloud{p.a, p.b} {
			if c.URL == n.Address {
				return c
			}
		}
	}
	return nil
}

// must fails the test when err is not nil.
func (p *pair) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func queueURL(c *harness.Cloud, name string) string {
	return c.URL + "/" + cloud.DefaultAccount + "/" + name
}

func send(c *harness.Cloud, queue, body string) error {
	return c.Call("sqs", "AmazonSQS.SendMessage", map[string]string{"QueueUrl": queueURL(c, queue), "MessageBody": body}, nil)
}

func receive(c *harness.Cloud, queue string) (bodies []string, err error) {
	var out struct {
		Messages []struct{ Body, ReceiptHandle string }
	}
	err = c.Call("sqs", "AmazonSQS.ReceiveMessage", map[string]any{"QueueUrl": queueURL(c, queue), "MaxNumberOfMessages": 10}, &out)
	for _, m := range out.Messages {
		in := map[string]string{"QueueUrl": queueURL(c, queue), "ReceiptHandle": m.ReceiptHandle}
		err = errors.Join(err, c.Call("sqs", "AmazonSQS.DeleteMessage", in, nil))
		bodies = append(bodies, m.Body)
	}
	return bodies, err
}

// invoke has the worker do a job without waiting for it: the outbox delivers it.
func invoke(c *harness.Cloud, job string) error {
	body := fmt.Appendf(nil, `{"Records":[{"body":%q}]}`, job)
	req, err := http.NewRequest(http.MethodPost, c.URL+"/2015-03-31/functions/worker/invocations", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("X-Amz-Invocation-Type", "Event")
	sigv4.Sign(req, body, sigv4.Credentials{AccessKey: "test", Secret: "test"}, cloud.DefaultRegion, "lambda", clock.Real().Now())
	res, err := c.HTTP.Do(req)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(res.Body)
	if res.StatusCode != http.StatusAccepted {
		err = errors.Join(err, fmt.Errorf("%s: %s", res.Status, text))
	}
	return errors.Join(err, res.Body.Close())
}

// jobs returns how often the worker says that it has had each job, as stored in its log.
func jobs(c *harness.Cloud) (map[string]int, error) {
	seen := map[string]int{}
	in := map[string]any{"logGroupName": "/aws/lambda/worker", "filterPattern": "job"}
	for {
		var out struct {
			Events    []struct{ Message string }
			NextToken string
		}
		err := c.Call("logs", "Logs_20140328.FilterLogEvents", in, &out)
		if err != nil && strings.Contains(err.Error(), "ResourceNotFoundException") {
			return seen, nil
		}
		if err != nil {
			return nil, err
		}
		for _, e := range out.Events {
			if body, ok := strings.CutPrefix(strings.TrimSpace(e.Message), "job "); ok {
				seen[body]++
			}
		}
		if out.NextToken == "" {
			return seen, nil
		}
		in["nextToken"] = out.NextToken
	}
}

// done reports whether the worker has had all jobs from first to last.
func (p *pair) done(c *harness.Cloud, first, last int) bool {
	seen, err := jobs(c)
	if err != nil {
		return false
	}
	for i := first; i <= last; i++ {
		if seen[fmt.Sprint(i)] == 0 {
			return false
		}
	}
	return true
}

func TestTwoNodesAreOneCloud(t *testing.T) {
	p := newPair(t)
	p.a.Until("both nodes are known", soon, func() bool { return len(p.status(p.a).Nodes) == 2 && len(p.status(p.b).Nodes) == 2 })
	t.Run("what one puts the other reads", p.putAndRead)
	p.a.Deploy("test/nodes/app")
	t.Run("what is deployed through one is called on both", p.call)
	t.Run("each message is delivered once", p.deliver)
	t.Run("the work goes on after a kill", p.kill)
	t.Run("the database goes away and returns", p.outage)
	t.Run("a reset ends the credentials everywhere", p.reset)
}

func (p *pair) on(t *testing.T) *pair { return &pair{t, p.database, p.a, p.b} }

func (p *pair) putAndRead(t *testing.T) {
	p = p.on(t)
	p.must(p.a.Call("sqs", "AmazonSQS.CreateQueue", map[string]string{"QueueName": "plain"}, nil))
	p.must(send(p.a, "plain", "hello"))
	bodies, err := receive(p.b, "plain")
	if err != nil || len(bodies) != 1 || bodies[0] != "hello" {
		t.Errorf("%v, %v", bodies, err)
	}
	// A long poll on one node is woken by what comes through the other.
	got := make(chan error, 1)
	go func() {
		var out struct{ Messages []struct{ Body string } }
		in := map[string]any{"QueueUrl": queueURL(p.b, "plain"), "WaitTimeSeconds": 20}
		err := p.b.Call("sqs", "AmazonSQS.ReceiveMessage", in, &out)
		if err == nil && len(out.Messages) != 1 {
			err = fmt.Errorf("%d messages", len(out.Messages))
		}
		got <- err
	}()
	p.must(send(p.a, "plain", "awaited"))
	p.must(<-got)
}

func (p *pair) call(t *testing.T) {
	p = p.on(t)
	for _, c := range []*harness.Cloud{p.b, p.a} {
		out, err := c.Control.Invoke(context.Background(), control.InvokeRequest{Function: "worker"}, []byte("{}"))
		if err != nil || out.FunctionError != "" || string(out.Payload) != `{"called": true}` {
			t.Errorf("%+v, %v", out, err)
		}
	}
	if s := p.status(p.b).Stacks; len(s) != 1 || s[0].Status != "CREATE_COMPLETE" {
		t.Errorf("%+v", s)
	}
}

func (p *pair) deliver(t *testing.T) {
	p = p.on(t)
	const messages = 30
	for i := range messages {
		p.must(send([]*harness.Cloud{p.a, p.b}[i%2], "jobs", fmt.Sprint(i)))
	}
	for i := range 2 * messages {
		p.must(invoke([]*harness.Cloud{p.a, p.b}[i%2], fmt.Sprint(1000+i)))
	}
	p.a.Until("all messages are handled", soon, func() bool { return p.done(p.a, 0, messages-1) && p.done(p.a, 1000, 1000+2*messages-1) })
	seen, err := jobs(p.b)
	p.must(err)
	for body, n := range seen {
		if n != 1 {
			t.Errorf("message %s was delivered %d times", body, n)
		}
	}
}

// kill kills the node that receives for the mapping.
func (p *pair) kill(t *testing.T) {
	p = p.on(t)
	victim := p.holder(p.a, "mapping/")
	if victim == nil {
		t.Fatal("nobody polls")
	}
	other := p.a
	if victim == p.a {
		other = p.b
	}
	victim.Kill()
	p.must(send(other, "jobs", "100"))
	for i := range 20 {
		p.must(invoke(other, fmt.Sprint(2000+i)))
	}
	other.Until("the other node has taken over", takeover, func() bool { return p.done(other, 100, 100) && p.done(other, 2000, 2019) })
	victim.Start()
	victim.Until("the node has started to the end", soon, func() bool { return strings.Count(victim.Output(), "\nrunning;") == 2 })
	p.a.Until("both nodes are known again", soon, func() bool { return len(p.status(p.a).Nodes) == 2 })
	p.must(send(victim, "jobs", "101"))
	p.a.Until("the work goes on with both", soon, func() bool { return p.done(other, 101, 101) })
}

// outage takes the database away for longer than leases last.
func (p *pair) outage(t *testing.T) {
	p = p.on(t)
	p.must(p.database.Stop())
	for _, c := range []*harness.Cloud{p.a, p.b} {
		err := send(c, "plain", "lost")
		if err == nil || !strings.Contains(err.Error(), fmt.Sprint(http.StatusServiceUnavailable)) || !strings.Contains(err.Error(), "ServiceUnavailable") {
			t.Errorf("without a database: %v", err)
		}
	}
	p.a.Until("the background work has stopped", soon, func() bool { return strings.Contains(p.a.Output(), "stops its background work") })
	p.must(p.database.Restart())
	for i, c := range []*harness.Cloud{p.a, p.b} {
		c.Until("calls are answered again", soon, func() bool { return send(c, "plain", fmt.Sprint("back ", i)) == nil })
		p.must(send(c, "jobs", fmt.Sprint(102+i)))
	}
	p.a.Until("the background work goes on", soon, func() bool { return p.done(p.b, 102, 103) })
	var all []string
	for range 4 {
		bodies, err := receive(p.b, "plain")
		p.must(err)
		all = append(all, bodies...)
	}
	slices.Sort(all)
	if !slices.Equal(all, []string{"awaited", "back 0", "back 1"}) && !slices.Equal(all, []string{"back 0", "back 1"}) {
		t.Errorf("the queue has %q", all)
	}
}

func (p *pair) reset(t *testing.T) {
	p = p.on(t)
	ctx := context.Background()
	before, err := p.b.Control.Credentials(ctx)
	p.must(err)
	p.must(p.a.Control.Reset(ctx))
	fresh, err := p.a.Control.Credentials(ctx)
	p.must(err)
	p.a.Until("the other node has the new keys", soon, func() bool {
		now, err := p.b.Control.Credentials(ctx)
		return err == nil && now.SecretAccessKey == fresh.SecretAccessKey
	})
	if before.SecretAccessKey == fresh.SecretAccessKey {
		t.Error("the keys are the old ones")
	}
	if s := p.status(p.b); len(s.Stacks) != 0 || len(s.Nodes) != 2 {
		t.Errorf("after the reset: %+v", s)
	}
	// What comes after a reset is worked off as what came before.
	p.b.Deploy("test/nodes/app")
	for i := range 10 {
		p.must(invoke([]*harness.Cloud{p.a, p.b}[i%2], fmt.Sprint(i)))
	}
	p.a.Until("the new function has run", soon, func() bool { return p.done(p.a, 0, 9) })
}
