package sns_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	api "croft/internal/awsapi/sns"
	"croft/internal/cloud"
	"croft/internal/service/servicetest"
	"croft/internal/wire"
)

// endpoint notes what it is sent, and answers with the statuses that it is told before it answers 200.
type endpoint struct {
	*httptest.Server
	mu       sync.Mutex
	statuses []int
	got      []*http.Request
	bodies   []string
}

func newEndpoint(t *testing.T) *endpoint {
	e := &endpoint{}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		e.got, e.bodies = append(e.got, r), append(e.bodies, string(body))
		if len(e.statuses) > 0 {
			w.WriteHeader(e.statuses[0])
			e.statuses = e.statuses[1:]
		}
	}))
	t.Cleanup(e.Close)
	return e
}

func (e *endpoint) answer(statuses ...int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.statuses = statuses
}

// take returns the requests since the last call, with what was in their bodies.
func (e *endpoint) take() ([]*http.Request, []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	got, bodies := e.got, e.bodies
	e.got, e.bodies = nil, nil
	return got, bodies
}

// visit follows an address of a message, as somebody without credentials does.
func visit(t *testing.T, env *servicetest.Env, address string) *httptest.ResponseRecorder {
	t.Helper()
	u, err := url.Parse(address)
	must(t, err)
	rest, ok := strings.CutPrefix(u.Path, "/_aws/sns/")
	if !ok {
		t.Fatalf("the address is %s", address)
	}
	id, path, _ := strings.Cut(rest, "/")
	r := httptest.NewRequest(http.MethodGet, "/"+path+"?"+u.RawQuery, nil)
	call := &cloud.Call{
		RequestID: "r", Account: "999999999999", Region: "us-east-1", Now: env.Clock.Now(), Endpoint: servicetest.Endpoint,
		Principal: cloud.Principal{Kind: cloud.Anonymous},
	}
	w := httptest.NewRecorder()
	for _, d := range env.Dispatcher.All() {
		for _, front := range d.Fronts {
			front.Serve(w, r.WithContext(cloud.WithCall(env.Context(), call)), id)
		}
	}
	return w
}

type message struct {
	Type, MessageId, Token, TopicArn, Subject, Message, SubscribeURL, Timestamp, SignatureVersion, Signature, SigningCertURL, UnsubscribeURL string
}

// verify checks the signature of a message as the developer guide says.
func verify(t *testing.T, env *servicetest.Env, body string) message {
	t.Helper()
	var m message
	must(t, json.Unmarshal([]byte(body), &m))
	text := "Message\n" + m.Message + "\nMessageId\n" + m.MessageId + "\n"
	if m.Type == "Notification" {
		if m.Subject != "" {
			text += "Subject\n" + m.Subject + "\n"
		}
		text += "Timestamp\n" + m.Timestamp + "\n"
	} else {
		text += "SubscribeURL\n" + m.SubscribeURL + "\nTimestamp\n" + m.Timestamp + "\nToken\n" + m.Token + "\n"
	}
	text += "TopicArn\n" + m.TopicArn + "\nType\n" + m.Type + "\n"
	block, _ := pem.Decode(visit(t, env, m.SigningCertURL).Body.Bytes())
	if block == nil {
		t.Fatalf("no certificate at %q", m.SigningCertURL)
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	must(t, err)
	signature, err := base64.StdEncoding.DecodeString(m.Signature)
	must(t, err)
	hash, digest := crypto.SHA1, sha1.Sum([]byte(text))
	sum := digest[:]
	if m.SignatureVersion == "2" {
		digest := sha256.Sum256([]byte(text))
		hash, sum = crypto.SHA256, digest[:]
	}
	must(t, rsa.VerifyPKCS1v15(certificate.PublicKey.(*rsa.PublicKey), hash, sum, signature))
	return m
}

// listening subscribes an endpoint and confirms it by the address that it was sent.
func listening(t *testing.T, topicAttributes, attributes map[string]string) (*servicetest.Env, api.Client, *endpoint, string, string) {
	t.Helper()
	env := servicetest.New(t, newTopics, newQueues)
	client, e := api.NewClient(env.Dispatcher), newEndpoint(t)
	topic, err := client.CreateTopic(env.Context(), &api.CreateTopicInput{Name: "t", Attributes: topicAttributes})
	must(t, err)
	out, err := client.Subscribe(env.Context(), &api.SubscribeInput{
		TopicArn: *topic.TopicArn, Protocol: "http", Endpoint: wire.Ptr(e.URL + "/in"), Attributes: attributes,
	})
	must(t, err)
	if *out.SubscriptionArn != "pending confirmation" {
		t.Errorf("the answer is %s", *out.SubscriptionArn)
	}
	publish(t, env, client, *topic.TopicArn, "before it is confirmed")
	env.Settle()
	got, bodies := e.take()
	if len(got) != 1 || got[0].Header.Get("X-Amz-Sns-Message-Type") != "SubscriptionConfirmation" || got[0].Header.Get("X-Amz-Sns-Subscription-Arn") != "" {
		t.Fatalf("the endpoint got %q", bodies)
	}
	m := verify(t, env, bodies[0])
	if w := visit(t, env, m.SubscribeURL); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "<SubscriptionArn>"+*topic.TopicArn+":") {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	list, err := client.ListSubscriptions(env.Context(), &api.ListSubscriptionsInput{})
	must(t, err)
	return env, client, e, *topic.TopicArn, *list.Subscriptions[0].SubscriptionArn
}

func TestWeb(t *testing.T) {
	for _, version := range []string{"", "1", "2"} {
		attributes := map[string]string{}
		if version != "" {
			attributes["SignatureVersion"] = version
		}
		env, client, e, topic, sub := listening(t, attributes, nil)
		_, err := client.Publish(env.Context(), &api.PublishInput{TopicArn: &topic, Message: "hello", Subject: wire.Ptr("s")})
		must(t, err)
		env.Settle()
		got, bodies := e.take()
		if len(got) != 1 {
			t.Fatalf("%d requests", len(got))
		}
		m := verify(t, env, bodies[0])
		if version == "" {
			version = "1"
		}
		if m.Message != "hello" || m.SignatureVersion != version || got[0].Header.Get("X-Amz-Sns-Subscription-Arn") != sub ||
			got[0].Header.Get("Content-Type") != "text/plain; charset=UTF-8" {
			t.Errorf("the endpoint got %v %s", got[0].Header, bodies[0])
		}
		// Whoever has the message can unsubscribe; the endpoint is told so, and can take that back.
		if w := visit(t, env, m.UnsubscribeURL); w.Code != http.StatusOK {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		publish(t, env, client, topic, "lost")
		env.Settle()
		if _, bodies = e.take(); len(bodies) != 1 {
			t.Fatalf("the endpoint got %q", bodies)
		}
		if m = verify(t, env, bodies[0]); m.Type != "UnsubscribeConfirmation" {
			t.Errorf("the endpoint got %s", bodies[0])
		}
		visit(t, env, m.SubscribeURL)
		publish(t, env, client, topic, "back")
		env.Settle()
		if _, bodies = e.take(); len(bodies) != 1 || !strings.Contains(bodies[0], "back") {
			t.Errorf("the endpoint got %q", bodies)
		}
	}
}

func TestWebRetries(t *testing.T) {
	env, client, e, topic, _ := listening(t, nil, map[string]string{
		"DeliveryPolicy":     `{"healthyRetryPolicy":{"minDelayTarget":5,"maxDelayTarget":10,"numRetries":3,"numNoDelayRetries":1},"requestPolicy":{"headerContentType":"text/csv"}}`,
		"RawMessageDelivery": "true",
	})
	e.answer(500, 429, 503)
	publish(t, env, client, topic, "a,b")
	env.Settle()
	if got, _ := e.take(); len(got) != 2 { // the first, and the retry without a delay
		t.Fatalf("%d attempts at once", len(got))
	}
	env.Advance(5 * time.Second)
	if got, _ := e.take(); len(got) != 1 {
		t.Fatalf("%d attempts after five seconds", len(got))
	}
	env.Advance(10*time.Second - time.Millisecond)
	if got, _ := e.take(); len(got) != 0 {
		t.Fatal("the last attempt is too early")
	}
	env.Advance(time.Millisecond)
	got, bodies := e.take()
	if len(got) != 1 || bodies[0] != "a,b" || got[0].Header.Get("Content-Type") != "text/csv" || got[0].Header.Get("X-Amz-Sns-Rawdelivery") != "true" {
		t.Fatalf("the last attempt: %q", bodies)
	}
	env.Advance(time.Hour)
	if got, _ := e.take(); len(got) != 0 {
		t.Error("what was delivered is sent again")
	}
}

// An endpoint that refuses, or that fails to the end, leaves the message to the dead-letter queue.
func TestWebDeadLetters(t *testing.T) {
	env, client, e, topic, sub := listening(t, map[string]string{"DeliveryPolicy": `{"http":{"defaultHealthyRetryPolicy":{"numRetries":1,"minDelayTarget":1,"maxDelayTarget":1}}}`}, nil)
	_, err := env.Call("sqs.CreateQueue", `{"QueueName": "dead"}`)
	must(t, err)
	_, err = client.SetSubscriptionAttributes(env.Context(), &api.SetSubscriptionAttributesInput{
		SubscriptionArn: sub, AttributeName: "RedrivePolicy", AttributeValue: wire.Ptr(`{"deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:dead"}`),
	})
	must(t, err)
	dead := func() int {
		out, err := env.Call("sqs.ReceiveMessage", `{"QueueUrl": "/000000000000/dead", "MaxNumberOfMessages": 10}`)
		must(t, err)
		return strings.Count(out, `"Body"`)
	}
	e.answer(400)
	publish(t, env, client, topic, "refused")
	env.Settle()
	if n := dead(); n != 1 {
		t.Errorf("%d dead letters after a refusal", n)
	}
	e.answer(500, 500)
	publish(t, env, client, topic, "failed")
	env.Settle()
	if n := dead(); n != 0 {
		t.Errorf("%d dead letters before the last attempt", n)
	}
	env.Advance(time.Second)
	if n := dead(); n != 1 {
		t.Errorf("%d dead letters after the last attempt", n)
	}
}

func TestPendingEnds(t *testing.T) {
	env := servicetest.New(t, newTopics)
	client, e := api.NewClient(env.Dispatcher), newEndpoint(t)
	topic, err := client.CreateTopic(env.Context(), &api.CreateTopicInput{Name: "t"})
	must(t, err)
	out, err := client.Subscribe(env.Context(), &api.SubscribeInput{
		TopicArn: *topic.TopicArn, Protocol: "http", Endpoint: &e.URL, ReturnSubscriptionArn: wire.Ptr(true),
	})
	must(t, err)
	env.Settle()
	_, bodies := e.take()
	m := verify(t, env, bodies[0])
	is, err := client.GetSubscriptionAttributes(env.Context(), &api.GetSubscriptionAttributesInput{SubscriptionArn: *out.SubscriptionArn})
	must(t, err)
	if a := is.Attributes; a["PendingConfirmation"] != "true" || a["ConfirmationWasAuthenticated"] != "false" || !strings.Contains(a["EffectiveDeliveryPolicy"], `"numRetries":3`) {
		t.Errorf("the subscription is %v", a)
	}
	confirm := func(token string) string {
		_, err := client.ConfirmSubscription(env.Context(), &api.ConfirmSubscriptionInput{TopicArn: *topic.TopicArn, Token: token})
		return err.Error()
	}
	if got := confirm("nonsense"); got != "InvalidParameter: Invalid token" {
		t.Error(got)
	}
	if got := confirm("abcdef"); got != "InvalidParameter: Invalid parameter: Token" {
		t.Error(got)
	}
	env.Advance(48 * time.Hour)
	list, err := client.ListSubscriptions(env.Context(), &api.ListSubscriptionsInput{})
	must(t, err)
	if len(list.Subscriptions) != 0 || confirm(m.Token) != "InvalidParameter: Invalid parameter: Token" {
		t.Errorf("%d subscriptions are left", len(list.Subscriptions))
	}
}

// A confirmation that asks for it keeps those without credentials from unsubscribing.
func TestGuardedSubscription(t *testing.T) {
	env := servicetest.New(t, newTopics)
	client, e := api.NewClient(env.Dispatcher), newEndpoint(t)
	topic, err := client.CreateTopic(env.Context(), &api.CreateTopicInput{Name: "t"})
	must(t, err)
	_, err = client.Subscribe(env.Context(), &api.SubscribeInput{TopicArn: *topic.TopicArn, Protocol: "http", Endpoint: &e.URL})
	must(t, err)
	env.Settle()
	_, bodies := e.take()
	_, err = client.ConfirmSubscription(env.Context(), &api.ConfirmSubscriptionInput{
		TopicArn: *topic.TopicArn, Token: verify(t, env, bodies[0]).Token, AuthenticateOnUnsubscribe: wire.Ptr("true"),
	})
	must(t, err)
	publish(t, env, client, *topic.TopicArn, "x")
	env.Settle()
	_, bodies = e.take()
	if w := visit(t, env, verify(t, env, bodies[0]).UnsubscribeURL); w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "<Code>AuthorizationError</Code>") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := visit(t, env, servicetest.Endpoint+"/_aws/sns/us-east-1.000000000000/?Action=DeleteTopic"); w.Code == http.StatusOK {
		t.Error("the front door deletes topics")
	}
}

// Messages through queues are signed when the topic says how.
func TestSignedInQueue(t *testing.T) {
	env := servicetest.New(t, newTopics, newQueues)
	client := api.NewClient(env.Dispatcher)
	topic, err := client.CreateTopic(env.Context(), &api.CreateTopicInput{Name: "t", Attributes: map[string]string{"SignatureVersion": "2"}})
	must(t, err)
	_, err = env.Call("sqs.CreateQueue", `{"QueueName": "q"}`)
	must(t, err)
	subscribe(t, env, client, *topic.TopicArn, "q", nil)
	publish(t, env, client, *topic.TopicArn, "x")
	env.Settle()
	out, err := env.Call("sqs.ReceiveMessage", `{"QueueUrl": "/000000000000/q"}`)
	must(t, err)
	var answer struct{ Messages []struct{ Body string } }
	must(t, json.Unmarshal([]byte(out), &answer))
	if m := verify(t, env, answer.Messages[0].Body); m.SignatureVersion != "2" {
		t.Errorf("version %s", m.SignatureVersion)
	}
}

// Mail and text messages are kept, and the oldest make room.
func TestMail(t *testing.T) {
	env := servicetest.New(t, newTopics)
	client := api.NewClient(env.Dispatcher)
	topic, err := client.CreateTopic(env.Context(), &api.CreateTopicInput{Name: "t"})
	must(t, err)
	for protocol, to := range map[string]string{"email": "a@example.com", "sms": "+1-555.123/4567"} {
		_, err = client.Subscribe(env.Context(), &api.SubscribeInput{TopicArn: *topic.TopicArn, Protocol: protocol, Endpoint: &to})
		must(t, err)
	}
	env.Settle()
	kept := func() (out struct {
		Messages []struct{ Protocol, Endpoint, Type, Message, SubscribeURL, UnsubscribeURL string }
	}) {
		must(t, json.Unmarshal(visit(t, env, servicetest.Endpoint+"/_aws/sns/us-east-1.000000000000/messages").Body.Bytes(), &out))
		return out
	}
	first := kept().Messages
	if len(first) != 1 || first[0].Type != "SubscriptionConfirmation" || first[0].Endpoint != "a@example.com" {
		t.Fatalf("kept: %+v", first)
	}
	if w := visit(t, env, first[0].SubscribeURL); w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	_, err = client.Publish(env.Context(), &api.PublishInput{
		TopicArn: topic.TopicArn, MessageStructure: wire.Ptr("json"), Message: `{"default": "all", "sms": "short"}`,
	})
	must(t, err)
	env.Settle()
	got := map[string]string{}
	for _, m := range kept().Messages[:2] {
		got[m.Protocol+" "+m.Endpoint] = m.Message
	}
	if got["email a@example.com"] != "all" || got["sms +15551234567"] != "short" {
		t.Errorf("kept: %v", got)
	}
	for range 1000 {
		_, err = client.Publish(env.Context(), &api.PublishInput{PhoneNumber: wire.Ptr("+15550100"), Message: "many"})
		must(t, err)
	}
	all := kept().Messages
	if len(all) != 1000 || all[999].Message != "many" {
		t.Errorf("%d are kept", len(all))
	}
}

// TestFunctionsSubscribeNoWebEndpoints: the server can reach what a function's own connections cannot.
func TestFunctionsSubscribeNoWebEndpoints(t *testing.T) {
	env := servicetest.New(t, newTopics, newQueues)
	client, e := api.NewClient(env.Dispatcher), newEndpoint(t)
	topic, err := client.CreateTopic(env.Context(), &api.CreateTopicInput{Name: "t"})
	must(t, err)
	call := *cloud.CallOf(env.Context())
	call.Function = "arn:aws:lambda:us-east-1:000000000000:function:f"
	_, err = client.Subscribe(cloud.WithCall(env.Context(), &call), &api.SubscribeInput{TopicArn: *topic.TopicArn, Protocol: "http", Endpoint: wire.Ptr(e.URL)})
	if cloud.Code(err) != "InvalidParameter" || !strings.Contains(err.Error(), "no function") {
		t.Errorf("a function's subscription of a web endpoint: %v", err)
	}
	env.Settle()
	if e.mu.Lock(); len(e.got) != 0 {
		t.Errorf("%d requests", len(e.got))
	}
	e.mu.Unlock()
}
