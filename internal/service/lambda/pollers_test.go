package lambda_test

import (
	"testing"
	"time"

	api "croft/internal/awsapi/lambda"
	"croft/internal/awsapi/sqs"
	"croft/internal/wire"
)

func message(id string) sqs.Message {
	return sqs.Message{
		MessageId: wire.Ptr(id), ReceiptHandle: wire.Ptr("handle-" + id), Body: wire.Ptr(`{"a":"<b>"}`), MD5OfBody: wire.Ptr("md5"),
		Attributes: map[string]string{"ApproximateReceiveCount": "1", "SentTimestamp": "1", "SenderId": "s", "ApproximateFirstReceiveTimestamp": "2"},
		MessageAttributes: map[string]sqs.MessageAttributeValue{
			"text": {StringValue: wire.Ptr("v"), DataType: "String"}, "data": {BinaryValue: []byte{1}, DataType: "Binary"},
		},
	}
}

func (w *world) mapping(t *testing.T, in api.CreateEventSourceMappingInput) string {
	t.Helper()
	in.EventSourceArn = wire.Ptr("arn:aws:sqs:us-east-1:000000000000:q")
	out, err := w.client.CreateEventSourceMapping(w.Context(), &in)
	if err != nil {
		t.Fatal(err)
	}
	return *out.UUID
}

func TestQueueToFunction(t *testing.T) {
	w := newWorld(t)
	arn := w.function(t, "f", "a.echo")
	w.mapping(t, api.CreateEventSourceMappingInput{FunctionName: "f"})
	w.queues.waiting <- message("m1")
	got := <-w.engine.invoked
	const want = `{"Records":[{"messageId":"m1","receiptHandle":"handle-m1","body":"{\"a\":\"<b>\"}",` +
		`"attributes":{"ApproximateFirstReceiveTimestamp":"2","ApproximateReceiveCount":"1","SenderId":"s","SentTimestamp":"1"},` +
		`"messageAttributes":{"data":{"binaryValue":"AQ==","stringListValues":[],"binaryListValues":[],"dataType":"Binary"},` +
		`"text":{"stringValue":"v","stringListValues":[],"binaryListValues":[],"dataType":"String"}},` +
		`"md5OfBody":"md5","eventSource":"aws:sqs","eventSourceARN":"arn:aws:sqs:us-east-1:000000000000:q","awsRegion":"us-east-1"}]}`
	if string(got.inv.Payload) != want {
		t.Errorf("the event is\n%s\nwant\n%s", got.inv.Payload, want)
	}
	if got.inv.InvokedARN != arn || got.inv.RequestID == "" {
		t.Errorf("got %+v", got.inv)
	}
	if handle := <-w.queues.removed; handle != "handle-m1" {
		t.Errorf("removed %s", handle)
	}
}

func TestFailedBatchesStay(t *testing.T) {
	w := newWorld(t)
	w.function(t, "f", "a.fail")
	w.function(t, "g", "a.echo")
	id := w.mapping(t, api.CreateEventSourceMappingInput{FunctionName: "f"})
	w.queues.waiting <- message("m1")
	<-w.engine.invoked
	_, err := w.client.UpdateEventSourceMapping(w.Context(), &api.UpdateEventSourceMappingInput{UUID: id, FunctionName: wire.Ptr("g")})
	if err != nil {
		t.Fatal(err)
	}
	// The new function handles its message; the one that failed before was not removed.
	for name := "f"; name == "f"; {
		w.queues.waiting <- message("m2")
		name = (<-w.engine.invoked).fn.Name
	}
	if handle := <-w.queues.removed; handle != "handle-m2" || len(w.queues.removed) > 0 {
		t.Errorf("removed %s and %d others", handle, len(w.queues.removed))
	}
}

func TestPartialAnswers(t *testing.T) {
	w := newWorld(t)
	w.function(t, "f", "a.echo")
	w.engine.answer = []byte(`{"batchItemFailures":[{"itemIdentifier":"m1"}]}`)
	w.mapping(t, api.CreateEventSourceMappingInput{
		FunctionName: "f", FunctionResponseTypes: []string{"ReportBatchItemFailures"}, BatchSize: wire.Ptr[int32](2),
		MaximumBatchingWindowInSeconds: wire.Ptr[int32](300),
	})
	w.queues.waiting <- message("m1")
	w.queues.waiting <- message("m2")
	<-w.engine.invoked
	if handle := <-w.queues.removed; handle != "handle-m2" {
		t.Errorf("removed %s", handle)
	}
}

func TestMappingsStopAndStart(t *testing.T) {
	w := newWorld(t)
	w.function(t, "f", "a.echo")
	id := w.mapping(t, api.CreateEventSourceMappingInput{FunctionName: "f", Enabled: wire.Ptr(false)})
	w.queues.waiting <- message("m1")
	update := func(on bool) {
		t.Helper()
		out, err := w.client.UpdateEventSourceMapping(w.Context(), &api.UpdateEventSourceMappingInput{UUID: id, Enabled: &on})
		if err != nil || *out.State != "Updating" {
			t.Fatal(err)
		}
	}
	if len(w.engine.invoked) > 0 {
		t.Error("a disabled mapping polls")
	}
	update(true)
	<-w.engine.invoked
	<-w.queues.removed
	out, err := w.client.GetEventSourceMapping(w.Context(), &api.GetEventSourceMappingInput{UUID: id})
	if err != nil || *out.State != "Enabled" || *out.LastModified != w.Clock.Now() {
		t.Errorf("%+v, %v", out, err)
	}
}

// TestBusyEngine has no room at first: the messages stay, and the mapping slows down.
func TestBusyEngine(t *testing.T) {
	w := newWorld(t)
	w.function(t, "f", "a.echo")
	w.engine.busy = 1
	w.mapping(t, api.CreateEventSourceMappingInput{FunctionName: "f"})
	w.queues.waiting <- message("m1")
	<-w.engine.invoked
	w.queues.waiting <- message("m2")
	for {
		select {
		case <-w.engine.invoked:
			if handle := <-w.queues.removed; handle != "handle-m2" {
				t.Errorf("removed %s", handle)
			}
			return
		default:
			w.Advance(time.Second)
		}
	}
}

// TestLoopsOfMessages stops messages that would go on with a loop: they are deleted, and others go on.
func TestLoopsOfMessages(t *testing.T) {
	w := newWorld(t)
	w.function(t, "f", "a.echo")
	w.mapping(t, api.CreateEventSourceMappingInput{FunctionName: "f"})
	traced := func(id, trace string) sqs.Message {
		m := message(id)
		m.Attributes = map[string]string{"AWSTraceHeader": trace}
		return m
	}
	w.queues.waiting <- message("m0")
	trace := (<-w.engine.invoked).inv.TraceID
	<-w.queues.removed
	for n := 1; n < 16; n++ {
		w.queues.waiting <- traced("m", trace)
		trace = (<-w.engine.invoked).inv.TraceID
		<-w.queues.removed
	}
	w.queues.waiting <- traced("stopped", trace)
	if handle := <-w.queues.removed; handle != "handle-stopped" || len(w.engine.invoked) > 0 {
		t.Errorf("removed %s", handle)
	}
	w.queues.waiting <- message("other")
	<-w.engine.invoked
	if handle := <-w.queues.removed; handle != "handle-other" {
		t.Errorf("removed %s", handle)
	}
}
