package poller

import (
	"bytes"
	"encoding/json"
)

// Event returns the event that functions get for a batch.
func Event(batch []Message) []byte {
	var b bytes.Buffer
	b.WriteString(`{"Records":[`)
	for i, m := range batch {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(m.Record)
	}
	b.WriteString("]}")
	return b.Bytes()
}

// Handled reads a function's answer to a batch of which it reports the messages that it could not handle, and returns the others. An
// answer that cannot be understood, or that names a message which is not in the batch, handles none. Source: Lambda Developer Guide,
// "Implementing partial batch responses".
func Handled(answer []byte, batch []Message) []Message {
	switch string(bytes.TrimSpace(answer)) {
	case "", "null", `""`, "[]":
		return batch
	}
	var report struct {
		Failures []struct {
			ID *string `json:"itemIdentifier"`
		} `json:"batchItemFailures"`
	}
	if err := json.Unmarshal(answer, &report); err != nil {
		return nil
	}
	known := make(map[string]bool, len(batch))
	for _, m := range batch {
		known[m.ID] = true
	}
	failed := make(map[string]bool, len(report.Failures))
	for _, f := range report.Failures {
		if f.ID == nil || !known[*f.ID] {
			return nil
		}
		failed[*f.ID] = true
	}
	var out []Message
	for _, m := range batch {
		if !failed[m.ID] {
			out = append(out, m)
		}
	}
	return out
}
