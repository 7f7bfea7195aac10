package app

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"croft/internal/engine"
)

func TestTracesAreBounded(t *testing.T) {
	var kept traces
	env := engine.Environment{Function: engine.Function{Account: "000000000001", Name: "f"}}
	for i := range maxSegments + 10 {
		kept.add(time.Unix(int64(i), 0), env, fmt.Appendf(nil, `{"id": %d}`, i))
	}
	got := kept.of("000000000001")
	if len(got) != maxSegments || string(got[0].Document) != `{"id": 10}` || got[0].Function != "f" {
		t.Errorf("%d segments, the first %+v", len(got), got[0])
	}
	if others := kept.of("000000000002"); others == nil || len(others) != 0 {
		t.Errorf("another account sees %+v", others)
	}
	large := []byte(`{"x": "` + strings.Repeat("x", 60_000) + `"}`)
	for range 200 {
		kept.add(time.Unix(0, 0), env, large)
	}
	if kept.bytes > maxSegmentBytes || len(kept.of("000000000001"))*len(large) > maxSegmentBytes {
		t.Errorf("%d bytes", kept.bytes)
	}
	kept.reset()
	if len(kept.of("000000000001")) != 0 || kept.bytes != 0 {
		t.Error("not empty")
	}
}
