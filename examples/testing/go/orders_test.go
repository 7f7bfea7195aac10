// Package orders_test tests the orders example from Go: package croft runs the whole cloud inside the test.
package orders_test

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"croft"
	"croft/crofttest"
)

const orders = "../../orders"

func TestMain(m *testing.M) {
	croft.Main() // functions run in sandboxes that begin as this program
	os.Exit(m.Run())
}

// The whole app: an order comes in over HTTP, and its announcement arrives in the queue of the auditors.
func TestOrderIsAnnounced(t *testing.T) {
	cloud := crofttest.New(t)
	app := cloud.Deploy(orders, "", nil)

	res, err := http.Post(app["OrdersUrl"], "application/json", strings.NewReader(`{"items": ["book"]}`))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var order struct{ OrderID string }
	if err := json.NewDecoder(res.Body).Decode(&order); err != nil || res.StatusCode != http.StatusCreated {
		t.Fatalf("%s, %v", res.Status, err)
	}

	out, err := sqs.NewFromConfig(cloud.Config()).ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{
		QueueUrl: aws.String(app["AuditQueueUrl"]), WaitTimeSeconds: 20,
	})
	if err != nil || len(out.Messages) != 1 || !strings.Contains(*out.Messages[0].Body, order.OrderID) {
		t.Fatalf("%+v, %v", out, err)
	}
}

// One function alone.
func TestBadOrder(t *testing.T) {
	cloud := crofttest.New(t)
	cloud.Deploy(orders, "", nil)
	answer := cloud.Invoke("CreateOrder", map[string]string{"body": "this is not JSON"}).(map[string]any)
	if answer["statusCode"] != 400.0 {
		t.Errorf("it answered %v", answer)
	}
}
