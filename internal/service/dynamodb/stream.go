package dynamodb

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

// Values of StreamViewType.
const (
	viewKeys = "KEYS_ONLY"
	viewNew  = "NEW_IMAGE"
	viewOld  = "OLD_IMAGE"
	viewBoth = "NEW_AND_OLD_IMAGES"
)

// streamLabelForm is how a stream is named after the moment of its creation.
const streamLabelForm = "2006-01-02T15:04:05.000"

// tableStream is what a table knows of the last stream it had: its label stays in descriptions when the stream is disabled, as on AWS.
type tableStream struct {
	ID      string `json:"id"`
	Label   string `json:"label"`
	View    string `json:"view"`
	Enabled bool   `json:"enabled,omitempty"`
}

// streamDef is a stream, which outlives being disabled and even its table by the time for which records are kept.
type streamDef struct {
	ID      string                 `json:"id"`
	Table   string                 `json:"table"`
	Label   string                 `json:"label"`
	View    string                 `json:"view"`
	Keys    []api.KeySchemaElement `json:"keys"`
	Created time.Time              `json:"created"`
	// Closed is since when nothing is written any more; zero while the stream is enabled.
	Closed time.Time `json:"closed,omitzero"`
}

// streamDefsKey is the prefix of the streams of all tables, in the order of names and labels; streamDefsOf that of a table's.
func streamDefsKey() kv.Key { return kv.Key{'d'} }

func streamDefsOf(table string) kv.Key { return streamDefsKey().Str(table) }

func streamDefKey(table, label string) kv.Key { return streamDefsOf(table).Str(label) }

// streamLogKey is the log of a stream's records, and trimmedKey what its last removed record was numbered.
func streamLogKey(id [16]byte) kv.Key { return kv.Key{'r'}.Raw(id[:]...) }

func trimmedKey(id [16]byte) kv.Key { return kv.Key{'w'}.Raw(id[:]...) }

// uuidBytes returns the bytes of an identifier that NewRequestID made.
func uuidBytes(text string) (id [16]byte, err error) {
	b, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
	if err != nil || len(b) != len(id) {
		return id, fmt.Errorf("dynamodb: %q is no identifier", text)
	}
	copy(id[:], b)
	return id, nil
}

func (d *streamDef) id() ([16]byte, error) { return uuidBytes(d.ID) }

func (d *streamDef) arn(call *cloud.Call) string { return streamARN(call, d.Table, d.Label) }

func streamARN(call *cloud.Call, table, label string) string {
	return call.ARN(serviceName, "table/"+table+"/stream/"+label)
}

// shardID returns the name of the stream's only shard. Source of its form: DynamoDB Developer Guide, "DynamoDB Streams".
func (d *streamDef) shardID() string {
	return fmt.Sprintf("shardId-%020d-%s", d.Created.UnixMilli(), strings.ReplaceAll(d.ID, "-", "")[:8])
}

func decodeStreamDef(stored []byte) (*streamDef, error) {
	d := new(streamDef)
	if err := json.Unmarshal(stored, d); err != nil {
		return nil, fmt.Errorf("dynamodb: the definition of a stream is damaged: %w", err)
	}
	return d, nil
}

// getStreamDef returns a stream, or kv.ErrNotFound.
func getStreamDef(r kv.Reader, table, label string) (*streamDef, error) {
	stored, err := r.Get(streamDefKey(table, label))
	if err != nil {
		return nil, err
	}
	return decodeStreamDef(stored)
}

func putStreamDef(tx kv.Tx, d *streamDef) error {
	stored, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("dynamodb: stream of table %s: %w", d.Table, err)
	}
	return tx.Put(streamDefKey(d.Table, d.Label), stored)
}

// checkNewStream checks the StreamSpecification of a table that is being made.
func checkNewStream(spec *api.StreamSpecification) error {
	switch {
	case spec == nil:
	case spec.StreamEnabled && spec.StreamViewType == nil:
		return invalid("Table is being created with a stream enabled, UpdateViewType is required")
	case !spec.StreamEnabled && spec.StreamViewType != nil:
		return invalid("Table is being created with a stream disabled, UpdateViewType should not be specified")
	}
	return nil
}

// checkStreamUpdate checks the StreamSpecification of UpdateTable, which does not go with every other change.
func checkStreamUpdate(in *api.UpdateTableInput) error {
	spec := in.StreamSpecification
	if spec == nil {
		return nil
	}
	for _, g := range in.GlobalSecondaryIndexUpdates {
		if g.Create != nil || g.Delete != nil {
			return invalid("You cannot create or delete index while changing stream status")
		}
	}
	switch {
	case in.ProvisionedThroughput != nil || wire.Value(in.BillingMode) == "PROVISIONED":
		return invalid("You cannot modify stream status while updating table IOPS")
	case spec.StreamEnabled && spec.StreamViewType == nil:
		return invalid("If stream is being enabled then UpdateViewType is required")
	case !spec.StreamEnabled && spec.StreamViewType != nil:
		return invalid("If stream is being disabled, then UpdateViewType must not be specified")
	}
	return nil
}

// stream makes the change of the stream that UpdateTable asks for.
func (u *tableUpdate) stream() error {
	spec := u.in.StreamSpecification
	switch {
	case spec == nil:
		return nil
	case spec.StreamEnabled && u.was.streamEnabled():
		return validation("Table already has an enabled stream: TableName: %s", u.was.Name)
	case !spec.StreamEnabled && !u.was.streamEnabled():
		return validation("Table has no stream to disable: TableName: %s", u.was.Name)
	}
	u.changed.wantStream(spec)
	return nil
}

func (t *table) streamEnabled() bool { return t.Stream != nil && t.Stream.Enabled }

// wantStream makes the table's stream what spec says. The stream gets its identity when moveStream stores it.
func (t *table) wantStream(spec *api.StreamSpecification) {
	on := spec != nil && spec.StreamEnabled
	switch {
	case on && t.streamEnabled() && t.Stream.View == wire.Value(spec.StreamViewType):
	case on:
		t.Stream = &tableStream{View: wire.Value(spec.StreamViewType), Enabled: true}
	case t.streamEnabled():
		last := *t.Stream
		last.Enabled = false
		t.Stream = &last
	}
}

// moveStream stores what a change of the table means for its streams: the one that was enabled ends, and a new one begins. A nil table is one
// that is not there. It joins the transaction of ctx.
func (s *Service) moveStream(ctx context.Context, tx kv.Tx, was, is *table) error {
	if was != nil && was.streamEnabled() && (is == nil || !is.streamEnabled() || is.Stream.ID != was.Stream.ID) {
		if err := s.closeStream(ctx, tx, was); err != nil {
			return err
		}
	}
	if is == nil || !is.streamEnabled() || is.Stream.ID != "" {
		return nil
	}
	d := &streamDef{ID: cloud.NewRequestID(), Table: is.Name, View: is.Stream.View, Keys: is.KeySchema,
		Created: cloud.CallOf(ctx).Now.UTC().Truncate(time.Millisecond)}
	// A table may have had a stream in this very millisecond.
	for {
		d.Label = d.Created.Format(streamLabelForm)
		_, err := getStreamDef(tx, d.Table, d.Label)
		if errors.Is(err, kv.ErrNotFound) {
			break
		}
		if err != nil {
			return err
		}
		d.Created = d.Created.Add(time.Millisecond)
	}
	// The transaction may run again, from the table as it was: it gets a stream of its own each time.
	is.Stream = &tableStream{ID: d.ID, Label: d.Label, View: d.View, Enabled: true}
	if err := putStreamDef(tx, d); err != nil {
		return err
	}
	return s.trimAt(ctx, &trimJob{d.Table, d.Label}, d.ID, d.Created.Add(streamRetention))
}

// closeStream ends the stream of a table. Whoever writes an item reads the table's definition, so that nothing follows.
func (s *Service) closeStream(ctx context.Context, tx kv.Tx, t *table) error {
	d, err := getStreamDef(tx, t.Name, t.Stream.Label)
	if err != nil {
		return err
	}
	d.Closed = cloud.CallOf(ctx).Now.UTC()
	return putStreamDef(tx, d)
}

// describeStream adds the table's stream to its description.
func (t *table) describeStream(call *cloud.Call, d *api.TableDescription) {
	if t.Stream == nil {
		return
	}
	d.LatestStreamLabel = wire.Ptr(t.Stream.Label)
	d.LatestStreamArn = wire.Ptr(streamARN(call, t.Name, t.Stream.Label))
	if t.Stream.Enabled {
		d.StreamSpecification = &api.StreamSpecification{StreamEnabled: true, StreamViewType: wire.Ptr(t.Stream.View)}
	}
}
