package cloud

import (
	"strings"
	"testing"
	"time"
)

func TestTraces(t *testing.T) {
	const root = "Root=1-5759e988-bd862e3fe1be46a994272793"
	for given, want := range map[string]string{
		root + ";Parent=53995c3f42cd8ad8;Sampled=1":                              root + ";Parent=53995c3f42cd8ad8;Sampled=1",
		"Sampled=1;" + root + ";Parent=53995c3f42cd8ad8;Self=1-2":                root + ";Parent=53995c3f42cd8ad8;Sampled=1",
		root + ";Parent=53995c3f42cd8ad8;Sampled=?;Lineage=1:43d2bfd2:0":         root + ";Parent=53995c3f42cd8ad8;Sampled=0;Lineage=1:43d2bfd2:0",
		root + "\r\nX: y;Parent=53995c3f42cd8ad8":                                "",
		"Root=1-5759e988;Parent=53995c3f42cd8ad8":                                "",
		root + ";Parent=53995c3f42cd8ad8;Lineage=a\nb":                           root + ";Parent=53995c3f42cd8ad8;Sampled=0",
		root + ";Parent=53995c3f42cd8ad8;Lineage=" + strings.Repeat("x", 10_000): "",
		"": "",
	} {
		if got := ParseTrace(given); got != want {
			t.Errorf("%.200q: got %q", given, got)
		}
	}
	if got := ParseTrace(root); len(got) != len(root+";Parent=53995c3f42cd8ad8;Sampled=0") {
		t.Errorf("got %q", got)
	}
	fresh := NewTrace(time.Unix(1_700_000_000, 0))
	if !strings.HasPrefix(fresh, "Root=1-6553f100-") || ParseTrace(fresh) != fresh {
		t.Errorf("got %q", fresh)
	}
}
