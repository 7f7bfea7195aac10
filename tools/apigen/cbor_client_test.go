package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"croft/internal/awsapi/logs"
	"croft/internal/awsapi/sqs"
	"croft/internal/cloud"
	"croft/internal/sigv4"
	"croft/internal/wire"
)

// cborScript calls SQS and CloudWatch Logs with the SDK for Python in CBOR, which their models do not list: the script makes copies of the
// models that list nothing else.
const cborScript = `
import gzip, json, os, sys, glob, botocore, botocore.session
from botocore.config import Config
folder = sys.argv[2]
data = os.path.join(os.path.dirname(botocore.__file__), 'data')
for name in ['sqs', 'logs']:
    file = sorted(glob.glob(os.path.join(data, name, '*', 'service-2.json.gz')))[-1]
    model = json.load(gzip.open(file))
    model['metadata']['protocol'] = 'smithy-rpc-v2-cbor'
    model['metadata']['protocols'] = ['smithy-rpc-v2-cbor']
    to = os.path.join(folder, name, os.path.basename(os.path.dirname(file)))
    os.makedirs(to)
    json.dump(model, open(os.path.join(to, 'service-2.json'), 'w'))
s = botocore.session.Session()
loader = botocore.loaders.Loader(extra_search_paths=[data], include_default_search_paths=False)
loader.search_paths.insert(0, folder)
s.register_component('data_loader', loader)
def client(name):
    return s.create_client(name, region_name='us-east-1', endpoint_url=sys.argv[1], aws_access_key_id='AKIDEXAMPLE', aws_secret_access_key='secret',
                           config=Config(retries={'total_max_attempts': 1}, inject_host_prefix=False))
sqs, logs = client('sqs'), client('logs')
out = {}
def get(name, f):
    try:
        r = f()
        out[name] = {k: v for k, v in r.items() if k != 'ResponseMetadata'}
    except Exception as e:
        r = getattr(e, 'response', {})
        out[name] = [type(e).__name__, str(e) if not r else r.get('Error'), r.get('ResponseMetadata', {}).get('HTTPStatusCode')]
get('send', lambda: sqs.send_message(QueueUrl='u', MessageBody='ä', DelaySeconds=7, MessageAttributes={'b': {'DataType': 'Binary', 'BinaryValue': b'\x01\xff'}}))
get('empty', lambda: sqs.purge_queue(QueueUrl='u'))
get('error', lambda: sqs.delete_queue(QueueUrl='u'))
get('missing', lambda: sqs.list_queue_tags(QueueUrl='u'))
def tail():
    events = []
    try:
        for e in logs.start_live_tail(logGroupIdentifiers=['arn:aws:logs:us-east-1:000000000000:log-group:a'])['responseStream']:
            events.append(e)
    except Exception as e:
        events.append(str(e))
    return {'events': events}
get('tail', tail)
print(json.dumps(out, default=str))
`

type cborQueues struct{ sqs.Unimplemented }

func (cborQueues) SendMessage(_ context.Context, in *sqs.SendMessageInput) (*sqs.SendMessageOutput, error) {
	return &sqs.SendMessageOutput{MessageId: wire.Ptr(in.MessageBody + string(rune('0'+*in.DelaySeconds))), MD5OfMessageBody: wire.Ptr(string(in.MessageAttributes["b"].BinaryValue[:1]))}, nil
}

func (cborQueues) PurgeQueue(context.Context, *sqs.PurgeQueueInput) (*sqs.PurgeQueueOutput, error) {
	return &sqs.PurgeQueueOutput{}, nil
}

func (cborQueues) DeleteQueue(context.Context, *sqs.DeleteQueueInput) (*sqs.DeleteQueueOutput, error) {
	return nil, sqs.NewQueueDoesNotExist("The specified queue does not exist.")
}

type cborLogs struct{ logs.Unimplemented }

func (cborLogs) StartLiveTail(_ context.Context, in *logs.StartLiveTailInput) (*logs.StartLiveTailOutput, error) {
	return &logs.StartLiveTailOutput{ResponseStream: func(yield func(*logs.StartLiveTailResponseStream, error) bool) {
		start := &logs.LiveTailSessionStart{LogGroupIdentifiers: in.LogGroupIdentifiers}
		update := &logs.LiveTailSessionUpdate{SessionResults: []logs.LiveTailSessionLogEvent{{Message: wire.Ptr("m"), Timestamp: wire.Ptr(time.Unix(7, 0).UnixMilli())}}}
		if yield(&logs.StartLiveTailResponseStream{SessionStart: start}, nil) && yield(&logs.StartLiveTailResponseStream{SessionUpdate: update}, nil) {
			yield(nil, logs.NewSessionTimeoutException("over"))
		}
	}}, nil
}

// inCBOR returns the service as it would be if its model listed CBOR alone.
func inCBOR(svc *wire.Service) *wire.Service {
	out := *svc
	out.Protocols = []wire.Protocol{wire.RPCv2CBOR}
	return &out
}

func serveCBOR(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	scope, _ := sigv4.Parse(r)
	svc, api := inCBOR(sqsAPI), any(cborQueues{})
	if scope.Service == "logs" {
		svc, api = inCBOR(logsAPI), cborLogs{}
	}
	x, merr := wire.Match(svc, r, body)
	var in, out any
	if err == nil {
		err = merr
	}
	if err == nil {
		in, err = x.Decode()
	}
	if err == nil {
		out, err = x.Op.Invoke(r.Context(), api, in)
	}
	if err != nil {
		x.EncodeError(w, "the-id", err.(*cloud.Error))
		return
	}
	_ = x.Encode(w, "the-id", out)
}

func TestBotocoreClientInCBOR(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(serveCBOR))
	defer srv.Close()
	cmd := exec.Command("python3", "-c", cborScript, srv.URL, t.TempDir())
	cmd.Env = append(os.Environ(), "AWS_CONFIG_FILE=/nonexistent", "AWS_EC2_METADATA_DISABLED=true", "NO_PROXY=127.0.0.1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	answer, err := cmd.Output()
	if err != nil {
		t.Skipf("SKIPPED, CBOR is not checked with botocore's client: %v %s", err, stderr.String())
	}
	var got map[string]any
	if err := json.Unmarshal(answer, &got); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"send":    `{"MD5OfMessageBody":"\u0001","MessageId":"ä7"}`,
		"empty":   `{}`,
		"error":   `["QueueDoesNotExist",{"Code":"AWS.SimpleQueueService.NonExistentQueue","Message":"The specified queue does not exist.","QueryErrorCode":"QueueDoesNotExist","Type":"Sender"},400]`,
		"missing": `["ClientError",{"Code":"NotImplemented","Message":"croft does not implement sqs:ListQueueTags.","QueryErrorCode":"NotImplemented","Type":"Receiver"},501]`,
		"tail": `{"events":[{"sessionStart":{"logGroupIdentifiers":["arn:aws:logs:us-east-1:000000000000:log-group:a"]}},` +
			`{"sessionUpdate":{"sessionResults":[{"message":"m","timestamp":7000}]}},"An error occurred (SessionTimeoutException) when calling the StartLiveTail operation: over"]}`,
	} {
		text, err := json.Marshal(got[name])
		if err != nil || string(text) != want {
			t.Errorf("%s:\ngot  %s\nwant %s", name, strings.TrimSpace(string(text)), want)
		}
	}
}
