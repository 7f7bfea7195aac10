package sns

import (
	"testing"
	"time"
)

func TestPauses(t *testing.T) {
	p, err := readSubscriptionPolicy(`{"healthyRetryPolicy":{"minDelayTarget":2,"maxDelayTarget":8,"numRetries":6,"numNoDelayRetries":1,"numMinDelayRetries":1,` +
		`"numMaxDelayRetries":1,"backoffFunction":"geometric"}}`)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []time.Duration{0, 2, 2, 4, 8, 8} {
		if got, more := p.Healthy.pause(i + 1); !more || got.Round(time.Millisecond) != want*time.Second {
			t.Errorf("after %d failures: %v, %v", i+1, got, more)
		}
	}
	if _, more := p.Healthy.pause(7); more {
		t.Error("there are too many retries")
	}
}

func FuzzDeliveryPolicy(f *testing.F) {
	f.Add(`{"healthyRetryPolicy":{"numRetries":100,"backoffFunction":"exponential"},"requestPolicy":null}`)
	f.Add(`{"http":{"defaultHealthyRetryPolicy":{"minDelayTarget":1,"maxDelayTarget":3600}}}`)
	f.Fuzz(func(t *testing.T, source string) {
		ofTopic, err := readTopicPolicy(source)
		if err != nil {
			ofTopic = &topicPolicy{}
		}
		p, err := readSubscriptionPolicy(source)
		if err != nil {
			p = &subscriptionPolicy{}
		}
		healthy := p.effective(ofTopic).Healthy
		for failures := 1; ; failures++ {
			pause, more := healthy.pause(failures)
			if !more {
				break
			}
			if pause < 0 || pause > maxDelay*time.Second || failures > maxRetries {
				t.Fatalf("%v after %d failures", pause, failures)
			}
		}
	})
}
