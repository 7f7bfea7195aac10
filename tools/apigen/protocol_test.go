package main

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"croft/internal/awsapi/apigatewayv2"
	"croft/internal/awsapi/cloudformation"
	"croft/internal/awsapi/dynamodb"
	"croft/internal/awsapi/iam"
	"croft/internal/awsapi/lambda"
	"croft/internal/awsapi/logs"
	"croft/internal/awsapi/sns"
	"croft/internal/awsapi/sqs"
	"croft/internal/awsapi/sts"
	"croft/internal/cloud"
	"croft/internal/wire"
)

// request is one request to a generated API, in the parts that tests vary.
type request struct {
	svc    *wire.Service
	method string // POST unless given
	target string // the URL; "/" unless given
	op     string // X-Amz-Target's operation
	form   bool
	header [2]string
	body   string
}

func (c request) match() (*wire.Exchange, error) {
	method, target := c.method, c.target
	if method == "" {
		method = "POST"
	}
	if target == "" {
		target = "/"
	}
	r := httptest.NewRequest(method, target, nil)
	if c.op != "" {
		r.Header.Set("X-Amz-Target", c.svc.TargetPrefix+"."+c.op)
	}
	if c.form {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	}
	if c.header[0] != "" {
		r.Header.Set(c.header[0], c.header[1])
	}
	return wire.Match(c.svc, r, []byte(c.body))
}

// answer returns what the request decodes to as JSON, or the answer to it: status and body.
func (c request) answer(t *testing.T) string {
	t.Helper()
	x, err := c.match()
	var in any
	if err == nil {
		in, err = x.Decode()
	}
	if err == nil {
		text, jerr := json.Marshal(in)
		if jerr != nil {
			t.Fatal(jerr)
		}
		return strings.ReplaceAll(string(text), `"`, "'")
	}
	cerr, ok := err.(*cloud.Error)
	if !ok {
		t.Fatalf("%T %v", err, err)
	}
	w := httptest.NewRecorder()
	x.EncodeError(w, "the-id", cerr)
	out := strings.TrimPrefix(w.Body.String(), "<?xml version=\"1.0\"?>\n")
	for _, h := range []string{"X-Amzn-Errortype", "X-Amzn-Query-Error"} {
		if v := w.Header().Get(h); v != "" {
			out = h + ": " + v + " " + out
		}
	}
	return strings.Join([]string{w.Result().Status[:3], out}, " ")
}

var (
	sqsAPI, snsAPI, ddbAPI, lambdaAPI = sqs.Service(), sns.Service(), dynamodb.Service(), lambda.Service()
	iamAPI, stsAPI, cfnAPI, logsAPI   = iam.Service(), sts.Service(), cloudformation.Service(), logs.Service()
	gwAPI                             = apigatewayv2.Service()
)

const url = "http://127.0.0.1:4566/000000000000/q"

func TestRequests(t *testing.T) {
	for _, c := range []struct {
		name string
		request
		want string // a part of the answer
	}{
		{"json", request{svc: sqsAPI, op: "GetQueueUrl", body: `{"QueueName":"q"}`}, `{'QueueName':'q','QueueOwnerAWSAccountId':null}`},
		{"json, maps and blobs", request{svc: sqsAPI, op: "SendMessage", body: `{"QueueUrl":"u","MessageBody":"a\u00e4\ud83d\ude00\n","DelaySeconds":5,"Unknown":[{"x":1}],"MessageAttributes":{"a":{"DataType":"Binary","BinaryValue":"AQI="}}}`},
			`'MessageBody':'aä😀\n','DelaySeconds':5,'MessageAttributes':{'a':{'StringValue':null,'BinaryValue':'AQI='`},
		{"json, null is absent", request{svc: sqsAPI, op: "ListQueues", body: ` { "QueueNamePrefix" : null , "MaxResults":1.0e1} `}, `{'QueueNamePrefix':null,'NextToken':null,'MaxResults':10}`},
		{"query", request{svc: sqsAPI, form: true, body: "Action=SendMessage&Version=2012-11-05&QueueUrl=u&MessageBody=a+b%26&MessageAttribute.1.Name=n&MessageAttribute.1.Value.DataType=String&MessageAttribute.1.Value.StringValue=v"},
			`{'QueueUrl':'u','MessageBody':'a b\u0026','DelaySeconds':null,'MessageAttributes':{'n':{'StringValue':'v'`},
		{"query, lists and maps", request{svc: sqsAPI, form: true, body: "Action=CreateQueue&QueueName=q&Attribute.1.Name=DelaySeconds&Attribute.1.Value=5&Tag.2.Key=k&Tag.2.Value=v"}, `{'QueueName':'q','Attributes':{'DelaySeconds':'5'},'Tags':{'k':'v'}}`},
		{"query, batch", request{svc: sqsAPI, form: true, body: "Action=DeleteMessageBatch&QueueUrl=u&DeleteMessageBatchRequestEntry.1.Id=a&DeleteMessageBatchRequestEntry.1.ReceiptHandle=r&DeleteMessageBatchRequestEntry.10.Id=c&DeleteMessageBatchRequestEntry.10.ReceiptHandle=t&DeleteMessageBatchRequestEntry.2.Id=b&DeleteMessageBatchRequestEntry.2.ReceiptHandle=s"},
			`[{'Id':'a','ReceiptHandle':'r'},{'Id':'b','ReceiptHandle':'s'},{'Id':'c','ReceiptHandle':'t'}]`},
		{"query to the queue's own URL", request{svc: sqsAPI, method: "GET", target: url + "?Action=SendMessage&MessageBody=x"}, `'QueueUrl':'http://127.0.0.1:4566/000000000000/q','MessageBody':'x'`},
		{"query, not flattened", request{svc: snsAPI, form: true, body: "Action=Publish&Version=2010-03-31&TopicArn=t&Message=m&MessageAttributes.entry.1.Name=n&MessageAttributes.entry.1.Value.DataType=String"}, `'MessageAttributes':{'n':{'DataType':'String'`},
		{"query, members", request{svc: cfnAPI, form: true, body: "Action=CreateStack&Version=2010-05-15&StackName=s&Parameters.member.1.ParameterKey=k&Parameters.member.1.UsePreviousValue=true&Capabilities.member.1=CAPABILITY_IAM&Tags="},
			`'Parameters':[{'ParameterKey':'k','ParameterValue':null,'UsePreviousValue':true`},
		{"rest", request{svc: lambdaAPI, method: "GET", target: "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Af/configuration?Qualifier=1"}, `{'FunctionName':'arn:aws:lambda:us-east-1:000000000000:function:f','Qualifier':'1'}`},
		{"rest, slash at the end", request{svc: lambdaAPI, method: "GET", target: "/2015-03-31/functions/?MaxItems=10"}, `'MaxItems':10}`},
		{"rest, body", request{svc: lambdaAPI, target: "/2015-03-31/functions", body: `{"FunctionName":"f","Role":"arn:aws:iam::000000000000:role/r","Code":{"ZipFile":"AQID"},"Environment":{"Variables":{"AB":"c"}},"Timeout":3}`}, `'ZipFile':'AQID'`},
		{"rest, payload", request{svc: lambdaAPI, target: "/2015-03-31/functions/f/invocations", header: [2]string{"X-Amz-Invocation-Type", "Event"}, body: `{"a":1}`}, `'FunctionName':'f','InvocationType':'Event','LogType':null,'ClientContext':null,'DurableExecutionName':null,'Payload':'eyJhIjoxfQ=='`},
		{"rest, list in the query", request{svc: lambdaAPI, method: "DELETE", target: "/2017-03-31/tags/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Af?tagKeys=a&tagKeys=b"}, `'TagKeys':['a','b']`},
		{"rest, lower case names", request{svc: gwAPI, target: "/v2/apis", body: `{"name":"n","protocolType":"HTTP","corsConfiguration":{"allowOrigins":["*"]}}`}, `'AllowOrigins':['*']`},
		{"documents nest", request{svc: ddbAPI, op: "PutItem", body: `{"TableName":"tab","Item":{"a":{"M":{"b":{"L":[{"N":"1"},{"NULL":true},{"BS":["AQ=="]}]}}}}}`}, `'BS':['AQ==']`},

		{"unknown operation", request{svc: sqsAPI, op: "Nonsense", body: `{}`}, `400 X-Amzn-Query-Error: UnknownOperationException;Sender {"__type":"com.amazon.coral.service#UnknownOperationException","Message":"\"AmazonSQS.Nonsense\" in the header X-Amz-Target is no operation of sqs."}`},
		{"operation not there", request{svc: logsAPI, op: "CreateDelivery", body: `{}`}, `croft does not implement logs:CreateDelivery.`},
		{"query, unknown operation", request{svc: iamAPI, form: true, body: "Action=Nonsense&Version=2010-05-08"}, `<Code>InvalidAction</Code><Message>Could not find operation Nonsense for version 2010-05-08</Message>`},
		{"query, wrong version", request{svc: iamAPI, form: true, body: "Action=GetRole"}, `<Code>InvalidAction</Code><Message>Could not find operation GetRole for version NO_VERSION_SPECIFIED</Message>`},
		{"query, no action", request{svc: iamAPI, form: true}, `400 <ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Sender</Type><Code>MissingAction</Code>`},
		{"query, operation not there", request{svc: iamAPI, form: true, body: "Action=CreateUser&Version=2010-05-08"}, `501 <ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Receiver</Type><Code>NotImplemented</Code><Message>croft does not implement iam:CreateUser.</Message></Error><RequestId>the-id</RequestId></ErrorResponse>`},
		{"rest, no route", request{svc: lambdaAPI, target: "/nonsense"}, `404 X-Amzn-Errortype: UnknownOperationException {"message":"POST /nonsense is no operation of lambda."}`},
		{"rest, operation not there", request{svc: lambdaAPI, method: "GET", target: "/2025-11-30/capacity-providers"}, `501 X-Amzn-Errortype: NotImplemented {"message":"croft does not implement lambda:ListCapacityProviders."}`},
		{"protocol not there", request{svc: sqsAPI, header: [2]string{"Smithy-Protocol", "rpc-v2-cbor"}}, `croft does not speak the protocol rpcv2Cbor with the service sqs.`},

		{"missing", request{svc: ddbAPI, op: "GetItem", body: `{"TableName":"tab"}`}, `{"__type":"com.amazon.coral.validate#ValidationException","message":"1 validation error detected: Value null at 'key' failed to satisfy constraint: Member must not be null"}`},
		{"two are missing", request{svc: iamAPI, form: true, body: "Action=CreateRole&Version=2010-05-08"}, `2 validation errors detected: Value null at 'roleName' failed to satisfy constraint: Member must not be null; Value null at 'assumeRolePolicyDocument' failed to satisfy constraint: Member must not be null`},
		{"missing for SQS", request{svc: sqsAPI, op: "SendMessage", body: `{"QueueUrl":"u"}`}, `400 X-Amzn-Query-Error: MissingParameter;Sender {"__type":"com.amazonaws.sqs#MissingRequiredParameterException","message":"The request must contain the parameter MessageBody."}`},
		{"missing for SQS, query", request{svc: sqsAPI, form: true, body: "Action=SendMessage&QueueUrl=u"}, `<Code>MissingParameter</Code><Message>The request must contain the parameter MessageBody.</Message><Detail></Detail></Error>`},
		{"missing below a map", request{svc: snsAPI, form: true, body: "Action=Publish&Version=2010-03-31&TopicArn=t&Message=m&MessageAttributes.entry.1.Name=attr1&MessageAttributes.entry.1.Value.StringValue=x"},
			`<Code>ValidationError</Code><Message>1 validation error detected: Value null at 'messageAttributes.attr1.member.dataType' failed to satisfy constraint: Member must not be null</Message>`},
		{"too large", request{svc: logsAPI, op: "FilterLogEvents", body: `{"logGroupName":"g","limit":10001}`}, `400 {"__type":"InvalidParameterException","message":"1 validation error detected: Value '10001' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 10000"}`},
		{"pattern", request{svc: stsAPI, form: true, body: "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A000000000000%3Arole%2Fr&RoleSessionName=Session1:2"},
			`<Code>ValidationError</Code><Message>1 validation error detected: Value 'Session1:2' at 'roleSessionName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\w+=,.@-]*</Message>`},
		{"enumeration", request{svc: lambdaAPI, target: "/2015-03-31/event-source-mappings", body: `{"FunctionName":"f","StartingPosition":"invalid"}`}, `400 X-Amzn-Errortype: ValidationException {"message":"1 validation error detected: Value 'invalid' at 'startingPosition' failed to satisfy constraint: Member must satisfy enum value set: [`},
		{"elements", request{svc: lambdaAPI, target: "/2015-03-31/functions", body: `{"FunctionName":"f","Role":"arn:aws:iam::000000000000:role/r","Code":{},"Architectures":["invalidarch"]}`},
			`Value '[invalidarch]' at 'architectures' failed to satisfy constraint: Member must satisfy constraint: [Member must satisfy enum value set: [x86_64, arm64], Member must not be null]`},
		{"hidden values", request{svc: iamAPI, form: true, body: "Action=GetRole&Version=2010-05-08&RoleName=a/b"}, `1 validation error detected: Value at 'roleName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\w+=,.@-]+`},
		{"several elements", request{svc: iamAPI, form: true, body: "Action=TagRole&Version=2010-05-08&RoleName=r&Tags.member.1.Key=k&Tags.member.1.Value=v&Tags.member.2.Value=v"}, `Value null at 'tags.2.member.key' failed`},
		{"null in a list", request{svc: sqsAPI, op: "GetQueueAttributes", body: `{"QueueUrl":"u","AttributeNames":["All",null]}`}, `The request must contain the parameter AttributeNames.2.`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.answer(t); !strings.Contains(got, c.want) {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestHostileRequests(t *testing.T) {
	deep := strings.Repeat(`{"M":{"a":`, 500)
	for _, c := range []struct {
		name string
		request
		want string
	}{
		{"empty", request{svc: sqsAPI, op: "ListQueues"}, "SerializationException"},
		{"array", request{svc: sqsAPI, op: "ListQueues", body: "[]"}, `"Message":"Start of list found where not expected"`},
		{"cut off", request{svc: sqsAPI, op: "ListQueues", body: `{"QueueNamePrefix":"a`}, "string without an end"},
		{"garbage behind", request{svc: sqsAPI, op: "ListQueues", body: `{} {}`}, "unexpected data after the end at byte 4"},
		{"trailing comma", request{svc: sqsAPI, op: "ListQueues", body: `{"MaxResults":1,}`}, "trailing comma"},
		{"duplicate", request{svc: sqsAPI, op: "ListQueues", body: `{"MaxResults":1,"MaxResults":2}`}, "duplicate field 'MaxResults'"},
		{"duplicate key", request{svc: sqsAPI, op: "CreateQueue", body: `{"QueueName":"q","tags":{"a":"1","a":"2"}}`}, "duplicate field 'a'"},
		{"not UTF-8", request{svc: sqsAPI, op: "ListQueues", body: "{\"QueueNamePrefix\":\"\xff\"}"}, "invalid UTF-8"},
		{"lone surrogate", request{svc: sqsAPI, op: "ListQueues", body: `{"QueueNamePrefix":"\ud800"}`}, "invalid \\\\u escape"},
		{"control character", request{svc: sqsAPI, op: "ListQueues", body: "{\"QueueNamePrefix\":\"\n\"}"}, "control character"},
		{"text for a number", request{svc: sqsAPI, op: "ListQueues", body: `{"MaxResults":"1"}`}, `{"__type":"com.amazon.coral.service#SerializationException","Message":"STRING_VALUE can not be converted to an Integer"}`},
		{"number for a text", request{svc: sqsAPI, op: "ListQueues", body: `{"QueueNamePrefix":1}`}, "NUMBER_VALUE can not be converted to a String"},
		{"number for a text, DynamoDB", request{svc: ddbAPI, op: "GetItem", body: `{"TableName":"tab","Key":{"a":{"N":1}}}`}, "NUMBER_VALUE cannot be converted to String"},
		{"huge number", request{svc: sqsAPI, op: "ListQueues", body: `{"MaxResults":99999999999}`}, "NUMBER_VALUE can not be converted to an Integer"},
		{"endless number", request{svc: sqsAPI, op: "ListQueues", body: `{"MaxResults":` + strings.Repeat("9", 10000) + `}`}, "number too long"},
		{"huge exponent", request{svc: logsAPI, op: "FilterLogEvents", body: `{"startTime":1e999999999}`}, "DECIMAL_VALUE can not be converted to a Long"},
		{"structure for a text", request{svc: sqsAPI, op: "ListQueues", body: `{"QueueNamePrefix":{}}`}, "Start of structure or map found where not expected."},
		{"text for a list", request{svc: sqsAPI, op: "GetQueueAttributes", body: `{"AttributeNames":"All"}`}, "Expected list or null"},
		{"text for a map", request{svc: sqsAPI, op: "CreateQueue", body: `{"Attributes":"All"}`}, "Expected null"},
		{"base64", request{svc: ddbAPI, op: "GetItem", body: `{"TableName":"tab","Key":{"a":{"B":"x"}}}`}, "Base64 encoded length is expected a multiple of 4 bytes but found: 1"},
		{"depth", request{svc: ddbAPI, op: "PutItem", body: `{"TableName":"tab","Item":{"a":` + deep}, "nesting too deep"},
		{"depth of the unknown", request{svc: sqsAPI, op: "ListQueues", body: `{"x":` + strings.Repeat("[", 100000)}, "nesting too deep"},
		{"many values", request{svc: sqsAPI, op: "GetQueueAttributes", body: `{"AttributeNames":[` + strings.Repeat(`"",`, 1<<20) + `""]}`}, "too many values"},
		{"many parameters", request{svc: snsAPI, form: true, body: "Action=Publish&Version=2010-03-31" + strings.Repeat("&a=b", 30000)}, "more than 20000 parameters"},
		{"the same parameter twice", request{svc: snsAPI, form: true, body: "Action=Publish&Action=Subscribe"}, "The parameter Action is given more than once."},
		{"bad escape", request{svc: snsAPI, form: true, body: "Action=Publish&a=%zz"}, "not properly URL-encoded"},
		{"text for a number in a form", request{svc: iamAPI, form: true, body: "Action=ListRoles&Version=2010-05-08&MaxItems=x"}, "<Code>MalformedInput</Code>"},
		{"huge index", request{svc: iamAPI, form: true, body: "Action=UntagRole&Version=2010-05-08&RoleName=r&TagKeys.member.99999999999999999999=x"}, `{'RoleName':'r','TagKeys':[]}`},
		{"text for a number in a query", request{svc: lambdaAPI, method: "GET", target: "/2015-03-31/functions?MaxItems=x"}, "SerializationException"},
		{"text for a structure", request{svc: lambdaAPI, target: "/2015-03-31/functions", body: `"x"`}, "expected an object"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := c.answer(t)
			if !strings.Contains(got, c.want) {
				t.Errorf("got  %.1000s\nwant %s", got, c.want)
			}
			if len(got) > 4096 {
				t.Errorf("the answer has %d bytes", len(got))
			}
		})
	}
}
