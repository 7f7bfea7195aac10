package sigv4

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os/exec"
	"testing"
	"time"
)

// signScript signs requests with botocore and prints them.
const signScript = `
import json, sys
from botocore.auth import SigV4Auth, SigV4QueryAuth, S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
creds = Credentials('AKIDEXAMPLE', 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY', 'the+token/==')
out = []
paths = ['/', '/a/b', '/a%20b/c%2Fd', '/x//y/./z/../w/', '/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A1%3Afunction%3Af/invocations', '/~tilde/-._%21%24%26%27%28%29%2A%2B%2C%3B%3D%3A%40', '/%C3%A4']
queries = ['', '?b=2&a=1&a=0', '?flag', '?empty=&x=%20%2B%2F', '?X-Foo=1&x-foo=2']
for service in ['sqs', 'lambda', 's3']:
    for path in paths:
        for query in queries:
            for presign in [False, True]:
                body = b'' if presign else b'{"a":"\xc3\xa4"}'
                r = AWSRequest(method='GET' if presign else 'POST', url='http://127.0.0.1:4566' + path + query, data=body)
                if not presign:
                    r.headers['Content-Type'] = 'application/x-amz-json-1.0'
                    r.headers['X-Amz-Meta-Odd'] = '  a   b '
                kind = (S3SigV4QueryAuth if service == 's3' else SigV4QueryAuth) if presign else (S3SigV4Auth if service == 's3' else SigV4Auth)
                kind(creds, service, 'eu-central-1').add_auth(r)
                p = r.prepare()
                out.append(dict(method=p.method, url=p.url, headers={k: (v.decode() if isinstance(v, bytes) else v) for k, v in p.headers.items()}, body=body.decode()))
json.dump(out, sys.stdout)
`

// TestBotocoreSignatures verifies what the SDK for Python signs: every service's rules, odd paths and queries, both forms.
func TestBotocoreSignatures(t *testing.T) {
	cmd := exec.Command("python3", "-c", signScript)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	answer, err := cmd.Output()
	if err != nil {
		t.Skipf("SKIPPED, not checked against botocore: python3 with botocore: %v %s", err, stderr.String())
	}
	var requests []struct {
		Method, URL, Body string
		Headers           map[string]string
	}
	if err := json.Unmarshal(answer, &requests); err != nil {
		t.Fatal(err)
	}
	if len(requests) < 200 {
		t.Fatalf("only %d requests", len(requests))
	}
	for _, c := range requests {
		r, err := http.NewRequest(c.Method, c.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range c.Headers {
			r.Header.Set(k, v)
		}
		scope, ok := Parse(r)
		if !ok {
			t.Fatalf("%s %s: no scope", c.Method, c.URL)
		}
		// botocore signs at the machine's time, which the request itself tells.
		stamp := r.Header.Get("X-Amz-Date")
		if scope.Presigned {
			stamp = r.URL.Query().Get("X-Amz-Date")
		}
		id, cerr := Verify(r, []byte(c.Body), at(t, stamp).Add(time.Minute), exampleKeys)
		if cerr != nil {
			t.Errorf("%s %s: %v", c.Method, c.URL, cerr)
			continue
		}
		if !id.Verified || id.Token != "the+token/==" || id.Region != "eu-central-1" {
			t.Errorf("%+v", id)
		}
	}
}
