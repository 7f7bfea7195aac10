package logs

import (
	"croft/internal/kv"
)

func groupsKey() kv.Key { return kv.Key(nil).Raw('g') }

func groupKey(group string) kv.Key { return groupsKey().Str(group) }

// streamsKey is the prefix of the rows of a group's streams.
func streamsKey(group string) kv.Key { return kv.Key(nil).Raw('s').Str(group) }

func streamKey(group, stream string) kv.Key { return streamsKey(group).Str(stream) }

func bytesKey(group string) kv.Key { return kv.Key(nil).Raw('b').Str(group) }

// groupEventsKey is the prefix of all events of a group.
func groupEventsKey(group string) kv.Key { return kv.Key(nil).Raw('e').Str(group) }

// eventsKey is the prefix of a stream's events.
func eventsKey(group, stream string) kv.Key { return groupEventsKey(group).Str(stream) }

// position is a place in a stream: before the event with that time and number, if there is one.
type position struct {
	time int64
	seq  uint64
}

func (p position) key(events kv.Key) kv.Key { return events.Int(p.time).Uint(p.seq) }

// next is the place right after the event at p.
func (p position) next() position { return position{p.time, p.seq + 1} }

func (p position) before(q position) bool {
	return p.time < q.time || p.time == q.time && p.seq < q.seq
}

func eventPosition(key []byte, events kv.Key) (position, error) {
	r := kv.ReadKey(key, events)
	p := position{time: r.Int(), seq: r.Uint()}
	return p, r.Err()
}
