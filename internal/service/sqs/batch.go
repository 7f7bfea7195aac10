package sqs

import (
	"errors"

	"croft/internal/awsapi/sqs"
	"croft/internal/cloud"
)

const (
	maxEntries = 10
	maxEntryID = 80
)

// checkBatch checks what the batches of all operations have in common: their number and their ids.
func checkBatch[E any](entry string, entries []E, id func(*E) string) error {
	switch n := len(entries); {
	case n == 0:
		return sqs.NewEmptyBatchRequest("There should be at least one %s in the request.", entry)
	case n > maxEntries:
		return sqs.NewTooManyEntriesInBatchRequest("Maximum number of entries per request are %d. You have sent %d.", maxEntries, n)
	}
	seen := make(map[string]bool, len(entries))
	for i := range entries {
		id := id(&entries[i])
		if id == "" || len(id) > maxEntryID || !allOf(id, isNameByte) {
			return sqs.NewInvalidBatchEntryId("A batch entry id can only contain alphanumeric characters, hyphens and underscores. " +
				"It can be at most 80 letters long.")
		}
		if seen[id] {
			return sqs.NewBatchEntryIdsNotDistinct("Id %s repeated.", id)
		}
		seen[id] = true
	}
	return nil
}

// eachEntry runs do for every entry and notes the refusals in failed. Any other error ends the batch.
func eachEntry[E any](entries []E, failed *[]sqs.BatchResultErrorEntry, do func(i int, e *E) (id string, err error)) error {
	for i := range entries {
		id, err := do(i, &entries[i])
		if err == nil {
			continue
		}
		var refused *cloud.Error
		if !errors.As(err, &refused) {
			return err
		}
		code := refused.QueryCode
		if code == "" {
			code = refused.Code
		}
		*failed = append(*failed, sqs.BatchResultErrorEntry{Id: id, SenderFault: refused.HTTPStatus() < 500, Code: code, Message: &refused.Message})
	}
	return nil
}
