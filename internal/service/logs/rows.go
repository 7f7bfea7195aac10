package logs

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"croft/internal/cloud"
	"croft/internal/kv"
)

// group is the stored form of a log group.
type group struct {
	Created   int64             `json:"c"`
	Retention int32             `json:"r,omitempty"`
	Tags      map[string]string `json:"t,omitempty"`
}

// stream is the stored form of a log stream. Times are in milliseconds since 1970.
type stream struct {
	Created int64 `json:"c"`
	// Events counts the events ever stored: the number of the next one.
	Events uint64 `json:"n,omitempty"`
	First  int64  `json:"f,omitempty"`
	Last   int64  `json:"l,omitempty"`
	// Ingested is when the last event arrived.
	Ingested int64 `json:"i,omitempty"`
	// Swept is a time before which no events are left to remove.
	Swept int64 `json:"s,omitempty"`
}

func load(r kv.Reader, key []byte, into any) (bool, error) {
	v, err := r.Get(key)
	if errors.Is(err, kv.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, decode(v, into)
}

func decode(value []byte, into any) error {
	if err := json.Unmarshal(value, into); err != nil {
		return fmt.Errorf("logs: damaged row: %w", err)
	}
	return nil
}

func store(w kv.Writer, key []byte, row any) error {
	v, err := json.Marshal(row)
	if err != nil {
		return fmt.Errorf("logs: %w", err)
	}
	return w.Put(key, v)
}

func loadGroup(r kv.Reader, name string) (*group, error) {
	g := new(group)
	found, err := load(r, groupKey(name), g)
	if err == nil && !found {
		err = errGroupNotFound()
	}
	return g, err
}

// loadStream returns the group and one of its streams.
func loadStream(r kv.Reader, groupName, name string) (*group, *stream, error) {
	g, err := loadGroup(r, groupName)
	if err != nil {
		return nil, nil, err
	}
	st := new(stream)
	found, err := load(r, streamKey(groupName, name), st)
	if err == nil && !found {
		err = errStreamNotFound()
	}
	return g, st, err
}

const dayMillis = 24 * 60 * 60 * 1000

// oldest returns the time before which the group's events have expired at now; zero when they never do.
func (g *group) oldest(now int64) int64 {
	if g.Retention == 0 {
		return 0
	}
	return now - int64(g.Retention)*dayMillis
}

// event is one stored event.
type event struct {
	position
	ingested int64
	message  string
}

func encodeEvent(ingested int64, message string) []byte {
	out := make([]byte, 8, 8+len(message))
	binary.BigEndian.PutUint64(out, uint64(ingested))
	return append(out, message...)
}

func decodeEvent(events kv.Key, e kv.Entry) (event, error) {
	p, err := eventPosition(e.Key, events)
	if err != nil || len(e.Value) < 8 {
		return event{}, errors.New("logs: damaged event")
	}
	return event{p, int64(binary.BigEndian.Uint64(e.Value)), string(e.Value[8:])}, nil
}

// groupOf returns the name of the group that an identifier names: a name, or an ARN of the caller's account and region.
func (s *Service) groupOf(ctx context.Context, identifier string) (string, error) {
	if !strings.HasPrefix(identifier, "arn:") {
		return identifier, nil
	}
	arn, err := cloud.ParseARN(identifier)
	name, isGroup := strings.CutPrefix(arn.Resource, "log-group:")
	if err != nil || arn.Service != "logs" || !isGroup {
		return "", errNotGroupARN(identifier)
	}
	call := cloud.CallOf(ctx)
	if s.deps.Account(ctx, arn.Account, identifier) != call.Account || arn.Region != call.Region {
		return "", errGroupNotFound()
	}
	return strings.TrimSuffix(name, ":*"), nil
}

func groupARN(ctx context.Context, name string) string {
	return cloud.CallOf(ctx).ARN("logs", "log-group:"+name)
}
