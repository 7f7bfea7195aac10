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

	"croft/internal/awsapi/apigatewayv2"
	"croft/internal/awsapi/dynamodb"
	"croft/internal/awsapi/iam"
	"croft/internal/awsapi/lambda"
	"croft/internal/awsapi/sqs"
	"croft/internal/cloud"
	"croft/internal/sigv4"
	"croft/internal/wire"
)

// clientScript calls the services below with the SDK for Python, which checks requests and answers against its own models, and
// prints what it got.
const clientScript = `
import json, sys
import botocore.session
from botocore.config import Config
s = botocore.session.Session()
def client(name):
    return s.create_client(name, region_name='us-east-1', endpoint_url=sys.argv[1], aws_access_key_id='AKIDEXAMPLE', aws_secret_access_key='secret', config=Config(retries={'max_attempts': 1}))
sqs, ddb, iam, lam, gw = map(client, ['sqs', 'dynamodb', 'iam', 'lambda', 'apigatewayv2'])
out = {}
def get(name, f):
    try:
        r = f()
        out[name] = {k: (v.read().decode() if k == 'Payload' else v) for k, v in r.items() if k != 'ResponseMetadata'}
        assert r['ResponseMetadata']['RequestId'] == 'the-id', r
    except Exception as e:
        r = getattr(e, 'response', {})
        out[name] = [type(e).__name__, r.get('Error'), r.get('ResponseMetadata', {}).get('HTTPStatusCode')]
get('sqs', lambda: sqs.get_queue_url(QueueName='q'))
get('sqs error', lambda: sqs.delete_queue(QueueUrl='u'))
get('sqs missing', lambda: sqs.purge_queue(QueueUrl='u'))
get('ddb', lambda: ddb.get_item(TableName='tab', Key={'a': {'B': b'\x01'}}))
get('ddb error', lambda: ddb.put_item(TableName='tab', Item={}))
get('iam', lambda: iam.get_role(RoleName='r'))
get('iam error', lambda: iam.list_role_tags(RoleName='r'))
get('lambda', lambda: lam.invoke(FunctionName='f', Payload=b'[1]', LogType='Tail'))
get('lambda error', lambda: lam.get_function(FunctionName='f'))
get('gateway', lambda: gw.create_api(Name='n', ProtocolType='HTTP', Tags={'a': 'b'}))
print(json.dumps(out, default=str))
`

type ddbImpl struct{ dynamodb.Unimplemented }

func (ddbImpl) GetItem(_ context.Context, in *dynamodb.GetItemInput) (*dynamodb.GetItemOutput, error) {
	return &dynamodb.GetItemOutput{Item: in.Key}, nil
}

type iamImpl struct{ iam.Unimplemented }

func (iamImpl) GetRole(_ context.Context, in *iam.GetRoleInput) (*iam.GetRoleOutput, error) {
	return &iam.GetRoleOutput{Role: &iam.Role{RoleName: in.RoleName, Path: "/", CreateDate: time.Unix(1767323045, 0), Tags: []iam.Tag{{Key: "k", Value: "v"}}}}, nil
}

func (iamImpl) ListRoleTags(context.Context, *iam.ListRoleTagsInput) (*iam.ListRoleTagsOutput, error) {
	return nil, iam.NewNoSuchEntityException("no such role")
}

type lambdaImpl struct{ lambda.Unimplemented }

func (lambdaImpl) Invoke(_ context.Context, in *lambda.InvokeInput) (*lambda.InvokeOutput, error) {
	return &lambda.InvokeOutput{StatusCode: wire.Ptr(int32(200)), Payload: in.Payload, LogResult: in.LogType, FunctionError: wire.Ptr("Unhandled")}, nil
}

func (lambdaImpl) GetFunction(context.Context, *lambda.GetFunctionInput) (*lambda.GetFunctionOutput, error) {
	return nil, lambda.NewResourceNotFoundException("Function not found")
}

type gwImpl struct{ apigatewayv2.Unimplemented }

func (gwImpl) CreateApi(_ context.Context, in *apigatewayv2.CreateApiInput) (*apigatewayv2.CreateApiOutput, error) {
	return &apigatewayv2.CreateApiOutput{Name: &in.Name, Tags: in.Tags, CreatedDate: wire.Ptr(time.Unix(1767323045, 0))}, nil
}

type sqsImpl struct{ oneMethod }

func (sqsImpl) DeleteQueue(context.Context, *sqs.DeleteQueueInput) (*sqs.DeleteQueueOutput, error) {
	return nil, sqs.NewQueueDoesNotExist("The specified queue does not exist.")
}

// serveAll is the least of servers: it finds the service by the signature's scope.
func serveAll(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	scope, _ := sigv4.Parse(r)
	services := map[string]struct {
		svc *wire.Service
		api any
	}{"sqs": {sqsAPI, sqsImpl{}}, "dynamodb": {ddbAPI, ddbImpl{}}, "iam": {iamAPI, iamImpl{}}, "lambda": {lambdaAPI, lambdaImpl{}}, "apigateway": {gwAPI, gwImpl{}}}
	s, known := services[scope.Service]
	if err != nil || !known {
		wire.WriteError(w, r, "the-id", cloud.Errorf("UnknownService", "%s", scope.Service))
		return
	}
	x, err := wire.Match(s.svc, r, body)
	var in, out any
	if err == nil {
		in, err = x.Decode()
	}
	if err == nil {
		out, err = x.Op.Invoke(r.Context(), s.api, in)
	}
	if err != nil {
		x.EncodeError(w, "the-id", err.(*cloud.Error))
		return
	}
	_ = x.Encode(w, "the-id", out)
}

func TestBotocoreClient(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(serveAll))
	defer srv.Close()
	cmd := exec.Command("python3", "-c", clientScript, srv.URL)
	cmd.Env = append(os.Environ(), "AWS_CONFIG_FILE=/nonexistent", "AWS_EC2_METADATA_DISABLED=true", "NO_PROXY=127.0.0.1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	answer, err := cmd.Output()
	if err != nil {
		t.Skipf("SKIPPED, not checked with botocore's clients: %v %s", err, stderr.String())
	}
	var got map[string]any
	if err := json.Unmarshal(answer, &got); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"sqs":          `{"QueueUrl":"http://q"}`,
		"sqs error":    `["QueueDoesNotExist",{"Code":"AWS.SimpleQueueService.NonExistentQueue","Message":"The specified queue does not exist.","QueryErrorCode":"QueueDoesNotExist","Type":"Sender"},400]`,
		"sqs missing":  `["ClientError",{"Code":"NotImplemented","Message":"croft does not implement sqs:PurgeQueue.","QueryErrorCode":"NotImplemented","Type":"Receiver"},501]`,
		"ddb":          `{"Item":{"a":{"B":"b'\\x01'"}}}`,
		"ddb error":    `["ClientError",{"Code":"NotImplemented","Message":"croft does not implement dynamodb:PutItem."},501]`,
		"iam":          `{"Role":{"Arn":"","CreateDate":"2026-01-02 03:04:05+00:00","Path":"/","RoleId":"","RoleName":"r","Tags":[{"Key":"k","Value":"v"}]}}`,
		"iam error":    `["NoSuchEntityException",{"Code":"NoSuchEntity","Message":"no such role","Type":"Sender"},404]`,
		"lambda":       `{"FunctionError":"Unhandled","LogResult":"Tail","Payload":"[1]","StatusCode":200}`,
		"lambda error": `["ResourceNotFoundException",{"Code":"ResourceNotFoundException","Message":"Function not found"},404]`,
		"gateway":      `{"CreatedDate":"2026-01-02 03:04:05+00:00","Name":"n","Tags":{"a":"b"}}`,
	} {
		text, err := json.Marshal(got[name])
		if err != nil || string(text) != want {
			t.Errorf("%s:\ngot  %s\nwant %s", name, strings.TrimSpace(string(text)), want)
		}
	}
}
