package sqs

import (
	"encoding/binary"
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

func waitingPrefix(queue uint64) kv.Key { return messagesPrefix(queue).Raw('v') }
func orderPrefix(queue uint64) kv.Key   { return messagesPrefix(queue).Raw('x') }
func flightPrefix(queue uint64) kv.Key  { return kv.Key{'f'}.Uint(queue) }

const (
	waitingKeyLen = 1 + 8 + 1 + 8 + 8
	orderKeyLen   = 1 + 8 + 1 + 8 + len(messageID{})
	// visibleOffset is where the time stands in both.
	visibleOffset = 1 + 8 + 1
)

// waitingKey is built in one allocation: it is made for each message sent.
func waitingKey(queue uint64, visible time.Time, sequence uint64) kv.Key {
	k := append(make([]byte, 0, waitingKeyLen), 'm')
	k = binary.BigEndian.AppendUint64(k, queue)
	k = append(k, 'v')
	k = binary.BigEndian.AppendUint64(k, uint64(visible.UnixNano())^1<<63)
	return binary.BigEndian.AppendUint64(k, sequence)
}

func orderKey(queue uint64, visible time.Time, id messageID) kv.Key {
	return orderPrefix(queue).Time(visible).Raw(id[:]...)
}

func flightKey(queue uint64, id messageID) kv.Key { return flightPrefix(queue).Raw(id[:]...) }

// visibleAt returns the time in the key of a waiting or order row.
func visibleAt(key []byte) (time.Time, error) {
	r := kv.ReadKey(key, key[:min(visibleOffset, len(key))])
	return r.Time(), r.Err()
}

// idInOrder returns the message id in the key of an order row.
func idInOrder(key []byte) (id messageID, err error) {
	if len(key) != orderKeyLen {
		return id, kv.ErrBadKey
	}
	copy(id[:], key[orderKeyLen-len(id):])
	return id, nil
}

// visibleBefore is the range of the rows below prefix that became visible before t.
func visibleBefore(prefix kv.Key, t time.Time) kv.Range {
	return kv.Range{Start: prefix, End: prefix.Time(t)}
}
