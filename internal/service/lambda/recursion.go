package lambda

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"croft/internal/awsapi/lambda"
	"croft/internal/cloud"
	"croft/internal/poller"
)

// Loops are found by the trace header. Lambda gives each invocation one whose Lineage counts how often each function was invoked in the
// chain that led to it; the function's SDK sends the header with its calls, and queues, topics and Event invocations keep it. What the
// Lineage looks like is nobody's business but Lambda's. Source: Lambda Developer Guide, "Use Lambda recursive loop detection", and X-Ray
// Developer Guide, "Tracing header".
const (
	// maxInvocations is how often a function is invoked in one chain.
	maxInvocations = 16
	// maxLineage bounds how many functions of a chain are counted.
	maxLineage = 32
)

// step is a function in a lineage.
type step struct {
	function string // short for its ARN
	count    int
}

func stepOf(functionARN string) string {
	sum := sha256.Sum256([]byte(functionARN))
	return hex.EncodeToString(sum[:4])
}

// traceField returns a field of a trace header.
func traceField(trace, name string) string {
	for field := range strings.SplitSeq(trace, ";") {
		if key, value, ok := strings.Cut(strings.TrimSpace(field), "="); ok && key == name {
			return value
		}
	}
	return ""
}

// lineage reads the lineage of a trace header. What cannot be read is left out: anybody may send a header.
func lineage(trace string) (out []step) {
	for part := range strings.SplitSeq(traceField(trace, "Lineage"), "|") {
		function, count, ok := strings.Cut(part, ":")
		n, err := strconv.Atoi(count)
		if !ok || err != nil || n < 1 || len(function) != 8 || len(out) == maxLineage {
			continue
		}
		out = append(out, step{function, min(n, maxInvocations)})
	}
	return out
}

// loops reports whether an invocation with that trace header would go on with a loop that is to be stopped.
func (s *Service) loops(t *resolved, trace string) bool {
	if t.latest.Recursion == lambda.RecursiveLoopAllow {
		return false
	}
	function := stepOf(t.ref.arn())
	for _, st := range lineage(trace) {
		if st.function == function {
			return st.count >= maxInvocations
		}
	}
	return false
}

// childTrace returns the trace header of an invocation of a function, which a call with the header parent has caused; parent may be empty.
func childTrace(parent, functionARN string, now time.Time) string {
	steps, function, found := lineage(parent), stepOf(functionARN), false
	for i := range steps {
		if steps[i].function == function {
			steps[i].count, found = min(steps[i].count+1, maxInvocations), true
		}
	}
	if !found {
		steps = append(steps, step{function, 1})
	}
	if len(steps) > maxLineage {
		steps = steps[1:]
	}
	trace := cloud.ParseTrace(parent)
	if trace == "" {
		trace = cloud.NewTrace(now)
	}
	trace, _, _ = strings.Cut(trace, ";Lineage=")
	return trace + ";Lineage=" + joinSteps(steps)
}

func joinSteps(steps []step) string {
	parts := make([]string, len(steps))
	for i, st := range steps {
		parts[i] = st.function + ":" + strconv.Itoa(st.count)
	}
	return strings.Join(parts, "|")
}

// mergeTraces returns a trace header for what the messages of a batch cause together: the first one's, with the highest count of each function.
func mergeTraces(batch []poller.Message) string {
	var steps []step
	at := map[string]int{}
	root := ""
	for _, m := range batch {
		trace := m.Trace
		if root == "" {
			root = traceField(trace, "Root")
		}
		for _, st := range lineage(trace) {
			i, known := at[st.function]
			switch {
			case known:
				steps[i].count = max(steps[i].count, st.count)
			case len(steps) < maxLineage:
				at[st.function] = len(steps)
				steps = append(steps, st)
			}
		}
	}
	if len(steps) == 0 {
		return ""
	}
	return "Root=" + root + ";Lineage=" + joinSteps(steps)
}

func errRecursive() *cloud.Error {
	return user(lambda.NewRecursiveInvocationException(
		"Lambda has detected your function being invoked in a recursive loop with other Amazon Web Services resources and stopped your function's invocation."))
}
