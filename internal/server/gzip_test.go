package server

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"strings"
	"testing"
)

func gzipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestGzipBodies(t *testing.T) {
	w := newWorld(t)
	packed := gzipped(t, `{"QueueName":"packed"}`)
	for name, c := range map[string]struct {
		body, encoding string
		status         int
		want           string
	}{
		"gzip":      {packed, "gzip", 200, "/packed"},
		"none":      {`{"QueueName":"plain"}`, "identity", 200, "/plain"},
		"not gzip":  {`{"QueueName":"q"}`, "gzip", 400, "not what its Content-Encoding says"},
		"cut off":   {packed[:len(packed)-4], "gzip", 400, "not what its Content-Encoding says"},
		"damaged":   {packed[:15] + "xxx" + packed[18:], "gzip", 400, "not what its Content-Encoding says"},
		"other":     {packed, "br", 415, `the content encoding \"br\"`},
		"two":       {packed, "br, gzip", 415, "content encoding"},
		"too large": {gzipped(t, strings.Repeat(" ", maxBody+1)), "gzip", 413, "larger than"},
	} {
		rec := w.do(call{target: "AmazonSQS.CreateQueue", body: c.body, header: map[string]string{"Content-Encoding": c.encoding}})
		if rec.Code != c.status || !strings.Contains(rec.Body.String(), c.want) {
			t.Errorf("%s: %d %.300s", name, rec.Code, rec.Body)
		}
	}
	if w.memory.left != maxBuffered {
		t.Errorf("%d bytes of the budget are lost", maxBuffered-w.memory.left)
	}
	w.memory.left = 0
	rec := w.do(call{target: "AmazonSQS.CreateQueue", body: gzipped(t, strings.Repeat(" ", 1<<20)), header: map[string]string{"Content-Encoding": "gzip"}})
	if rec.Code != http.StatusServiceUnavailable {
		t.Errorf("without memory: %d %s", rec.Code, rec.Body)
	}
}
