package doctor

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"croft/internal/clock"
)

// TestHostilePrograms: what is found on PATH may be anything.
func TestHostilePrograms(t *testing.T) {
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("SKIPPED, hostile programs on PATH are not tried: there is no sh")
	}
	began := clock.Real().Now()
	if text, _ := run(t.Context(), shell, "-c", "sleep 60 & echo here"); string(text) != "here\n" {
		t.Errorf("%q", text)
	}
	text, err := run(t.Context(), shell, "-c", "head -c 1000000 /dev/zero")
	if err != nil || len(text) != maxOutput {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	if took := clock.Real().Now().Sub(began); took > probeTime/2 {
		t.Errorf("it took %v", took)
	}
}

func TestLookingLeavesNothing(t *testing.T) {
	top := t.TempDir()
	if err := writable(filepath.Join(top, "a", "b", "c")); err != nil {
		t.Fatal(err)
	}
	if err := writable(top); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(top)
	if err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
	file := filepath.Join(top, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writable(filepath.Join(file, "below")); err == nil || strings.Contains(err.Error(), "no such") {
		t.Errorf("below a file: %v", err)
	}
}
