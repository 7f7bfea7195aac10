// Package tail is how consumers in this process follow the streams of DynamoDB: event source mappings, and whoever else needs to be woken instead of asking again
// and again. It has the contract alone; package dynamodb implements it.
//
// A consumer asks for the shards of a stream, for the place in each at which it begins, and reads on from there. It stores the place behind what it
// has handled: Page.Next, a text that stays good across restarts.
//
//	stream, err := source.Open(ctx, arn)
//	defer stream.Close()
//	for {
//		page, err := stream.Read(ctx, shard, place, 100, 6<<20)
//		...
//		if place = page.Next; len(page.Records) == 0 {
//			<-stream.Changed()
//		}
//	}
package tail

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// ErrTrimmed is returned for a place whose next record is no longer kept. The oldest record that is kept is at the place Oldest.
var ErrTrimmed = errors.New("tail: the records at this place are no longer kept")

// ErrNotFound is returned for a stream or shard that is not there, or no longer: records are kept for 24 hours, and so are streams that have ended.
var ErrNotFound = errors.New("tail: no such stream or shard")

// Start says where in a shard to begin.
type Start string

// The starts, by their names in CreateEventSourceMapping.
const (
	// Oldest is before the oldest record that is kept.
	Oldest Start = "TRIM_HORIZON"
	// Latest is behind the newest record.
	Latest Start = "LATEST"
)

// Source opens streams. It is safe for concurrent use.
type Source interface {
	// Open opens the stream of that ARN, which lies in the account and region of the call that ctx carries. ErrNotFound says that there is none.
	// The caller closes the stream.
	Open(ctx context.Context, arn string) (Stream, error)
}

// Stream is an open stream. Its methods are safe for concurrent use; their contexts carry a call in the stream's account and region.
type Stream interface {
	// Shards returns the names of the stream's shards, parents before their children.
	Shards(ctx context.Context) ([]string, error)
	// Place returns where start is in a shard at this moment.
	Place(ctx context.Context, shard string, start Start) (string, error)
	// Read returns the records that follow place, in the order of their commits: at most max of them, and no more than maxBytes of their events unless the
	// first alone has more. It does not wait. It returns ErrTrimmed when the next record is no longer there.
	Read(ctx context.Context, shard, place string, max, maxBytes int) (Page, error)
	// Changed receives a value after records were written, once they can be read. Several writes may give one value, and values without a write
	// are allowed. To miss nothing: read, and wait when there was nothing. It serves one waiter: consumers that wait apart open the stream each.
	Changed() <-chan struct{}
	// Close ends the stream's watch. Changed is not closed.
	Close()
}

// Page is what Read returns.
type Page struct {
	Records []Record
	// Next is the place behind the last record: where to read on.
	Next string
	// End says that the shard has ended and that nothing follows Next.
	End bool
}

// Record is one change of an item.
type Record struct {
	// Sequence is the record's sequence number, by which functions name what they could not handle. As a place it is the one behind the record.
	Sequence string
	// At is when the change was made, to the millisecond.
	At time.Time
	// Event is the record as functions see it: one element of their event's Records. Source of its form: Lambda Developer Guide, "Using AWS Lambda
	// with Amazon DynamoDB".
	Event json.RawMessage
}
