package app

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"runtime"
	"strings"
	"testing"

	"croft/internal/awsapi/logs"
	"croft/internal/awsapi/sqs"
	"croft/internal/control"
	"croft/internal/kv"
	"croft/internal/kv/all"
	"croft/internal/kv/pebblekv"
	"croft/internal/wire"
)

// common is one store of several clouds in this process: what a database is to several processes. Transactions are its own, as a
// store's must be.
type common struct{ inner *pebblekv.Store }

func (c *common) Shared() bool                 { return true }
func (c *common) Close() error                 { return nil }
func (c *common) Watch(prefix []byte) kv.Watch { return c.inner.Watch(prefix) }
func (c *common) Checkpoint(ctx context.Context, dir string) error {
	return c.inner.Checkpoint(ctx, dir)
}

func (c *common) View(ctx context.Context, fn func(context.Context, kv.Reader) error) error {
	if joined, err := kv.JoinView(ctx, c, fn); joined {
		return err
	}
	return c.inner.View(ctx, func(ctx context.Context, r kv.Reader) error { return fn(kv.WithReader(ctx, c, r), r) })
}

func (c *common) Update(ctx context.Context, fn func(context.Context, kv.Tx) error) error {
	if joined, err := kv.JoinUpdate(ctx, c, fn); joined {
		return err
	}
	return c.inner.Update(ctx, func(ctx context.Context, tx kv.Tx) error { return fn(kv.WithTx(ctx, c, tx), tx) })
}

// shared returns the options of a node.
func shared(t *testing.T) func(version string) Options {
	t.Helper()
	inner, err := pebblekv.Open(pebblekv.Options{Ephemeral: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := inner.Close(); err != nil {
			t.Error(err)
		}
	})
	bodies := t.TempDir()
	return func(version string) Options {
		return Options{
			Dir: t.TempDir(), Blobs: bodies, Store: "postgres://croft:secret@db.test/croft?password=secret", Version: version,
			openStore: func(string, all.Options) (kv.Store, error) { return &common{inner}, nil },
		}
	}
}

func TestTwoNodes(t *testing.T) {
	node := shared(t)
	a, b := start(t, node("1.0")), start(t, node("1.1"))
	ctx := t.Context()
	onA, onB := control.NewClient(a.URL()), control.NewClient(b.URL())

	status, err := onB.Status(ctx)
	for err == nil && len(status.Nodes) != 2 {
		status, err = onB.Status(ctx) // a node joins in the background
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range status.Nodes {
		if own := n.Address == b.URL(); own != n.Self || own != (n.Version == "1.1") {
			t.Errorf("%+v", n)
		}
	}
	if text := fmt.Sprintf("%+v", status); strings.Contains(text, "secret") || status.Data != "postgres://croft@db.test/croft" {
		t.Errorf("the status says %s", text)
	}

	end, err := onA.Deploy(ctx, control.DeployRequest{
		Stack: "s", Template: `{"Resources":{"Q":{"Type":"AWS::SQS::Queue"}},"Outputs":{"U":{"Value":{"Ref":"Q"}}}}`,
	}, func(control.DeployEvent) {})
	if err != nil {
		t.Fatal(err)
	}
	queue := end.Outputs[0].Value
	if _, err := sqs.NewClient(a.dispatch).SendMessage(a.root(ctx), &sqs.SendMessageInput{QueueUrl: queue, MessageBody: "hello"}); err != nil {
		t.Fatal(err)
	}
	got, err := sqs.NewClient(b.dispatch).ReceiveMessage(b.root(ctx), &sqs.ReceiveMessageInput{QueueUrl: queue})
	if err != nil || len(got.Messages) != 1 || *got.Messages[0].Body != "hello" {
		t.Errorf("%+v, %v", got, err)
	}

	before := b.keys.Root("000000000000")
	if err := onA.Reset(ctx); err != nil {
		t.Fatal(err)
	}
	for b.keys.Root("000000000000") != a.keys.Root("000000000000") {
		runtime.Gosched()
	}
	if b.keys.Root("000000000000") == before {
		t.Error("the credentials from before the reset are good on the other node")
	}
	if status, err = onB.Status(ctx); err != nil || len(status.Nodes) != 2 || len(status.Stacks) != 0 {
		t.Errorf("after the reset: %+v, %v", status, err)
	}
}

func TestLogsOfAnotherNode(t *testing.T) {
	node := shared(t)
	a, b := start(t, node("v")), start(t, node("v"))
	ctx := a.root(t.Context())
	client := logs.NewClient(a.dispatch)
	group, stream := wire.Ptr("/aws/lambda/f"), wire.Ptr("s")
	_, err := client.CreateLogGroup(ctx, &logs.CreateLogGroupInput{LogGroupName: *group})
	if err == nil {
		_, err = client.CreateLogStream(ctx, &logs.CreateLogStreamInput{LogGroupName: *group, LogStreamName: *stream})
	}
	if err != nil {
		t.Fatal(err)
	}
	put := func(i int) {
		_, err := client.PutLogEvents(ctx, &logs.PutLogEventsInput{LogGroupName: *group, LogStreamName: *stream, LogEvents: []logs.InputLogEvent{
			{Timestamp: a.opts.Clock.Now().UnixMilli(), Message: fmt.Sprint("line ", i)},
		}})
		if err != nil {
			t.Error(err)
		}
	}
	put(0)
	enough := errors.New("enough")
	n := 0
	err = control.NewClient(b.URL()).Logs(t.Context(), url.Values{"follow": {"1"}}, func(l control.LogLine) error {
		if want := fmt.Sprint("line ", n); l.Text != want || l.Function != "f" {
			t.Errorf("got %+v, want %s", l, want)
		}
		if n++; n == 3 {
			return enough
		}
		put(n)
		return nil
	})
	if !errors.Is(err, enough) {
		t.Error(err)
	}
}

func TestNodesThatCannotStart(t *testing.T) {
	node := shared(t)
	first := node("v")
	start(t, first)
	noBodies, ephemeral, sameFolder, folder := node("v"), node("v"), node("v"), node("v")
	noBodies.Blobs, ephemeral.Ephemeral, sameFolder.Dir, folder.Store = "", true, first.Dir, "secret"
	for name, c := range map[string]struct {
		o    Options
		want string
	}{
		"no common bodies": {noBodies, "--blobs"},
		"ephemeral":        {ephemeral, "leave out --store"},
		"no database":      {folder, "postgres://"},
		"folder in use":    {sameFolder, "in use by another croft"},
	} {
		c.o.Listen = "127.0.0.1:0"
		_, err := Start(t.Context(), c.o)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestDataOfANewerCroftIsRefused(t *testing.T) {
	o := Options{Dir: t.TempDir(), Listen: "127.0.0.1:0", Version: "2"}
	a, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	err = a.store.Update(t.Context(), func(ctx context.Context, _ kv.Tx) error {
		return kv.NewSpace(a.store, "!croft").Update(ctx, func(_ context.Context, tx kv.Tx) error {
			return tx.Put(formatKey(), []byte(`{"format":2,"croft":"9.9"}`))
		})
	})
	if err = errors.Join(err, a.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	if _, err = Start(t.Context(), o); err == nil || !strings.Contains(err.Error(), "written by croft 9.9") {
		t.Error(err)
	}
}
