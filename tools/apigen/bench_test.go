package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"croft/internal/awsapi/cloudformation"
	"croft/internal/awsapi/dynamodb"
	"croft/internal/awsapi/s3"
	"croft/internal/awsapi/sqs"
	"croft/internal/wire"
)

// exchange is a request and the output that answers it.
type exchange struct {
	svc    *wire.Service
	target string
	header map[string]string
	body   string
	out    any
}

// BenchmarkExchange finds, decodes, validates and encodes what a server does for one request, without HTTP and without the service.
func BenchmarkExchange(b *testing.B) {
	const (
		message = `{"QueueUrl":"http://127.0.0.1:4566/000000000000/orders","MessageBody":"{\"orderId\":\"5d2cbd6b-3cf1-4ad3-8d6a-4c5f5f0d6a44\",\"amount\":12}"}`
		item    = `{"TableName":"orders","Item":{"pk":{"S":"order#1"},"amount":{"N":"12.5"},"lines":{"L":[{"M":{"sku":{"S":"a"},"n":{"N":"1"}}},{"M":{"sku":{"S":"b"},"n":{"N":"2"}}}]}}}`
	)
	sent := &sqs.SendMessageOutput{MessageId: wire.Ptr("5d2cbd6b-3cf1-4ad3-8d6a-4c5f5f0d6a44"), MD5OfMessageBody: wire.Ptr("5d41402abc4b2a76b9719d911017c592")}
	form := map[string]string{"Content-Type": "application/x-www-form-urlencoded"}
	const cborBody = "\xa2hQueueUrlx\x29http://127.0.0.1:4566/000000000000/orders" + "kMessageBodyx\x3e" + `{"orderId":"5d2cbd6b-3cf1-4ad3-8d6a-4c5f5f0d6a44","amount":12}`
	for name, c := range map[string]exchange{
		"json/SendMessage": {sqsAPI, "/", map[string]string{"X-Amz-Target": "AmazonSQS.SendMessage"}, message, sent},
		"json/PutItem":     {ddbAPI, "/", map[string]string{"X-Amz-Target": "DynamoDB_20120810.PutItem"}, item, &dynamodb.PutItemOutput{}},
		"query/SendMessage": {sqsAPI, "/", form, "Action=SendMessage&Version=2012-11-05&QueueUrl=http%3A%2F%2F127.0.0.1%3A4566%2F000000000000%2Forders&MessageBody=%7B%22orderId%22%3A%225d2cbd6b%22%7D",
			sent},
		"query/DescribeStacks": {cfnAPI, "/", form, "Action=DescribeStacks&Version=2010-05-15&StackName=orders", stackAnswer()},
		"xml/ListObjectsV2":    {s3.Service(), "/bucket?list-type=2&prefix=photos%2F&max-keys=10", nil, "", objectsAnswer()},
		"xml/DeleteObjects":    {s3.Service(), "/bucket?delete", map[string]string{"Content-Type": "application/xml"}, deleteBody(), &s3.DeleteObjectsOutput{}},
		"cbor/SendMessage": {inCBOR(sqsAPI), "/service/AmazonSQS/operation/SendMessage",
			map[string]string{"Smithy-Protocol": "rpc-v2-cbor", "Content-Type": "application/cbor"}, cborBody, sent},
	} {
		b.Run(name, func(b *testing.B) { c.run(b) })
	}
}

func (c exchange) run(b *testing.B) {
	method := http.MethodPost
	if c.header == nil {
		method = http.MethodGet
	}
	r := httptest.NewRequest(method, c.target, strings.NewReader(c.body))
	for k, v := range c.header {
		r.Header.Set(k, v)
	}
	body := []byte(c.body)
	b.ReportAllocs()
	for b.Loop() {
		x, err := wire.Match(c.svc, r, body)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := x.Decode(); err != nil {
			b.Fatal(err)
		}
		if err := x.Encode(discard{http.Header{}}, "the-id", c.out); err != nil {
			b.Fatal(err)
		}
	}
}

// deleteBody names ten objects.
func deleteBody() string {
	var b strings.Builder
	b.WriteString(`<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Quiet>true</Quiet>`)
	for i := range 10 {
		fmt.Fprintf(&b, "<Object><Key>photos/2026/%04d.jpg</Key></Object>", i)
	}
	return b.String() + "</Delete>"
}

// stackAnswer is a stack with three outputs and two parameters.
func stackAnswer() *cloudformation.DescribeStacksOutput {
	st := cloudformation.Stack{StackId: wire.Ptr("arn:aws:cloudformation:us-east-1:000000000000:stack/orders/5d2cbd6b-3cf1-4ad3-8d6a-4c5f5f0d6a44"), StackName: "orders",
		CreationTime: time.Unix(1767323045, 0), StackStatus: "CREATE_COMPLETE", Capabilities: []string{"CAPABILITY_IAM"}, DisableRollback: wire.Ptr(false)}
	for i := range 3 {
		st.Outputs = append(st.Outputs, cloudformation.Output{OutputKey: wire.Ptr(fmt.Sprint("Output", i)), OutputValue: wire.Ptr("https://example.com/orders")})
	}
	for i := range 2 {
		st.Parameters = append(st.Parameters, cloudformation.Parameter{ParameterKey: wire.Ptr(fmt.Sprint("Parameter", i)), ParameterValue: wire.Ptr("value")})
	}
	return &cloudformation.DescribeStacksOutput{Stacks: []cloudformation.Stack{st}}
}

// objectsAnswer is a page of ten objects.
func objectsAnswer() *s3.ListObjectsV2Output {
	out := &s3.ListObjectsV2Output{Name: wire.Ptr("bucket"), Prefix: wire.Ptr("photos/"), MaxKeys: wire.Ptr(int32(10)), KeyCount: wire.Ptr(int32(10)), IsTruncated: wire.Ptr(true)}
	for i := range 10 {
		out.Contents = append(out.Contents, s3.Object{Key: wire.Ptr(fmt.Sprintf("photos/2026/%04d.jpg", i)), Size: wire.Ptr(int64(123456 + i)), StorageClass: wire.Ptr("STANDARD"),
			LastModified: wire.Ptr(time.Unix(1767323045, 0)), ETag: wire.Ptr(`"5d41402abc4b2a76b9719d911017c592"`)})
	}
	return out
}

// discard is a ResponseWriter that keeps nothing.
type discard struct{ h http.Header }

func (d discard) Header() http.Header         { return d.h }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}
