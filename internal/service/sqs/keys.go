package sqs

import (
	"time"

	"croft/internal/kv"
)

func queueKey(name string) kv.Key     { return kv.Key{'q'}.Str(name) }
func tagsKey(name string) kv.Key      { return kv.Key{'t'}.Str(name) }
func tombstoneKey(name string) kv.Key { return kv.Key{'d'}.Str(name) }
func purgedKey(queue uint64) kv.Key   { return kv.Key{'p'}.Uint(queue) }

// queuesFrom is the range of queues whose names begin with prefix and come after the name given; an empty name is before all.
func queuesFrom(prefix, after string) kv.Range {
	r := kv.PrefixRange(append(kv.Key{'q'}, prefix...))
	if start := kv.PrefixRange(queueKey(after)).End; after != "" && string(start) > string(r.Start) {
		r.Start = start
	}
	return r
}

func queueNameOf(key []byte) (string, error) {
	r := kv.ReadKey(key, []byte{'q'})
	return r.Str(), r.Err()
}

// messagesPrefix is what all changes that a receiver may wait for lie below.
func messagesPrefix(queue uint64) kv.Key { return kv.Key{'m'}.Uint(queue) }

// waitingLog is the log of the messages that nobody has received yet.
func waitingLog(queue uint64) kv.Key   { return messagesPrefix(queue).Raw('v') }
func orderPrefix(queue uint64) kv.Key  { return messagesPrefix(queue).Raw('x') }
func flightPrefix(queue uint64) kv.Key { return kv.Key{'f'}.Uint(queue) }

func flightKey(queue uint64, id messageID) kv.Key { return flightPrefix(queue).Raw(id[:]...) }

// sourcesPrefix is where the queues stand that give messages up to the dead-letter queue of that name.
func sourcesPrefix(deadLetter string) kv.Key     { return kv.Key{'s'}.Str(deadLetter) }
func sourceKey(deadLetter, source string) kv.Key { return sourcesPrefix(deadLetter).Str(source) }

// A FIFO queue has its groups, and the messages of each in the order of their sequence numbers.
func groupsPrefix(queue uint64) kv.Key  { return kv.Key{'g'}.Uint(queue) }
func membersPrefix(queue uint64) kv.Key { return kv.Key{'n'}.Uint(queue) }

func groupKey(queue uint64, group string) kv.Key  { return groupsPrefix(queue).Str(group) }
func membersOf(queue uint64, group string) kv.Key { return membersPrefix(queue).Str(group) }
func groupOrderKey(queue uint64, next time.Time, group string) kv.Key {
	return orderPrefix(queue).Time(next).Raw([]byte(group)...)
}

func memberKey(queue uint64, group string, sequence uint64) kv.Key {
	return membersOf(queue, group).Uint(sequence)
}

// Tokens are what is remembered for five minutes: deduplication ids ('d') and receive attempts ('r'). Expiries say when which of them goes.
func tokensPrefix(queue uint64) kv.Key   { return kv.Key{'e'}.Uint(queue) }
func expiriesPrefix(queue uint64) kv.Key { return kv.Key{'x'}.Uint(queue) }

// dedupKey is where a deduplication id is remembered: for a group, or with an empty group for the queue.
func dedupKey(queue uint64, group, id string) kv.Key {
	return tokensPrefix(queue).Raw('d').Str(group).Str(id)
}
func retryKey(queue uint64, id string) kv.Key { return tokensPrefix(queue).Raw('r').Str(id) }

// tasksPrefix is where the move tasks out of a queue stand, by when they began.
func tasksPrefix(queue uint64) kv.Key { return kv.Key{'k'}.Uint(queue) }

// order is the place of a flight among the others of its queue.
type order struct {
	visible time.Time
	id      messageID
}

func orderKey(queue uint64, o order) kv.Key {
	return orderPrefix(queue).Time(o.visible).Raw(o.id[:]...)
}

func parseOrder(queue uint64, key []byte) (o order, err error) {
	r := kv.ReadKey(key, orderPrefix(queue))
	o.visible = r.Time()
	if r.Err() != nil || len(r.Rest()) != len(o.id) {
		return o, kv.ErrBadKey
	}
	o.id = messageID(r.Rest())
	return o, nil
}

// visibleBy is the range of the places of flights that are visible at t, visibleAfter that of the others.
func visibleBy(queue uint64, t time.Time) kv.Range {
	return kv.Range{Start: orderPrefix(queue), End: visibleAfter(queue, t).Start}
}

func visibleAfter(queue uint64, t time.Time) kv.Range {
	return kv.Range{Start: orderPrefix(queue).Time(t.Add(1)), End: kv.PrefixRange(orderPrefix(queue)).End}
}
