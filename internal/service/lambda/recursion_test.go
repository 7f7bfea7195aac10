package lambda

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"croft/internal/cloud"
	"croft/internal/poller"
)

const tracedARN = "arn:aws:lambda:us-east-1:000000000000:function:f"

func TestChildTrace(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	first := childTrace("", tracedARN, now)
	root := traceField(first, "Root")
	for n := 2; n <= 20; n++ {
		next := childTrace(cloud.ParseTrace(first), tracedARN, now)
		if got := traceField(next, "Root"); got != root {
			t.Fatalf("another trace: %s", next)
		}
		if got := lineage(next); len(got) != 1 || got[0].count != min(n, maxInvocations) {
			t.Fatalf("after %d: %s", n, next)
		}
		first = next
	}
	for i := range 100 {
		first = childTrace(cloud.ParseTrace(first), fmt.Sprint(tracedARN, i), now)
		if cloud.ParseTrace(first) != first {
			t.Fatalf("after %d other functions it is not taken: %s", i, first)
		}
	}
	if n := len(lineage(first)); n != maxLineage {
		t.Errorf("%d functions are counted", n)
	}
}

func TestMergeTraces(t *testing.T) {
	const root = "Root=1-6b049dc9-6a92cbaeb82f341f2b12ecef"
	got := mergeTraces([]poller.Message{
		{}, {Trace: root + ";Lineage=aaaaaaaa:3|bbbbbbbb:1"}, {Trace: "Root=1-0-0;Lineage=bbbbbbbb:2|cccccccc:9"}, {Trace: "nonsense"},
	})
	if want := root + ";Lineage=aaaaaaaa:3|bbbbbbbb:2|cccccccc:9"; got != want {
		t.Errorf("got %s", got)
	}
	if got := mergeTraces([]poller.Message{{}, {Trace: root}}); got != "" {
		t.Errorf("nothing to count: %s", got)
	}
}

// FuzzLineage shows that a header can be anything.
func FuzzLineage(f *testing.F) {
	for _, seed := range []string{"", "Lineage=aaaaaaaa:1", "Root=;Lineage=|:|x:99999999999999999999", strings.Repeat("Lineage=aaaaaaaa:1|", 100)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		for _, st := range lineage(header) {
			if st.count < 1 || st.count > maxInvocations {
				t.Errorf("%q: %+v", header, st)
			}
		}
		child := childTrace(header, tracedARN, time.Unix(0, 0))
		if len(lineage(child)) > maxLineage {
			t.Errorf("%q becomes %q", header, child)
		}
	})
}

// FuzzDownloadToken shows that no address is taken but one that was given out.
func FuzzDownloadToken(f *testing.F) {
	key := []byte("key")
	f.Add("")
	f.Add("e30.e30")
	f.Add(".")
	f.Fuzz(func(t *testing.T, token string) {
		if _, ok := readToken(key, token); ok {
			t.Errorf("%q is taken", token)
		}
	})
}
