package main

import (
	"context"
	"hash/crc32"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"croft/internal/awsapi/dynamodb"
	"croft/internal/awsapi/iam"
	"croft/internal/awsapi/lambda"
	"croft/internal/awsapi/sqs"
	"croft/internal/awsapi/sts"
	"croft/internal/cloud"
	"croft/internal/wire"
)

func TestAnswers(t *testing.T) {
	when := time.Date(2026, 1, 2, 3, 4, 5, 678_900_000, time.UTC)
	name := "n"
	for _, c := range []struct {
		name string
		request
		out  any
		want string // headers that matter, and the body
	}{
		{"json", request{svc: sqsAPI, op: "SendMessage", body: `{"QueueUrl":"u","MessageBody":"b"}`}, &sqs.SendMessageOutput{MessageId: wire.Ptr("id"), MD5OfMessageBody: wire.Ptr("\"\\\n\x01<ä😀\xff")},
			`200 application/x-amz-json-1.0 {"MD5OfMessageBody":"\"\\\n\u0001<ä😀` + "\ufffd" + `","MessageId":"id"}`},
		{"json, no output", request{svc: sqsAPI, op: "PurgeQueue", body: `{"QueueUrl":"u"}`}, &sqs.PurgeQueueOutput{}, `200 application/x-amz-json-1.0 {}`},
		{"json, empty lists stay", request{svc: sqsAPI, op: "ListQueues", body: `{}`}, &sqs.ListQueuesOutput{QueueUrls: []string{}}, `{"QueueUrls":[]}`},
		{"json, times", request{svc: ddbAPI, op: "DescribeTable", body: `{"TableName":"tab"}`}, &dynamodb.DescribeTableOutput{Table: &dynamodb.TableDescription{CreationDateTime: &when, ItemCount: wire.Ptr(int64(7))}},
			`{"Table":{"CreationDateTime":1767323045.678,"ItemCount":7}}`},
		{"query", request{svc: sqsAPI, form: true, body: "Action=ReceiveMessage&QueueUrl=u"}, &sqs.ReceiveMessageOutput{Messages: []sqs.Message{{Body: wire.Ptr("a<b>&\r\x01"), Attributes: map[string]string{"b": "2", "a": "1"}}}},
			`200 text/xml <ReceiveMessageResponse xmlns="http://queue.amazonaws.com/doc/2012-11-05/"><ReceiveMessageResult><Message><Body>a&lt;b&gt;&amp;&#xD;` + "\ufffd" + `</Body><Attribute><Name>a</Name><Value>1</Value></Attribute><Attribute><Name>b</Name><Value>2</Value></Attribute></Message></ReceiveMessageResult><ResponseMetadata><RequestId>the-id</RequestId></ResponseMetadata></ReceiveMessageResponse>`},
		{"query, no output", request{svc: iamAPI, form: true, body: "Action=DeleteRole&Version=2010-05-08&RoleName=r"}, &iam.DeleteRoleOutput{},
			`<DeleteRoleResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><ResponseMetadata><RequestId>the-id</RequestId></ResponseMetadata></DeleteRoleResponse>`},
		{"query, required members and lists", request{svc: iamAPI, form: true, body: "Action=GetRole&Version=2010-05-08&RoleName=r"}, &iam.GetRoleOutput{Role: &iam.Role{RoleName: "r", CreateDate: when, Tags: []iam.Tag{{Key: "k", Value: ""}}}},
			`<GetRoleResult><Role><Path></Path><RoleName>r</RoleName><RoleId></RoleId><Arn></Arn><CreateDate>2026-01-02T03:04:05.678Z</CreateDate><Tags><member><Key>k</Key><Value></Value></member></Tags></Role></GetRoleResult>`},
		{"query, empty output", request{svc: stsAPI, form: true, body: "Action=GetCallerIdentity&Version=2011-06-15"}, &sts.GetCallerIdentityOutput{}, `<GetCallerIdentityResult></GetCallerIdentityResult>`},
		{"rest", request{svc: lambdaAPI, method: "GET", target: "/2015-03-31/functions/f/configuration"}, &lambda.GetFunctionConfigurationOutput{FunctionName: &name, Timeout: wire.Ptr(int32(3))}, `200 application/json {"FunctionName":"n","Timeout":3}`},
		{"rest, payload and headers", request{svc: lambdaAPI, target: "/2015-03-31/functions/f/invocations"}, &lambda.InvokeOutput{StatusCode: wire.Ptr(int32(202)), FunctionError: wire.Ptr("Unhandled\r\nX-Evil: 1"), Payload: []byte("[1]")},
			`202 application/json X-Amz-Function-Error: UnhandledX-Evil: 1 [1]`},
		{"rest, no content", request{svc: lambdaAPI, method: "DELETE", target: "/2015-03-31/functions/f"}, &lambda.DeleteFunctionOutput{StatusCode: wire.Ptr(int32(204))}, `204`},
	} {
		t.Run(c.name, func(t *testing.T) {
			x, err := c.match()
			if err != nil {
				t.Fatal(err)
			}
			w := httptest.NewRecorder()
			if err := x.Encode(w, "the-id", c.out); err != nil {
				t.Fatal(err)
			}
			if got := describe(w); !strings.Contains(got, c.want) {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if w.Header().Get("x-amzn-RequestId") != "the-id" {
				t.Error("no request id")
			}
		})
	}
}

func describe(w *httptest.ResponseRecorder) string {
	parts := []string{strconv.Itoa(w.Code)}
	for _, h := range []string{"Content-Type", "X-Amz-Function-Error", "X-Amzn-Errortype", "X-Amzn-Query-Error", "Retry-After"} {
		if v := w.Header().Get(h); v != "" && h == "Content-Type" {
			parts = append(parts, v)
		} else if v != "" {
			parts = append(parts, h+": "+v)
		}
	}
	return strings.Join(append(parts, strings.TrimPrefix(w.Body.String(), "<?xml version=\"1.0\"?>\n")), " ")
}

func TestErrors(t *testing.T) {
	conflict := dynamodb.NewConditionalCheckFailedException("The conditional request failed")
	conflict.Fields = map[string]any{"Item": map[string]dynamodb.AttributeValue{"a": {N: wire.Ptr("1")}}}
	slow := lambda.NewTooManyRequestsException("Rate Exceeded.")
	slow.Fields = map[string]any{"Reason": "ReservedFunctionConcurrentInvocationLimitExceeded", "Retry-After": "1"}
	odd := cloud.Errorf("Odd", "o").WithStatus(500)
	odd.Fields = map[string]any{"A": 1, "B": func() {}, "C": "c", "D": []string{"x"}}
	for _, c := range []struct {
		name string
		request
		err  *cloud.Error
		want string
	}{
		{"json", request{svc: sqsAPI, op: "ListQueues"}, sqs.NewQueueDoesNotExist("The specified queue does not exist."),
			`400 application/x-amz-json-1.0 X-Amzn-Query-Error: AWS.SimpleQueueService.NonExistentQueue;Sender {"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"The specified queue does not exist."}`},
		{"json, query", request{svc: sqsAPI, form: true, body: "Action=ListQueues"}, sqs.NewQueueDoesNotExist("100%s", "%"),
			`400 text/xml <ErrorResponse xmlns="http://queue.amazonaws.com/doc/2012-11-05/"><Error><Type>Sender</Type><Code>AWS.SimpleQueueService.NonExistentQueue</Code><Message>100%</Message><Detail></Detail></Error><RequestId>the-id</RequestId></ErrorResponse>`},
		{"json, modelled members", request{svc: ddbAPI, op: "ListTables"}, conflict,
			`{"__type":"com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException","message":"The conditional request failed","Item":{"a":{"N":"1"}}}`},
		{"json, other members", request{svc: logsAPI, op: "DescribeLogGroups"}, odd, `500 application/x-amz-json-1.1 {"__type":"Odd","message":"o","A":1,"C":"c"}`},
		{"query", request{svc: iamAPI, form: true, body: "Action=ListRoles&Version=2010-05-08"}, iam.NewNoSuchEntityException("no <r>"), `404 text/xml <ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Sender</Type><Code>NoSuchEntity</Code><Message>no &lt;r&gt;</Message></Error>`},
		{"rest", request{svc: lambdaAPI, method: "GET", target: "/2015-03-31/functions"}, lambda.NewResourceNotFoundException("Function not found: %s", "f"), `404 application/json X-Amzn-Errortype: ResourceNotFoundException {"Type":"User","Message":"Function not found: f"}`},
		{"rest, headers", request{svc: lambdaAPI, method: "GET", target: "/2015-03-31/functions"}, slow, `429 application/json X-Amzn-Errortype: TooManyRequestsException Retry-After: 1 {"Type":"User","message":"Rate Exceeded.","Reason":"ReservedFunctionConcurrentInvocationLimitExceeded"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			x, err := c.match()
			if err != nil {
				t.Fatal(err)
			}
			w := httptest.NewRecorder()
			x.EncodeError(w, "the-id", c.err)
			if got := describe(w); !strings.Contains(got, c.want) {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if h := w.Header().Get("X-Amz-Crc32"); c.svc == ddbAPI && h != strconv.FormatUint(uint64(crc32.ChecksumIEEE(w.Body.Bytes())), 10) {
				t.Errorf("x-amz-crc32 is %q", h)
			}
		})
	}
}

func TestOutputThatCannotBeWritten(t *testing.T) {
	x, err := request{svc: sqsAPI, op: "ListQueues", body: "{}"}.match()
	if err != nil {
		t.Fatal(err)
	}
	for _, out := range []any{nil, "text", (*sqs.ListQueuesOutput)(nil), &sqs.SendMessageOutput{}} {
		w := httptest.NewRecorder()
		if err := x.Encode(w, "the-id", out); err == nil || w.Code != 500 || !strings.Contains(w.Body.String(), "InternalFailure") {
			t.Errorf("%T: %v %d %s", out, err, w.Code, w.Body)
		}
	}
}

func TestUnknownServices(t *testing.T) {
	e := cloud.Errorf("MissingAuthenticationToken", "Missing <Token>").WithStatus(403)
	for _, c := range []struct{ name, header, value, target, want string }{
		{"json", "X-Amz-Target", "Unknown.Op", "/", `{"__type":"MissingAuthenticationToken","message":"Missing <Token>"}`},
		{"form", "Content-Type", "application/x-www-form-urlencoded", "/", `<ErrorResponse><Error><Type>Sender</Type><Code>MissingAuthenticationToken</Code><Message>Missing &lt;Token&gt;</Message></Error>`},
		{"action", "", "", "/?Action=X", `<ErrorResponse>`},
		{"S3", "Authorization", "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/s3/aws4_request", "/b/k", `<Error><Code>MissingAuthenticationToken</Code><Message>Missing &lt;Token&gt;</Message><RequestId>the-id</RequestId><HostId>dGhlLWlk</HostId></Error>`},
		{"rest", "", "", "/2015-03-31/functions", `X-Amzn-Errortype: MissingAuthenticationToken {"message":"Missing <Token>"}`},
	} {
		r := httptest.NewRequest("POST", c.target, nil)
		if c.header != "" {
			r.Header.Set(c.header, c.value)
		}
		w := httptest.NewRecorder()
		wire.WriteError(w, r, "the-id", e)
		if got := describe(w); w.Code != 403 || !strings.Contains(got, c.want) {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

// direct calls a service's methods as the dispatcher does.
type direct struct{ api any }

func (d direct) Call(ctx context.Context, _ *wire.Service, op *wire.Operation, in any) (any, error) {
	if err := wire.Validate(op, in); err != nil {
		return nil, err
	}
	return op.Invoke(ctx, d.api, in)
}

type oneMethod struct{ sqs.Unimplemented }

func (oneMethod) GetQueueUrl(_ context.Context, in *sqs.GetQueueUrlInput) (*sqs.GetQueueUrlOutput, error) {
	return &sqs.GetQueueUrlOutput{QueueUrl: wire.Ptr("http://" + in.QueueName)}, nil
}

func TestClient(t *testing.T) {
	c := sqs.NewClient(direct{oneMethod{}})
	out, err := c.GetQueueUrl(t.Context(), &sqs.GetQueueUrlInput{QueueName: "q"})
	if err != nil || *out.QueueUrl != "http://q" {
		t.Fatal(out, err)
	}
	if _, err := c.PurgeQueue(t.Context(), &sqs.PurgeQueueInput{QueueUrl: "u"}); cloud.Code(err) != "NotImplemented" || !strings.Contains(err.Error(), "sqs:PurgeQueue") {
		t.Error(err)
	}
	if _, err := c.SendMessageBatch(t.Context(), &sqs.SendMessageBatchInput{}); cloud.Code(err) != "MissingRequiredParameterException" {
		t.Error(err)
	}
	if _, err := c.PurgeQueue(t.Context(), nil); err == nil {
		t.Error("a nil input passes")
	}
}
