package runtimes

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"croft/internal/engine/runtimeapi"
)

// collected is what a caller of a streaming function gets.
type collected struct {
	mediaType string
	streamed  bool
	body      bytes.Buffer
	// first is called at the first bytes.
	first func()
}

func (c *collected) Begin(mediaType string, streamed bool) error {
	c.mediaType, c.streamed = mediaType, streamed
	return nil
}

func (c *collected) Write(p []byte) (int, error) {
	if c.first != nil {
		c.first()
		c.first = nil
	}
	return c.body.Write(p)
}

const streamingHandler = `-- index.mjs --
import { pipeline } from 'node:stream/promises';
import { Readable } from 'node:stream';
let full = 0;
export const handler = awslambda.streamifyResponse(async (event, stream, context) => {
  switch (event) {
    case 'text': stream.setContentType('text/plain'); stream.write('a'); stream.write({ b: 1 }); stream.end('c'); break;
    case 'http': stream = awslambda.HttpResponseStream.from(stream, { statusCode: 201, headers: { x: 'y' } }); stream.write('hello'); stream.end(); break;
    case 'empty': awslambda.HttpResponseStream.from(stream, { statusCode: 204 }).end(); break;
    case 'before': throw new Error('early');
    case 'midway': stream.write('half'); throw new TypeError('late');
    case 'unfinished': stream.write('half'); break;
    case 'large': await pipeline(Readable.from((function* () { for (let i = 0; i < 80; i++) yield Buffer.alloc(100000, 97); })()), stream); break;
    case 'pressure':
      for (let i = 0; i < 100; i++) if (!stream.write(Buffer.alloc(100000, 97))) { full++; await new Promise((r) => stream.once('drain', r)); }
      stream.end(); break;
    case 'full': stream.end(String(full > 0)); break;
    case 'too late': stream.write('x'); stream.setContentType('text/plain'); break;
    case 'returns': stream.end('r'); return 5;
    case 'loses': stream.write('x'); await new Promise((r) => setTimeout(r, 5)); Promise.reject(new Error('lost')); await new Promise((r) => setTimeout(r, 9999));
  }
});
`

func TestNodeStreams(t *testing.T) {
	zeroes := strings.Repeat("\x00", 8)
	large, pressure := strings.Repeat("a", 8_000_000), strings.Repeat("a", 10_000_000)
	type want struct{ event, mediaType, body, failure string }
	wants := []want{
		{"text", "text/plain", `a{"b":1}c`, ""},
		{"http", "application/vnd.awslambda.http-integration-response", `{"statusCode":201,"headers":{"x":"y"}}` + zeroes + "hello", ""},
		{"empty", "application/vnd.awslambda.http-integration-response", `{"statusCode":204}` + zeroes, ""},
		{"before", "", "", `Error {"errorType":"Error","errorMessage":"early"}`},
		{"midway", "application/octet-stream", "half", `TypeError {"errorType":"TypeError","errorMessage":"late"}`},
		{"unfinished", "application/octet-stream", "half", `Runtime.TruncatedResponse {"errorType":"Runtime.TruncatedResponse","errorMessage":"Response stream is not finished."}`},
		{"large", "application/octet-stream", large, ""},
		{"pressure", "application/octet-stream", pressure, ""},
		{"full", "application/octet-stream", "true", ""},
		{"too late", "application/octet-stream", "x", `Runtime.InvalidStreamingOperation {"errorType":"Runtime.InvalidStreamingOperation","errorMessage":"Cannot set content-type, too late."}`},
		{"returns", "application/octet-stream", "r", ""},
		{"loses", "application/octet-stream", "x", `Runtime.UnhandledPromiseRejection {"errorType":"Runtime.UnhandledPromiseRejection","errorMessage":"Error: lost"}`},
	}
	for _, major := range []int{20, 24} {
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			f := startNode(t, nodeStart{in: nodeOf(t, major), runtime: major, code: folderOf(t, streamingHandler), handler: "index.handler"})
			if got := f.initialised(); got != "" {
				t.Fatal(got, f.log())
			}
			for _, w := range wants {
				var c collected
				got := f.invoke(runtimeapi.Invocation{Payload: []byte(`"` + w.event + `"`), Stream: &c})
				if got != w.failure || c.mediaType != w.mediaType || c.body.String() != w.body || c.streamed != (w.mediaType != "") {
					t.Errorf("%s: %q, %q streamed: %v, %.100q (%d)\n%s", w.event, got, c.mediaType, c.streamed, c.body.String(), c.body.Len(), f.log())
				}
			}
		})
	}
}

// TestNodeStreamIsNotHeldBack: the caller has the first bytes while the handler still waits for a sign that it has them.
func TestNodeStreamIsNotHeldBack(t *testing.T) {
	code := folderOf(t, `-- index.js --
const fs = require('fs');
exports.handler = awslambda.streamifyResponse(async (event, stream) => {
  stream.write('first');
  while (!fs.existsSync(event)) await new Promise((r) => setTimeout(r, 5));
  stream.end('second');
});
`)
	f := startNode(t, nodeStart{in: nodeOf(t, 20), runtime: 20, code: code, handler: "index.handler"})
	if got := f.initialised(); got != "" {
		t.Fatal(got)
	}
	sign := t.TempDir() + "/sign"
	c := collected{first: func() {
		if err := os.WriteFile(sign, nil, 0o644); err != nil {
			t.Error(err)
		}
	}}
	if got := f.invoke(runtimeapi.Invocation{Payload: []byte(`"` + sign + `"`), Stream: &c}); got != "" || c.body.String() != "firstsecond" {
		t.Errorf("%q, %q", got, c.body.String())
	}
}

func TestNodeContext(t *testing.T) {
	code := folderOf(t, `-- index.js --
exports.handler = async (event, context) => [context.clientContext, context.identity, context.tenantId, awslambda.InvokeStore.getTenantId(), context.memoryLimitInMB];
`)
	f := startNode(t, nodeStart{in: nodeOf(t, 20), runtime: 20, code: code, handler: "index.handler", fresh: true})
	if got := f.initialised(); got != "" {
		t.Fatal(got)
	}
	for _, c := range []struct {
		inv  runtimeapi.Invocation
		want string
	}{
		{runtimeapi.Invocation{ClientContext: `{"custom":{"a":"ü"}}`, Identity: `{"cognitoIdentityId":"i"}`, Tenant: "T"},
			`[{"custom":{"a":"ü"}},{"cognitoIdentityId":"i"},"T","T","128"]`},
		{runtimeapi.Invocation{}, `[null,null,null,null,"128"]`},
		{runtimeapi.Invocation{ClientContext: "{"}, `Error {"errorType":"Error","errorMessage":"Cannot parse ClientContext as json: SyntaxError: Expected property name or '}' in JSON at position 1"}`},
	} {
		c.inv.Payload = []byte("{}")
		if got := f.invoke(c.inv); got != c.want && !strings.HasPrefix(got, strings.TrimSuffix(c.want, `"}`)) {
			t.Errorf("got %s\nwant %s", got, c.want)
		}
	}
}

func TestNodeLargeEvent(t *testing.T) {
	code := folderOf(t, "-- index.js --\nexports.handler = async (event) => event;\n")
	f := startNode(t, nodeStart{in: nodeOf(t, 20), runtime: 20, code: code, handler: "index.handler"})
	if got := f.initialised(); got != "" {
		t.Fatal(got)
	}
	event, err := json.Marshal(strings.Repeat("ü", 3_000_000))
	if err != nil {
		t.Fatal(err)
	}
	for _, payload := range []string{string(event), "1", `"` + strings.Repeat("x", 70_000) + `"`} {
		if got := f.invoke(runtimeapi.Invocation{Payload: []byte(payload)}); got != payload {
			t.Errorf("%d bytes became %.100s (%d)", len(payload), got, len(got))
		}
	}
}

// TestNodeEndsWithItsServer: whoever has lost the server has nothing to be there for.
func TestNodeEndsWithItsServer(t *testing.T) {
	code := folderOf(t, "-- index.js --\nsetInterval(() => {}, 1000);\nexports.handler = async () => 1;\n")
	f := startNode(t, nodeStart{in: nodeOf(t, 20), runtime: 20, code: code, handler: "index.handler"})
	if got := f.initialised(); got != "" {
		t.Fatal(got)
	}
	f.api.Close()
	<-f.done
}
