package lambda_test

import (
	"context"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	api "croft/internal/awsapi/lambda"
	"croft/internal/cloud"
	"croft/internal/wire"
)

func (w *world) invoke(ctx context.Context, in *api.InvokeInput) (*api.InvokeOutput, error) {
	return w.client.Invoke(ctx, in)
}

func TestInvoke(t *testing.T) {
	w := newWorld(t)
	arn := w.function(t, "f", "a.echo")
	clientContext := base64.StdEncoding.EncodeToString([]byte(`{"custom":{}}`))
	ctx := w.Context()
	out, err := w.invoke(ctx, &api.InvokeInput{
		FunctionName: "f", Qualifier: wire.Ptr("$LATEST"), Payload: []byte(`{"a": 1}`), LogType: wire.Ptr("Tail"), ClientContext: &clientContext,
	})
	if err != nil {
		t.Fatal(err)
	}
	if *out.StatusCode != 200 || string(out.Payload) != `{"a": 1}` || *out.ExecutedVersion != "$LATEST" || out.FunctionError != nil || *out.LogResult != "bG9n" {
		t.Errorf("got %+v", out)
	}
	c := w.engine.taken()[0]
	if c.fn.ARN != arn || c.fn.Handler != "a.echo" || c.fn.Runtime != "python3.11" || c.fn.Role != roleARN || c.fn.MemoryMB != 128 ||
		c.fn.Timeout != 3*time.Second || c.fn.LogGroup != "/aws/lambda/f" || len(c.fn.CodeSHA) != 64 || c.fn.Revision == "" {
		t.Errorf("the engine got %+v", c.fn)
	}
	if c.inv.RequestID != cloud.CallOf(ctx).RequestID || c.inv.InvokedARN != arn+":$LATEST" || string(c.inv.ClientContext) != `{"custom":{}}` || !c.inv.Tail ||
		!strings.HasPrefix(c.inv.TraceID, "Root=1-") {
		t.Errorf("the engine got %+v", c.inv)
	}

	w.function(t, "bad", "a.fail")
	out, err = w.invoke(w.Context(), &api.InvokeInput{FunctionName: "bad"})
	if err != nil || wire.Value(out.FunctionError) != "Unhandled" || *out.StatusCode != 200 || out.LogResult != nil {
		t.Errorf("a failure: %+v, %v", out, err)
	}
	if c := w.engine.taken()[0]; string(c.inv.Payload) != "{}" {
		t.Errorf("no payload: %q", c.inv.Payload)
	}
	out, err = w.invoke(w.Context(), &api.InvokeInput{FunctionName: "f", InvocationType: wire.Ptr("DryRun")})
	if err != nil || *out.StatusCode != 204 || len(w.engine.taken()) != 0 {
		t.Errorf("a dry run: %+v, %v", out, err)
	}
}

func TestInvokeRefuses(t *testing.T) {
	w := newWorld(t)
	w.function(t, "f", "a.echo")
	const not = "InvalidRequestContentException: Could not parse request body into json: Could not parse payload into json: "
	const at = "\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: "
	const value = "expected a valid value (JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
	big := []byte(`"` + strings.Repeat("x", 6<<20-1) + `"`)
	for _, c := range []struct {
		in   api.InvokeInput
		want string
	}{
		{api.InvokeInput{Payload: big}, "RequestEntityTooLargeException: 6291457 byte payload is too large for the RequestResponse invocation type (limit 6291456 bytes)"},
		{api.InvokeInput{Payload: big[:1<<20+1], InvocationType: wire.Ptr("Event")}, "RequestEntityTooLargeException: 1048577 byte payload is too large for the Event invocation type (limit 1048576 bytes)"},
		{api.InvokeInput{Payload: []byte("n\x87r")}, not + "Invalid UTF-8 start byte 0x87" + at + "1, column: 3]"},
		{api.InvokeInput{Payload: []byte("\x99\xeb")}, not + "Unexpected character ((CTRL-CHAR, code 153)): " + value + at + "1, column: 1]"},
		{api.InvokeInput{Payload: []byte("{\n!}")}, not + "Unexpected character ('!' (code 33)): " + value + at + "2, column: 1]"},
		{api.InvokeInput{Payload: []byte(`{"a":`)}, not + "Unexpected end-of-input" + at + "1, column: 5]"},
		{api.InvokeInput{ClientContext: wire.Ptr("!")}, "InvalidRequestContentException: Client context must be a valid Base64-encoded JSON object of at most 3583 bytes."},
		{api.InvokeInput{TenantId: wire.Ptr("t")}, "InvalidParameterValueException: croft does not support the parameter TenantId: functions have no tenants."},
	} {
		c.in.FunctionName = "f"
		_, err := w.invoke(w.Context(), &c.in)
		check(t, c.want, err, c.want)
	}
	err := w.Update(func(ctx context.Context) error {
		_, err := w.invoke(ctx, &api.InvokeInput{FunctionName: "f"})
		return err
	})
	check(t, "an invocation inside a transaction", err, "ServiceException: A function cannot be run inside a transaction: invoke it with InvocationType Event.")
	if n := len(w.engine.taken()); n != 0 {
		t.Errorf("%d of them ran", n)
	}
}

func TestServicesNeedLeave(t *testing.T) {
	w := newWorld(t)
	arn := w.function(t, "f", "a.echo")
	permit := func(id, principal string, source, account *string) {
		t.Helper()
		_, err := w.client.AddPermission(w.Context(), &api.AddPermissionInput{
			FunctionName: "f", StatementId: id, Action: "lambda:InvokeFunction", Principal: principal, SourceArn: source, SourceAccount: account,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	invoke := func(service, source string) string {
		_, err := w.invoke(cloud.AsServiceFor(w.Context(), service, source), &api.InvokeInput{FunctionName: "f"})
		return cloud.Code(err)
	}
	const api1, topic = "arn:aws:execute-api:us-east-1:000000000000:id/$default/POST/orders", "arn:aws:sns:us-east-1:000000000000:t"
	_, err := w.invoke(cloud.AsServiceFor(w.Context(), "apigateway.amazonaws.com", api1), &api.InvokeInput{FunctionName: "f"})
	check(t, "a service without leave", err, "AccessDeniedException: User: apigateway.amazonaws.com is not authorized to perform: "+
		"lambda:InvokeFunction on resource: "+arn+" because no resource-based policy allows the lambda:InvokeFunction action")
	permit("api", "apigateway.amazonaws.com", wire.Ptr("arn:aws:execute-api:us-east-1:000000000000:id/*/*/orders"), nil)
	permit("sns", "sns.amazonaws.com", nil, wire.Ptr("000000000000"))
	permit("events", "events.amazonaws.com", nil, wire.Ptr("111111111111"))
	for _, c := range []struct{ service, source, want string }{
		{"apigateway.amazonaws.com", api1, ""},
		{"apigateway.amazonaws.com", "arn:aws:execute-api:us-east-1:000000000000:other/$default/POST/orders", "AccessDeniedException"},
		{"apigateway.amazonaws.com", "", "AccessDeniedException"},
		{"sns.amazonaws.com", topic, ""},
		{"events.amazonaws.com", "", "AccessDeniedException"},
		{"s3.amazonaws.com", "", "AccessDeniedException"},
		{"lambda.amazonaws.com", "", ""},
		{cloud.InternalService, "", ""},
	} {
		if got := invoke(c.service, c.source); got != c.want {
			t.Errorf("%s for %q: got %q", c.service, c.source, got)
		}
	}
}

func (w *world) event(t *testing.T, name string) {
	t.Helper()
	out, err := w.invoke(w.Context(), &api.InvokeInput{FunctionName: name, InvocationType: wire.Ptr("Event"), Payload: []byte(`"x"`)})
	if err != nil || *out.StatusCode != 202 || out.Payload != nil || out.ExecutedVersion != nil {
		t.Fatalf("%+v, %v", out, err)
	}
	w.Settle()
}

func TestEventsAreTriedThreeTimes(t *testing.T) {
	w := newWorld(t)
	w.function(t, "f", "a.fail")
	w.event(t, "f")
	first := w.engine.taken()
	if len(first) != 1 || string(first[0].inv.Payload) != `"x"` {
		t.Fatalf("at once: %d", len(first))
	}
	for _, step := range []struct {
		advance time.Duration
		want    int
	}{{59 * time.Second, 0}, {time.Second, 1}, {119 * time.Second, 0}, {time.Second, 1}, {6 * time.Hour, 0}} {
		w.Advance(step.advance)
		got := w.engine.taken()
		if len(got) != step.want {
			t.Errorf("after %v more: %d runs, want %d", step.advance, len(got), step.want)
		}
		for _, c := range got {
			if c.inv.RequestID != first[0].inv.RequestID {
				t.Error("the request id changes between the tries")
			}
		}
	}
}

func TestEventsWaitForRoom(t *testing.T) {
	w := newWorld(t)
	w.function(t, "f", "a.fail")
	w.engine.busy = 3
	w.event(t, "f")
	for _, pause := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
		if n := len(w.engine.taken()); n != 1 {
			t.Fatalf("%d tries before a pause of %v", n, pause)
		}
		w.Advance(pause)
	}
	// There is room now, and none of the three tries is used up.
	for _, pause := range []time.Duration{time.Minute, 2 * time.Minute, time.Hour} {
		if n := len(w.engine.taken()); n != 1 {
			t.Fatalf("%d tries before a pause of %v", n, pause)
		}
		w.Advance(pause)
	}
	if n := len(w.engine.taken()); n != 0 {
		t.Errorf("%d tries too many", n)
	}
}

func TestEventsEnd(t *testing.T) {
	w := newWorld(t)
	w.function(t, "f", "a.echo")
	w.engine.busy = 1 << 30
	w.event(t, "f")
	for range 80 {
		w.Advance(5 * time.Minute)
	}
	if n := len(w.engine.taken()); n < 60 || n > 90 {
		t.Errorf("%d tries in six hours", n)
	}
	w.event(t, "f")
	w.engine.taken()
	if _, err := w.client.DeleteFunction(w.Context(), &api.DeleteFunctionInput{FunctionName: "f"}); err != nil {
		t.Fatal(err)
	}
	w.Advance(time.Hour)
	if n := len(w.engine.taken()); n != 0 {
		t.Errorf("a deleted function runs %d times", n)
	}
}

// TestEventJoins takes back the transaction that an event was accepted in.
func TestEventJoins(t *testing.T) {
	w := newWorld(t)
	w.function(t, "f", "a.echo")
	err := w.Update(func(ctx context.Context) error {
		if _, err := w.invoke(ctx, &api.InvokeInput{FunctionName: "f", InvocationType: wire.Ptr("Event")}); err != nil {
			t.Error(err)
		}
		return cloud.Errorf("No", "no")
	})
	if cloud.Code(err) != "No" {
		t.Fatal(err)
	}
	w.Settle()
	if n := len(w.engine.taken()); n != 0 {
		t.Errorf("it ran %d times", n)
	}
}

func TestEnvironmentLimit(t *testing.T) {
	w := newWorld(t)
	w.function(t, "f", "a.echo")
	for _, size := range []int{4096, 4097} {
		variables := map[string]string{"BIG": strings.Repeat("<", size-len(`{"BIG":""}`))}
		_, err := w.client.UpdateFunctionConfiguration(w.Context(), &api.UpdateFunctionConfigurationInput{
			FunctionName: "f", Environment: &api.Environment{Variables: variables},
		})
		if over := size > 4096; over != (err != nil) || over && !strings.Contains(err.Error(), "exceeded the 4KB limit. String measured: {\"BIG\":\"<<") {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}
