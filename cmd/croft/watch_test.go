package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"croft/internal/iac"
)

// TestNamesDoNotActOnTheTerminal: a file of a project that was cloned from somewhere may have any name.
func TestNamesDoNotActOnTheTerminal(t *testing.T) {
	const evil = "src/\x1b]0;owned\x07\n.py"
	var out, notes bytes.Buffer
	c := console{out: &out, err: &notes}
	for _, r := range []iac.Redeployment{
		{Changed: evil, Updated: []string{"F"}}, {Changed: evil, Unchanged: true}, {Changed: evil, Err: errors.New("no " + evil)},
	} {
		c.redeployed(time.Unix(0, 0), r)
	}
	c.note("croft: %v", errors.New(evil))
	if text := out.String() + notes.String(); strings.ContainsAny(text, "\x1b\x07") || strings.Count(text, "owned") != 5 {
		t.Errorf("%q", text)
	}
	if n := strings.Count(out.String(), "\n"); n != 4 { // three lines, one of them with an error of two
		t.Errorf("%d lines: %q", n, out.String())
	}
}

func TestWhatWasRedeployed(t *testing.T) {
	for want, r := range map[string]iac.Redeployment{
		"t changed: A, B redeployed in 5 ms":         {Updated: []string{"A", "B"}},
		"t changed: A redeployed, B removed in 5 ms": {Updated: []string{"A"}, Removed: []string{"B"}},
		"t changed: B removed in 5 ms":               {Removed: []string{"B"}},
		"t changed: the stack redeployed in 5 ms":    {},
	} {
		var out bytes.Buffer
		r.Changed, r.Took = "t", 5*time.Millisecond
		console{out: &out}.redeployed(time.Unix(0, 0), r)
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q, want %q", out.String(), want)
		}
	}
}
