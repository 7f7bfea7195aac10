package server

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"croft/internal/awsapi/dynamodb"
	"croft/internal/awsapi/logs"
	"croft/internal/awsapi/s3"
	"croft/internal/awsapi/sqs"
	"croft/internal/service"
	"croft/internal/sigv4"
)

func TestServiceOfHost(t *testing.T) {
	x := newIndex([]service.Descriptor{{API: sqs.Service()}, {API: s3.Service()}, {API: logs.Service()}, {API: dynamodb.Service()}})
	for host, want := range map[string]string{
		"sqs.us-east-1.amazonaws.com": "sqs", "sqs.localhost:4566": "sqs", "sqs.us-east-1.api.aws": "sqs", "sqs-fips.us-east-1.amazonaws.com": "sqs",
		"queue.amazonaws.com": "sqs", "eu-west-1.queue.amazonaws.com": "sqs", "sqs.eu-central-1.amazonaws.com.cn": "sqs",
		"stream-logs.us-east-1.amazonaws.com": "logs", "streaming-logs.us-east-1.amazonaws.com": "logs", "stream-logs.localhost": "logs",
		"dynamodb.us-east-1.amazonaws.com": "dynamodb", "123456789012.ddb.us-east-1.amazonaws.com": "dynamodb",
		"s3.amazonaws.com": "s3", "s3.dualstack.us-east-1.amazonaws.com": "s3", "bucket.s3.eu-west-1.amazonaws.com": "s3", "a.b.s3-eu-west-1.amazonaws.com": "s3",
		"sqs.s3.localhost:4566":               "s3", // a bucket called sqs
		"sync-states.us-east-1.amazonaws.com": "NotImplemented: croft does not implement the service \"states\"",
		"monitoring.us-east-1.amazonaws.com":  "NotImplemented: croft does not implement the service \"monitoring\"",
		"email.us-east-1.amazonaws.com":       "NotImplemented: croft does not implement the service \"email\"",
		"localhost:4566":                      "", "127.0.0.1:4566": "", "other.localhost": "", "sync-localhost": "", "[::1]:4566": "",
	} {
		r := httptest.NewRequest("GET", "http://"+host+"/", nil)
		got := ""
		d, err := x.find(r, sigv4.Scope{}, false)
		switch {
		case err != nil:
			got, _, _ = strings.Cut(err.Error(), ". ")
		case d != nil:
			got = d.API.Name
		}
		if got != want {
			t.Errorf("%s: %s, want %s", host, got, want)
		}
	}
}

func TestServiceOfRequest(t *testing.T) {
	x := newIndex([]service.Descriptor{{API: sqs.Service()}, {API: s3.Service()}})
	for _, c := range []struct{ target, path, scope, want string }{
		{"AmazonSQS.ListQueues", "/", "", "sqs"},
		{"AmazonSQS.ListQueues", "/", "s3", "sqs"}, // refused later, for its signature
		{"AWSStepFunctions.StartSyncExecution", "/", "", `service "AWSStepFunctions", to which StartSyncExecution belongs`},
		{"AWSStepFunctions.StartSyncExecution", "/", "states", `service "states", to which StartSyncExecution belongs`},
		{"NoDot", "/", "", ""},
		{"", "/service/AmazonSQS/operation/ListQueues", "", "sqs"},
		{"", "/service/Other/operation/ListQueues", "monitoring", `service "monitoring"`},
		{"", "/service/Other/operation/ListQueues", "", `service "Other"`},
		{"", "/?Action=ListQueues&Version=2012-11-05", "", "sqs"},
		{"", "/bucket/key", "s3", "s3"},
	} {
		r := httptest.NewRequest("POST", c.path, nil)
		if c.target != "" {
			r.Header.Set("X-Amz-Target", c.target)
		}
		if strings.HasPrefix(c.path, "/service/") {
			r.Header.Set("Smithy-Protocol", "rpc-v2-cbor")
		}
		got := ""
		d, err := x.find(r, sigv4.Scope{Service: c.scope}, c.scope != "")
		switch {
		case err != nil:
			got = err.Error()
		case d != nil:
			got = d.API.Name
		}
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

func TestKnownHosts(t *testing.T) {
	s := &Server{Config: Config{Hosts: []string{"cloud.example"}}}
	for host, want := range map[string]bool{
		"localhost": true, "a.b.localhost": true, "127.0.0.1": true, "127.8.9.1": true, "::1": true, "sync-localhost": true, "stream-127.0.0.1": true,
		"sync-states.localhost": true, "stream-logs.us-east-1.amazonaws.com": true, "sqs.us-east-1.api.aws": true, "cloud.example": true,
		"sync-cloud.example": true, "bucket.s3.cloud.example": true,
		"evil-localhost": false, "notlocalhost": false, "sync-evil.example": false, "sync-stream-localhost": false, "sync-": false, "-localhost": false,
		"sync-localhost.evil.example": false, "localhost.evil.example": false, "192.168.0.1": false, "sync-192.168.0.1": false, "amazonaws.com.evil.example": false,
		"evilamazonaws.com": false, "evil-cloud.example": false, "evilcloud.example": false, "127.0.0.1.evil.example": false, "": false,
	} {
		if got := s.knownHost(hostname(host)); got != want {
			t.Errorf("%q: %t", host, got)
		}
	}
}

// TestPrefixedHosts has requests as SDKs send them to an operation with a host prefix.
func TestPrefixedHosts(t *testing.T) {
	w := newWorld(t)
	for host, want := range map[string]int{
		"stream-localhost:4566": http.StatusOK, "sync-127.0.0.1:4566": http.StatusOK, "stream-sqs.us-east-1.amazonaws.com": http.StatusOK,
		"evil-localhost:4566": http.StatusForbidden,
	} {
		if rec := w.do(call{host: host, target: "AmazonSQS.ListQueues", body: "{}"}); rec.Code != want {
			t.Errorf("%s: %d %s", host, rec.Code, rec.Body)
		}
	}
	rec := w.do(call{host: "sync-localhost:4566", target: "AWSStepFunctions.StartSyncExecution", service: "states", body: "{}"})
	if rec.Code != http.StatusNotImplemented || !strings.Contains(rec.Body.String(), "states") || !strings.Contains(rec.Body.String(), "StartSyncExecution") {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

// FuzzFind looks for the service of whatever a client may send.
func FuzzFind(f *testing.F) {
	f.Add("bucket.s3.eu-west-1.amazonaws.com", "AmazonSQS.ListQueues", "/service/AmazonSQS/operation/ListQueues", "sqs")
	f.Add("stream-logs..", ".", "/v2/apis?Version=2012-11-05", "")
	f.Add("[::1]:4566", "a.", "/service//operation/", "states")
	x := newIndex([]service.Descriptor{{API: sqs.Service()}, {API: s3.Service()}, {API: logs.Service()}, {API: dynamodb.Service()}})
	f.Fuzz(func(t *testing.T, host, target, path, scope string) {
		u, err := url.ParseRequestURI(path)
		if err != nil {
			return
		}
		r := &http.Request{Method: "POST", URL: u, Host: host, Header: http.Header{"X-Amz-Target": {target}, "Smithy-Protocol": {"rpc-v2-cbor"}}}
		d, cerr := x.find(r, sigv4.Scope{Service: scope}, scope != "")
		if d != nil && cerr != nil || cerr != nil && cerr.Code != "NotImplemented" {
			t.Fatalf("%v %v", d, cerr)
		}
	})
}
