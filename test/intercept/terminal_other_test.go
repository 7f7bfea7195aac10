//go:build !linux

package intercept

import "testing"

func testTerminal(t *testing.T, _ *world) {
	t.Skip("SKIPPED: this test makes its terminal as Linux does")
}
