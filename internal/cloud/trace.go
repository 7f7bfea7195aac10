package cloud

import (
	"fmt"
	"strings"
	"time"
)

// TraceHeader is the header by which a trace is known. Source of its form: X-Ray Developer Guide, "Tracing header".
const TraceHeader = "X-Amzn-Trace-Id"

// maxTrace bounds a trace header in bytes.
const maxTrace = 512

const hexDigits = "0123456789abcdef"

// NewTrace returns the header of a trace that begins now and is not sampled.
func NewTrace(now time.Time) string {
	id := RandomString(24+16, hexDigits)
	return fmt.Sprintf("Root=1-%08x-%s;Parent=%s;Sampled=0", uint32(now.Unix()), id[:24], id[24:])
}

// ParseTrace returns the trace header that a client sent, or "" when it names no trace. What the client left out of it, its parent and whether it is
// sampled, is filled in; what the server alone may say is taken out of it.
func ParseTrace(given string) string {
	if len(given) > maxTrace {
		return ""
	}
	var root, parent, lineage string
	sampled := "0"
	for field := range strings.SplitSeq(given, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		switch strings.ToLower(name) {
		case "root":
			root = value
		case "parent":
			parent = value
		case "sampled":
			if value == "1" {
				sampled = value
			}
		case "lineage":
			lineage = value
		}
	}
	parts := strings.Split(root, "-")
	if len(parts) != 3 || parts[0] != "1" || !isHex(parts[1], 8) || !isHex(parts[2], 24) {
		return ""
	}
	if !isHex(parent, 16) {
		parent = RandomString(16, hexDigits)
	}
	out := "Root=" + root + ";Parent=" + parent + ";Sampled=" + sampled
	if lineage != "" && !strings.ContainsFunc(lineage, func(c rune) bool { return c <= ' ' || c > '~' }) {
		out += ";Lineage=" + lineage
	}
	return out
}

func isHex(s string, n int) bool {
	return len(s) == n && strings.Trim(strings.ToLower(s), hexDigits) == ""
}
