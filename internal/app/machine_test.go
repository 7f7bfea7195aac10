package app

import (
	"strings"
	"testing"

	"croft/internal/engine/sandbox"
)

func TestIsolate(t *testing.T) {
	for want, expect := range map[Isolation]sandbox.Isolation{"": sandbox.Default(), IsolationAuto: sandbox.Default(), IsolationNone: sandbox.Reduced} {
		if got, err := isolate(t.Context(), want); err != nil || got != expect {
			t.Errorf("%q: %v, %v", want, got, err)
		}
	}
	got, err := isolate(t.Context(), IsolationRequired)
	if possible := sandbox.Check(t.Context()); possible == nil && (err != nil || got != sandbox.Full) {
		t.Errorf("required and possible: %v, %v", got, err)
	} else if possible != nil && (err == nil || !strings.Contains(err.Error(), "croft doctor")) {
		t.Errorf("required and impossible: %v, %v", got, err)
	}
	if _, err := isolate(t.Context(), "some"); err == nil || !strings.Contains(err.Error(), `"some"`) {
		t.Error(err)
	}
}
