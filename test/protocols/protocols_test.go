// Package protocols looks at a whole cloud's protocols from outside: every service in each that its model lists, and event streams with
// the SDK for Python.
package protocols

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"croft"
	"croft/crofttest"
	"croft/internal/app"
	"croft/internal/clock"
	"croft/internal/service"
	"croft/internal/service/lambda"
	"croft/internal/sigv4"
	"croft/internal/wire"
)

// simple returns an operation of the service that reads, needs no input and answers with something.
func simple(svc *wire.Service) *wire.Operation {
	for _, verb := range []string{"List", "Describe", "Get"} {
		for _, op := range svc.Operations {
			if strings.HasPrefix(op.Name, verb) && op.Output != wire.NoRef && !needsInput(op) {
				return op
			}
		}
	}
	return nil
}

func needsInput(op *wire.Operation) bool {
	for _, segment := range op.Route.Segments {
		if strings.HasPrefix(segment, "{") {
			return true
		}
	}
	if op.Input == wire.NoRef {
		return false
	}
	for _, m := range op.Schema.Shape(op.Input).Members {
		if m.Required {
			return true
		}
	}
	return false
}

// request makes the request for an operation without input, and returns what type its answer must have.
func request(t *testing.T, endpoint string, svc *wire.Service, op *wire.Operation, p wire.Protocol) (r *http.Request, body, answer string) {
	t.Helper()
	method, target := http.MethodPost, "/"
	header := map[string]string{}
	switch p {
	case wire.AWSJSON:
		header["X-Amz-Target"], header["Content-Type"] = svc.TargetPrefix+"."+op.Name, "application/x-amz-json-"+svc.JSONVersion
		body, answer = "{}", "application/x-amz-json-"+svc.JSONVersion
	case wire.Query:
		header["Content-Type"] = "application/x-www-form-urlencoded"
		body, answer = "Action="+op.Name+"&Version="+svc.APIVersion, "text/xml"
	case wire.RPCv2CBOR:
		target = "/service/" + svc.TargetPrefix + "/operation/" + op.Name
		header["Smithy-Protocol"], header["Content-Type"] = "rpc-v2-cbor", "application/cbor"
		body, answer = "\xa0", "application/cbor"
	default:
		method, target = op.Route.Method, "/"+strings.Join(op.Route.Segments, "/")
		if len(op.Route.Query) > 0 {
			target += "?" + strings.Join(op.Route.Query, "&")
		}
		answer = map[wire.Protocol]string{wire.RESTJSON: "application/json", wire.RESTXML: "application/xml"}[p]
	}
	r, err := http.NewRequestWithContext(t.Context(), method, endpoint+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		r.Header.Set(k, v)
	}
	return r, body, answer
}

// TestEveryProtocol calls one operation of every service in each protocol that its model lists.
func TestEveryProtocol(t *testing.T) {
	cloud := crofttest.New(t)
	creds := sigv4.Credentials{AccessKey: cloud.Credentials.AccessKeyID, Secret: cloud.Credentials.SecretAccessKey}
	calls := 0
	for _, d := range app.Services(service.Deps{}, nil, nil, lambda.Limits{}) {
		op := simple(d.API)
		if op == nil {
			t.Errorf("%s has no operation to ask", d.API.Name)
			continue
		}
		for _, p := range d.API.Protocols {
			r, body, want := request(t, cloud.Endpoint(), d.API, op, p)
			sigv4.Sign(r, []byte(body), creds, cloud.Region(), d.API.SigningName, clock.Real().Now())
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
			if got := resp.Header.Get("Content-Type"); err != nil || resp.Body.Close() != nil || resp.StatusCode != http.StatusOK || !strings.HasPrefix(got, want) || want == "" {
				t.Errorf("%s:%s in %s: %d %s %.200q %v, want %s", d.API.Name, op.Name, p, resp.StatusCode, got, answer, err, want)
			}
			calls++
		}
	}
	if calls < 10 {
		t.Errorf("only %d calls", calls)
	}
}

// tailScript follows a log group with the SDK for Python. The SDK puts "stream-" before the endpoint's name; that names below and beside
// localhost lead to this machine is the resolver's matter elsewhere, and the script's here.
const tailScript = `
import json, socket, sys, threading, boto3
from botocore.config import Config
resolve = socket.getaddrinfo
hosts = set()
def mine(host, *a, **k):
    hosts.add(host)
    return resolve('127.0.0.1' if host.endswith('localhost') else host, *a, **k)
socket.getaddrinfo = mine
port, arn = sys.argv[1:]
logs = boto3.client('logs', region_name='us-east-1', endpoint_url='http://localhost:' + port,
                    aws_access_key_id=sys.stdin.readline().strip(), aws_secret_access_key=sys.stdin.readline().strip(), config=Config(retries={'total_max_attempts': 1}))
logs.create_log_group(logGroupName='app')
logs.create_log_stream(logGroupName='app', logStreamName='s')
answer = logs.start_live_tail(logGroupIdentifiers=[arn], logEventFilterPattern='hello')
assert answer['ResponseMetadata']['HTTPStatusCode'] == 200, answer
import time
for event in answer['responseStream']:
    if 'sessionStart' in event:
        assert event['sessionStart']['logGroupIdentifiers'] == [arn], event
        now = int(time.time() * 1000)
        logs.put_log_events(logGroupName='app', logStreamName='s', logEvents=[
            {'timestamp': now, 'message': 'hello one'}, {'timestamp': now, 'message': 'other'}, {'timestamp': now + 1, 'message': 'hello two'}])
    results = event.get('sessionUpdate', {}).get('sessionResults')
    if results:
        print(json.dumps([[r['logStreamName'], r['message']] for r in results]), event['sessionUpdate']['sessionMetadata'], 'stream-localhost' in hosts, flush=True)
        break
sys.stdin.readline()
ended = 0
for event in answer['responseStream']:
    ended += 1
print('ended', flush=True)
`

func TestLiveTail(t *testing.T) {
	if exec.Command("python3", "-c", "import boto3").Run() != nil {
		t.Skip("SKIPPED, StartLiveTail is not tried with an SDK: there is no python3 with boto3")
	}
	cloud, err := croft.New(t.Context(), croft.Options{}) // the test closes it
	if err != nil {
		t.Fatal(err)
	}
	creds, err := cloud.Credentials(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(strings.TrimPrefix(cloud.Endpoint(), "http://"), ":")
	cmd := exec.CommandContext(t.Context(), "python3", "-c", tailScript, port, "arn:aws:logs:us-east-1:"+cloud.Account()+":log-group:app")
	cmd.Env = append(os.Environ(), "AWS_CONFIG_FILE=/nonexistent", "AWS_EC2_METADATA_DISABLED=true", "NO_PROXY=*")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Wait() }()
	if _, err := io.WriteString(in, creds.AccessKeyID+"\n"+creds.SecretAccessKey+"\n"); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	const want = `[["s", "hello one"], ["s", "hello two"]] {'sampled': False} True`
	if !lines.Scan() || lines.Text() != want {
		t.Errorf("%q %s", lines.Text(), &stderr)
	}
	// The stream ends with the cloud.
	if _, err := io.WriteString(in, "\n"); err != nil {
		t.Fatal(err)
	}
	if err := cloud.Close(); err != nil {
		t.Error(err)
	}
	if !lines.Scan() || lines.Text() != "ended" {
		t.Errorf("%q %s", lines.Text(), &stderr)
	}
}
