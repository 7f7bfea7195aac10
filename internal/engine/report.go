package engine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"croft/internal/engine/sandbox"
)

// The texts in this file are Lambda's: what its logs and error documents say, which tools and people match on. Source: Lambda Developer
// Guide, "Working with Lambda function logs" and "Using the Lambda runtime API".

// runtimeLabel writes python3.12 as python:3.12.
func runtimeLabel(runtime string) string {
	for i, c := range runtime {
		if c >= '0' && c <= '9' {
			return runtime[:i] + ":" + runtime[i:]
		}
	}
	return runtime
}

func initReport(d time.Duration, phase, status, errorType string) string {
	s := fmt.Sprintf("INIT_REPORT Init Duration: %s ms\tPhase: %s\tStatus: %s", millis(d), phase, status)
	if errorType != "" {
		s += "\tError Type: " + errorType
	}
	return s
}

func startLine(requestID, version string) string {
	return "START RequestId: " + requestID + " Version: " + version
}

func endLine(requestID string) string { return "END RequestId: " + requestID }

// reportLine is the line that ends an invocation's log. status is empty for invocations that the runtime answered.
func reportLine(requestID string, memoryMB int, r *Result, status, errorType string) string {
	s := fmt.Sprintf("REPORT RequestId: %s\tDuration: %s ms\tBilled Duration: %d ms\tMemory Size: %d MB\tMax Memory Used: %d MB\t",
		requestID, millis(r.Duration), r.Billed.Milliseconds(), memoryMB, r.MaxMemoryMB)
	if r.Init > 0 {
		s += "Init Duration: " + millis(r.Init) + " ms\t"
	}
	if r.Restore > 0 {
		s += fmt.Sprintf("Restore Duration: %s ms\tBilled Restore Duration: %d ms\t", millis(r.Restore), billed(r.Restore).Milliseconds())
	}
	if status != "" {
		s += "Status: " + status
		if errorType != "" {
			s += "\tError Type: " + errorType
		}
	}
	return s
}

// withIsolation says in a REPORT line, in a field like Lambda's own, that the function is not kept apart fully: what fails, or does not, only
// because of that should not take long to find out.
func withIsolation(report string, i sandbox.Isolation) string {
	if i == sandbox.Full {
		return report
	}
	return strings.TrimSuffix(report, "\t") + "\tReduced isolation: " + sandbox.Reduction + "\t"
}

// billed rounds up to a millisecond.
func billed(d time.Duration) time.Duration {
	return (d + time.Millisecond - 1).Truncate(time.Millisecond)
}

func millis(d time.Duration) string { return fmt.Sprintf("%.2f", float64(d)/float64(time.Millisecond)) }

func timeoutLine(now time.Time, requestID string, timeout time.Duration) string {
	return fmt.Sprintf("%s %s %s", now.UTC().Format("2006-01-02T15:04:05.000Z"), requestID, timeoutText(timeout))
}

func timeoutText(timeout time.Duration) string {
	return fmt.Sprintf("Task timed out after %.2f seconds", timeout.Seconds())
}

const (
	typeTimeout     = "Sandbox.Timedout"
	typeExit        = "Runtime.ExitError"
	typeOutOfMemory = "Runtime.OutOfMemory"
	unhandled       = "Unhandled"
)

// platformError is the payload for what ended the invocation from outside the handler.
func platformError(errorType, requestID, text string) []byte {
	return encode(struct {
		Type    string `json:"errorType"`
		Message string `json:"errorMessage"`
	}{errorType, "RequestId: " + requestID + " Error: " + text})
}

// functionError is the document that a runtime sends for an error in the function's code.
type functionError struct {
	Message    string          `json:"errorMessage"`
	Type       string          `json:"errorType"`
	RequestID  string          `json:"requestId,omitempty"`
	StackTrace json.RawMessage `json:"stackTrace,omitempty"`
}

// withRequestID completes an error that the runtime reported before it knew of any invocation. Anything but such a document stays as it is.
func withRequestID(document []byte, requestID string) []byte {
	var e functionError
	if err := json.Unmarshal(document, &e); err != nil || e.Type == "" || e.RequestID != "" {
		return document
	}
	e.RequestID = requestID
	return encode(e)
}

// encode writes JSON without the escapes that are for HTML.
func encode(v any) []byte {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return []byte(`{}`) // what is encoded here, strings and valid JSON, always encodes
	}
	return bytes.TrimRight(buf.Bytes(), "\n")
}
