package app

import (
	"strings"
	"testing"

	"croft/internal/engine"
)

func TestUploadsKeepToTheLimits(t *testing.T) {
	long := engine.LogLine{Text: strings.Repeat("x", 256<<10)}
	var lines []engine.LogLine
	for range 9 {
		lines = append(lines, long)
	}
	for range 2*maxUploadLines + 5 {
		lines = append(lines, engine.LogLine{Text: "short"})
	}
	lines = append(lines, engine.LogLine{Text: strings.Repeat("y", 2*maxUploadBytes)})
	total := 0
	for part := range uploads(lines) {
		bytes := 0
		for _, l := range part {
			bytes += len(l.Text) + lineOverhead
		}
		if len(part) == 0 || len(part) > maxUploadLines || bytes > maxUploadBytes && len(part) > 1 {
			t.Errorf("%d lines, %d bytes", len(part), bytes)
		}
		total += len(part)
	}
	if total != len(lines) {
		t.Errorf("%d of %d lines", total, len(lines))
	}
	for range uploads(nil) {
		t.Error("something of nothing")
	}
}
