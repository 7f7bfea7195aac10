package crash

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"croft/internal/clock"
	"croft/internal/cloud"
	"croft/internal/sigv4"
	"croft/test/harness"
)

// mostEvents bounds the events that are accepted before a kill.
const mostEvents = 40

// sendEvent invokes a function asynchronously and reports whether that was accepted.
func sendEvent(t *testing.T, c *harness.Cloud, function, id string) bool {
	t.Helper()
	body := fmt.Appendf(nil, `{"name":"%s"}`, id)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.URL+"/2015-03-31/functions/"+function+"/invocations", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Amz-Invocation-Type", "Event")
	sigv4.Sign(r, body, sigv4.Credentials{AccessKey: "test", Secret: "test"}, "us-east-1", "lambda", clock.Real().Now())
	answer, err := c.HTTP.Do(r)
	if err != nil {
		return false
	}
	if err := answer.Body.Close(); err != nil {
		t.Log(err)
	}
	return answer.StatusCode == http.StatusAccepted
}

// TestEventsSurviveKills looks for the record of every event that was accepted before a kill.
func TestEventsSurviveKills(t *testing.T) {
	c := harness.New(t, harness.Binary(t))
	c.Start()
	out := c.Deploy("test/layers/testdata/app")
	missing := map[string]bool{}
	for range max(1, kills(t)/5) {
		for range 1 + clock.Pick(mostEvents) {
			if id := cloud.NewRequestID(); sendEvent(t, c, out["Fn"], id) {
				missing[id] = true
			}
		}
		c.Kill()
		c.Start()
	}
	total := len(missing)
	c.Until("the record of every event", arriveWithin, func() bool {
		var got struct {
			Messages []struct{ Body, ReceiptHandle string }
		}
		if err := c.Call("sqs", "AmazonSQS.ReceiveMessage", map[string]any{"QueueUrl": out["Done"], "MaxNumberOfMessages": 10, "VisibilityTimeout": 600}, &got); err != nil {
			t.Fatal(err)
		}
		for _, m := range got.Messages {
			var r struct{ RequestPayload struct{ Name string } }
			if err := json.NewDecoder(strings.NewReader(m.Body)).Decode(&r); err != nil {
				t.Error(err)
			}
			delete(missing, r.RequestPayload.Name)
		}
		return len(missing) == 0
	})
	t.Logf("%d events were accepted, none is lost", total)
	if total == 0 {
		t.Error("no event was accepted")
	}
}
