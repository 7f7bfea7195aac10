package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

const (
	// table has a partition and a sort key, smallTable a partition key alone.
	table      = "bench"
	smallTable = "bench-small"
	benchTopic = "bench"
	benchName  = "bench-objects"
	// partition is how many items a Query reads.
	partition = 100
	// objects is how many keys PutObject and GetObject go round.
	objects = 1000
)

// target is a server as the AWS SDK for Go sees it.
type target struct {
	transport *http.Transport
	ddb       *dynamodb.Client
	sqs       *sqs.Client
	sns       *sns.Client
	s3        *s3.Client
	// queue is the URL of the queue "bench", and topic the name of the topic, as the server tells them.
	queue, topic string
}

// newTarget returns clients of a server; wrap, when not nil, stands between them and the connections.
func newTarget(endpoint string, wrap func(http.RoundTripper) http.RoundTripper) *target {
	tr := transport()
	var rt http.RoundTripper = ownBody{tr}
	if wrap != nil {
		rt = wrap(rt)
	}
	h := &http.Client{Transport: rt}
	keys := credentials.NewStaticCredentialsProvider("test", "test", "")
	return &target{
		transport: tr, queue: queueURL, topic: "arn:aws:sns:us-east-1:000000000000:" + benchTopic,
		ddb: dynamodb.New(dynamodb.Options{Region: "us-east-1", BaseEndpoint: &endpoint, Credentials: keys, HTTPClient: h, RetryMaxAttempts: 1}),
		sqs: client(endpoint, rt),
		sns: sns.New(sns.Options{Region: "us-east-1", BaseEndpoint: &endpoint, Credentials: keys, HTTPClient: h, RetryMaxAttempts: 1}),
		s3:  s3.New(s3.Options{Region: "us-east-1", BaseEndpoint: &endpoint, Credentials: keys, HTTPClient: h, RetryMaxAttempts: 1, UsePathStyle: true}),
	}
}

// ownBody gives each request a body of its own. The SDK's may change as soon as the answer's head is there, while the connection still looks whether the
// body has ended: it is then closed under the answer, a few times in ten thousand, whatever the server.
type ownBody struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (o ownBody) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body == nil {
		return o.next.RoundTrip(req)
	}
	body, err := io.ReadAll(req.Body)
	if err = errors.Join(err, req.Body.Close()); err != nil {
		return nil, err
	}
	own := req.Clone(req.Context())
	own.Body = io.NopCloser(bytes.NewReader(body))
	return o.next.RoundTrip(own)
}

func (t *target) close() { t.transport.CloseIdleConnections() }

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

// prepareTables makes the two tables; those that are there stay.
func (t *target) prepareTables(ctx context.Context) error {
	for name, keys := range map[string][]string{table: {"p", "s"}, smallTable: {"p"}} {
		in := &dynamodb.CreateTableInput{TableName: aws.String(name), BillingMode: types.BillingModePayPerRequest}
		for i, k := range keys {
			kind := []types.KeyType{types.KeyTypeHash, types.KeyTypeRange}[i]
			in.KeySchema = append(in.KeySchema, types.KeySchemaElement{AttributeName: aws.String(k), KeyType: kind})
			in.AttributeDefinitions = append(in.AttributeDefinitions, types.AttributeDefinition{AttributeName: aws.String(k), AttributeType: types.ScalarAttributeTypeS})
		}
		var there *types.ResourceInUseException
		if _, err := t.ddb.CreateTable(ctx, in); err != nil && !errors.As(err, &there) {
			return err
		}
		if err := t.awaitTable(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func (t *target) awaitTable(ctx context.Context, name string) error {
	for range 2000 {
		out, err := t.ddb.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &name})
		if err != nil {
			return err
		}
		if out.Table.TableStatus == types.TableStatusActive {
			return nil
		}
	}
	return fmt.Errorf("table %s does not become active", name)
}

func (t *target) prepareItems(ctx context.Context) error {
	if err := t.prepareTables(ctx); err != nil {
		return err
	}
	for i := range partition {
		_, err := t.ddb.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String(table), Item: map[string]types.AttributeValue{
			"p": text("query"), "s": text(fmt.Sprintf("%03d", i)), "v": text(strings.Repeat("v", 180)),
		}})
		if err != nil {
			return err
		}
	}
	return t.putItem(ctx, "get", 1000)
}

// putItem writes an item of size bytes and a little more.
func (t *target) putItem(ctx context.Context, key string, size int) error {
	_, err := t.ddb.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String(smallTable), Item: map[string]types.AttributeValue{
		"p": text(key), "v": text(strings.Repeat("v", size)),
	}})
	return err
}

func (t *target) getItem(ctx context.Context) error {
	out, err := t.ddb.GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String(smallTable), Key: map[string]types.AttributeValue{"p": text("get")}})
	if err == nil && len(out.Item) != 2 {
		return errors.New("GetItem has found nothing")
	}
	return err
}

// query reads a partition, which must have a hundred items.
func (t *target) query(ctx context.Context, p string) error {
	out, err := t.ddb.Query(ctx, &dynamodb.QueryInput{
		TableName: aws.String(table), KeyConditionExpression: aws.String("p = :p"), ExpressionAttributeValues: map[string]types.AttributeValue{":p": text(p)},
	})
	if err == nil && len(out.Items) != partition {
		return fmt.Errorf("Query has found %d items", len(out.Items))
	}
	return err
}

// transact puts two items.
func (t *target) transact(ctx context.Context, key string) error {
	in := &dynamodb.TransactWriteItemsInput{}
	for _, k := range []string{"a", "b"} {
		in.TransactItems = append(in.TransactItems, types.TransactWriteItem{Put: &types.Put{TableName: aws.String(smallTable), Item: map[string]types.AttributeValue{
			"p": text(key + k), "v": text(strings.Repeat("v", 180)),
		}}})
	}
	_, err := t.ddb.TransactWriteItems(ctx, in)
	return err
}

func (t *target) prepareQueue(ctx context.Context) error {
	out, err := t.sqs.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String("bench")})
	if err == nil {
		t.queue = *out.QueueUrl
	}
	return err
}

// prepareTrips makes a queue for messages that go round. What a peer has in the other one should not stand in their way.
func (t *target) prepareTrips(ctx context.Context) error {
	out, err := t.sqs.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String("bench-trips")})
	if err == nil {
		t.queue = *out.QueueUrl
	}
	return err
}

func (t *target) send(ctx context.Context) error {
	_, err := t.sqs.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &t.queue, MessageBody: aws.String(strings.Repeat("m", 200))})
	return err
}

func (t *target) sendTen(ctx context.Context) error {
	in := &sqs.SendMessageBatchInput{QueueUrl: &t.queue}
	for i := range 10 {
		in.Entries = append(in.Entries, sqstypes.SendMessageBatchRequestEntry{Id: aws.String(fmt.Sprint(i)), MessageBody: aws.String(strings.Repeat("m", 200))})
	}
	out, err := t.sqs.SendMessageBatch(ctx, in)
	if err == nil && len(out.Successful) != 10 {
		return fmt.Errorf("%d of ten messages were accepted", len(out.Successful))
	}
	return err
}

// roundTrip sends a message, receives one and deletes it.
func (t *target) roundTrip(ctx context.Context) error {
	if err := t.send(ctx); err != nil {
		return err
	}
	// Others may be just about to take what is there: it comes back to one of them.
	for range 100 {
		out, err := t.sqs.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: &t.queue})
		if err != nil {
			return err
		}
		for _, m := range out.Messages {
			if _, err := t.sqs.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: &t.queue, ReceiptHandle: m.ReceiptHandle}); err != nil {
				return err
			}
		}
		if len(out.Messages) > 0 {
			return nil
		}
	}
	return errors.New("the queue gives no message")
}

// putLoaded writes an item of 200 bytes into the table with a sort key.
func (t *target) putLoaded(ctx context.Context, p, s string) error {
	_, err := t.ddb.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String(table), Item: map[string]types.AttributeValue{
		"p": text(p), "s": text(s), "v": text(strings.Repeat("w", 170)),
	}})
	return err
}

func (t *target) getLoaded(ctx context.Context, p, s string) error {
	out, err := t.ddb.GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String(table), Key: map[string]types.AttributeValue{"p": text(p), "s": text(s)}})
	if err == nil && len(out.Item) != 3 {
		return fmt.Errorf("GetItem has not found %s, %s", p, s)
	}
	return err
}
