package lambda_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"croft/internal/awsapi/iam"
	api "croft/internal/awsapi/lambda"
	"croft/internal/awsapi/sns"
	"croft/internal/awsapi/sqs"
	"croft/internal/cloud"
	"croft/internal/service"
	"croft/internal/service/lambda"
	"croft/internal/service/servicetest"
	"croft/internal/wire"
)

const (
	queueARN = "arn:aws:sqs:us-east-1:000000000000:q"
	topicARN = "arn:aws:sns:us-east-1:000000000000:t"
)

// letter is a message that was sent to a queue or a topic.
type letter struct {
	to, body   string
	attributes map[string]string
	sender     string
	trace      string
}

// post is an SQS with the queue q and an SNS with the topic t, which keep what they are sent.
type post struct {
	sqs.Unimplemented
	sent []letter
}

func (p *post) take() []letter {
	out := p.sent
	p.sent = nil
	return out
}

func (p *post) SendMessage(ctx context.Context, in *sqs.SendMessageInput) (*sqs.SendMessageOutput, error) {
	if in.QueueUrl != "/000000000000/q" {
		return nil, sqs.NewQueueDoesNotExist("The specified queue does not exist.")
	}
	l := letter{to: "q", body: in.MessageBody, attributes: map[string]string{}, sender: cloud.CallOf(ctx).Principal.ARN, trace: cloud.CallOf(ctx).Trace}
	for name, a := range in.MessageAttributes {
		l.attributes[name] = a.DataType + ":" + wire.Value(a.StringValue)
	}
	p.sent = append(p.sent, l)
	return &sqs.SendMessageOutput{}, nil
}

type topics struct {
	sns.Unimplemented
	post *post
}

func (t *topics) Publish(ctx context.Context, in *sns.PublishInput) (*sns.PublishOutput, error) {
	if wire.Value(in.TopicArn) != topicARN {
		return nil, sns.NewNotFoundException("Topic does not exist")
	}
	l := letter{to: "t", body: in.Message, attributes: map[string]string{}, sender: cloud.CallOf(ctx).Principal.ARN}
	for name, a := range in.MessageAttributes {
		l.attributes[name] = a.DataType + ":" + wire.Value(a.StringValue)
	}
	t.post.sent = append(t.post.sent, l)
	return &sns.PublishOutput{}, nil
}

type eventWorld struct {
	*world
	post *post
}

func newEventWorld(t *testing.T) *eventWorld {
	t.Helper()
	w := &eventWorld{world: &world{engine: &engineFake{invoked: make(chan call, 100)}}, post: &post{}}
	w.Env = servicetest.New(t,
		func(d service.Deps) service.Descriptor { return lambda.New(d, w.engine).Descriptor() },
		func(service.Deps) service.Descriptor { return service.Descriptor{API: iam.Service(), Impl: roles{}} },
		func(service.Deps) service.Descriptor { return service.Descriptor{API: sqs.Service(), Impl: w.post} },
		func(service.Deps) service.Descriptor {
			return service.Descriptor{API: sns.Service(), Impl: &topics{post: w.post}}
		},
	)
	w.client = api.NewClient(w.Dispatcher)
	return w
}

func (w *eventWorld) configure(t *testing.T, in api.PutFunctionEventInvokeConfigInput) {
	t.Helper()
	in.FunctionName = "f"
	if _, err := w.client.PutFunctionEventInvokeConfig(w.Context(), &in); err != nil {
		t.Fatal(err)
	}
}

func destinations(success, failure string) *api.DestinationConfig {
	return &api.DestinationConfig{OnSuccess: &api.OnSuccess{Destination: &success}, OnFailure: &api.OnFailure{Destination: &failure}}
}

// record is a letter's record, without what varies.
func (l letter) record(t *testing.T) string {
	t.Helper()
	var r struct {
		Version, Timestamp string
		RequestContext     struct {
			RequestID, FunctionArn, Condition string
			ApproximateInvokeCount            int
		}
	}
	if err := json.Unmarshal([]byte(l.body), &r); err != nil || r.Version != "1.0" || r.RequestContext.RequestID == "" {
		t.Fatalf("%s: %v", l.body, err)
	}
	if _, err := time.Parse("2006-01-02T15:04:05.000Z", r.Timestamp); err != nil {
		t.Error(err)
	}
	text := strings.Replace(l.body, r.Timestamp, "T", 1)
	return l.to + " " + strings.Replace(text, r.RequestContext.RequestID, "R", 1)
}

func (w *eventWorld) expect(t *testing.T, when string, want ...string) {
	t.Helper()
	got := w.post.take()
	if len(got) != len(want) {
		t.Errorf("%s: %d messages: %+v", when, len(got), got)
		return
	}
	for i := range got {
		if text := got[i].record(t); text != want[i] {
			t.Errorf("%s:\ngot  %s\nwant %s", when, text, want[i])
		}
		if got[i].sender != "arn:aws:sts::000000000000:assumed-role/r/f" {
			t.Errorf("%s: sent by %s", when, got[i].sender)
		}
	}
}

const (
	recordHead = `{"version":"1.0","timestamp":"T","requestContext":{"requestId":"R","functionArn":"arn:aws:lambda:us-east-1:000000000000:function:f:$LATEST",`
	failTail   = `"requestPayload":"x","responseContext":{"statusCode":200,"executedVersion":"$LATEST","functionError":"Unhandled"},` +
		`"responsePayload":{"errorMessage":"no","errorType":"Exception"}}`
)

func TestDestinations(t *testing.T) {
	w := newEventWorld(t)
	w.function(t, "f", "a.echo")
	w.configure(t, api.PutFunctionEventInvokeConfigInput{DestinationConfig: destinations(queueARN, topicARN)})
	w.event(t, "f")
	w.Settle()
	w.expect(t, "success", `q `+recordHead+`"condition":"Success","approximateInvokeCount":1},"requestPayload":"x",`+
		`"responseContext":{"statusCode":200,"executedVersion":"$LATEST"},"responsePayload":"x"}`)

	if _, err := w.client.UpdateFunctionConfiguration(w.Context(), &api.UpdateFunctionConfigurationInput{FunctionName: "f", Handler: wire.Ptr("a.fail")}); err != nil {
		t.Fatal(err)
	}
	w.event(t, "f")
	w.Settle()
	w.expect(t, "before the second try")
	w.Advance(time.Minute)
	w.expect(t, "before the third try")
	w.Advance(2 * time.Minute)
	w.expect(t, "failure", `t `+recordHead+`"condition":"RetriesExhausted","approximateInvokeCount":3},`+failTail)

	w.configure(t, api.PutFunctionEventInvokeConfigInput{DestinationConfig: destinations("", queueARN), MaximumRetryAttempts: wire.Ptr(int32(0))})
	w.event(t, "f")
	w.Settle()
	w.expect(t, "no retries", `q `+recordHead+`"condition":"RetriesExhausted","approximateInvokeCount":1},`+failTail)

	for age, count := range map[int32]string{60: "1", 120: "2"} {
		w.configure(t, api.PutFunctionEventInvokeConfigInput{DestinationConfig: destinations("", queueARN), MaximumEventAgeInSeconds: &age})
		w.event(t, "f")
		w.Settle()
		w.Advance(time.Minute)
		w.expect(t, "age", `q `+recordHead+`"condition":"EventAgeExceeded","approximateInvokeCount":`+count+`},`+failTail)
	}
}

func TestDestinationFunction(t *testing.T) {
	w := newEventWorld(t)
	w.function(t, "f", "a.echo")
	to := w.function(t, "g", "a.echo")
	w.configure(t, api.PutFunctionEventInvokeConfigInput{DestinationConfig: destinations(to, "")})
	w.event(t, "f")
	w.Settle()
	got := w.engine.taken()
	if len(got) != 2 || got[1].fn.Name != "g" || !strings.Contains(string(got[1].inv.Payload), `"condition":"Success"`) {
		t.Errorf("%+v", got)
	}
}

func TestDeadLetters(t *testing.T) {
	for _, target := range []string{queueARN, topicARN} {
		w := newEventWorld(t)
		w.function(t, "f", "a.fail")
		if _, err := w.client.UpdateFunctionConfiguration(w.Context(), &api.UpdateFunctionConfigurationInput{
			FunctionName: "f", DeadLetterConfig: &api.DeadLetterConfig{TargetArn: &target},
		}); err != nil {
			t.Fatal(err)
		}
		w.configure(t, api.PutFunctionEventInvokeConfigInput{MaximumRetryAttempts: wire.Ptr(int32(1))})
		w.event(t, "f")
		w.Settle()
		w.Advance(time.Minute)
		got := w.post.take()
		if len(got) != 1 || got[0].body != `"x"` || got[0].attributes["ErrorCode"] != "Number:200" || got[0].attributes["ErrorMessage"] != "String:no" ||
			len(got[0].attributes["RequestID"]) != len("String:")+36 || len(got[0].attributes) != 3 {
			t.Errorf("%s: %+v", target, got)
		}
	}
}

// A function that may not run at all has its events given up at once.
func TestDeadLettersWithoutConcurrency(t *testing.T) {
	w := newEventWorld(t)
	w.function(t, "f", "a.echo")
	if _, err := w.client.PutFunctionConcurrency(w.Context(), &api.PutFunctionConcurrencyInput{FunctionName: "f", ReservedConcurrentExecutions: 0}); err != nil {
		t.Fatal(err)
	}
	w.configure(t, api.PutFunctionEventInvokeConfigInput{DestinationConfig: destinations("", queueARN)})
	w.event(t, "f")
	w.Settle()
	w.expect(t, "no concurrency", `q `+recordHead+`"condition":"ZeroReservedConcurrency","approximateInvokeCount":0},"requestPayload":"x"}`)
	if n := len(w.engine.taken()); n != 0 {
		t.Errorf("run %d times", n)
	}
}

// What cannot be run waits, costs no try, and is given up at its age.
func TestEventsTooOld(t *testing.T) {
	w := newEventWorld(t)
	w.function(t, "f", "a.echo")
	w.engine.mu.Lock()
	w.engine.busy = 1000
	w.engine.mu.Unlock()
	w.configure(t, api.PutFunctionEventInvokeConfigInput{DestinationConfig: destinations("", queueARN), MaximumEventAgeInSeconds: wire.Ptr(int32(60))})
	w.event(t, "f")
	w.Settle()
	for range 60 {
		w.Advance(time.Second)
	}
	// After 0, 1, 3, 7, 15 and 31 seconds; the next would be after 63.
	w.expect(t, "age", `q `+recordHead+`"condition":"EventAgeExceeded","approximateInvokeCount":6},"requestPayload":"x"}`)
}

// A destination that is gone takes nothing with it but its own message.
func TestDestinationGone(t *testing.T) {
	w := newEventWorld(t)
	w.function(t, "f", "a.echo")
	w.configure(t, api.PutFunctionEventInvokeConfigInput{DestinationConfig: destinations(queueARN+"q", "")})
	w.event(t, "f")
	w.Settle()
	w.expect(t, "gone")
	if n := len(w.engine.taken()); n != 1 {
		t.Errorf("run %d times", n)
	}
}

// A record that is too large for a topic goes without its payloads.
func TestLargeRecord(t *testing.T) {
	w := newEventWorld(t)
	w.function(t, "f", "a.echo")
	w.configure(t, api.PutFunctionEventInvokeConfigInput{DestinationConfig: destinations(topicARN, "")})
	if _, err := w.invoke(w.Context(), &api.InvokeInput{
		FunctionName: "f", InvocationType: wire.Ptr("Event"), Payload: []byte(`"` + strings.Repeat("x", 200<<10) + `"`),
	}); err != nil {
		t.Fatal(err)
	}
	w.Settle()
	w.expect(t, "large", `t `+recordHead+`"condition":"Success","approximateInvokeCount":1},"responseContext":{"statusCode":200,"executedVersion":"$LATEST"}}`)
}

// A function that invokes itself by its own destination or calls is stopped after sixteen times.
func TestLoops(t *testing.T) {
	w := newEventWorld(t)
	w.function(t, "f", "a.echo")
	w.configure(t, api.PutFunctionEventInvokeConfigInput{DestinationConfig: destinations("", queueARN)})
	trace := ""
	for n := range 20 {
		ctx := cloud.WithTrace(w.Context(), cloud.ParseTrace(trace))
		_, err := w.invoke(ctx, &api.InvokeInput{FunctionName: "f", Payload: []byte(`"x"`)})
		if n >= 16 {
			if cloud.Code(err) != "RecursiveInvocationException" {
				t.Fatalf("invocation %d: %v", n, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		calls := w.engine.taken()
		trace = calls[len(calls)-1].inv.TraceID
	}
	ctx := cloud.WithTrace(w.Context(), cloud.ParseTrace(trace))
	if _, err := w.invoke(ctx, &api.InvokeInput{FunctionName: "f", InvocationType: wire.Ptr("Event"), Payload: []byte(`"x"`)}); err != nil {
		t.Fatal(err)
	}
	w.Settle()
	w.expect(t, "an event", `q `+recordHead+`"condition":"RecursiveInvocationsDropped","approximateInvokeCount":0},"requestPayload":"x"}`)
	if _, err := w.client.PutFunctionRecursionConfig(w.Context(), &api.PutFunctionRecursionConfigInput{FunctionName: "f", RecursiveLoop: "Allow"}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.invoke(ctx, &api.InvokeInput{FunctionName: "f"}); err != nil {
		t.Errorf("a loop that is allowed: %v", err)
	}
}
