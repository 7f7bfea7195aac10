package sns

import "croft/internal/kv"

func topicKey(name string) kv.Key { return kv.Key{'t'}.Str(name) }

// topicsAfter is the range of topics whose names come after the one given; an empty name is before all.
func topicsAfter(name string) kv.Range { return after(kv.Key{'t'}, topicKey(name), name != "") }

func topicNameOf(key []byte) (string, error) {
	r := kv.ReadKey(key, []byte{'t'})
	return r.Str(), r.Err()
}

// membersPrefix is where the subscriptions of a topic lie.
func membersPrefix(topic uint64) kv.Key { return kv.Key{'m'}.Uint(topic) }

func memberKey(topic uint64, protocol, endpoint string) kv.Key {
	return membersPrefix(topic).Str(protocol).Str(endpoint)
}

// membersAfter is the range of a topic's subscriptions behind the row at key; nil means all.
func membersAfter(topic uint64, key []byte) kv.Range {
	return after(membersPrefix(topic), key, key != nil)
}

// subscriptionKey is where the row with the key of a subscription's row lies.
func subscriptionKey(topicName, id string) kv.Key { return kv.Key{'s'}.Str(topicName).Str(id) }

// subscriptionsAfter is the range of all subscriptions behind the row at key; nil means all.
func subscriptionsAfter(key []byte) kv.Range { return after(kv.Key{'s'}, key, key != nil) }

// dedupKey is where a FIFO topic's message is remembered by its deduplication id; the group is empty where ids hold for the whole topic.
func dedupKey(topic uint64, group, id string) kv.Key {
	return kv.Key{'d'}.Uint(topic).Str(group).Str(id)
}

// expiryPrefix is where the keys of remembered messages lie in the order in which they were published.
func expiryPrefix(topic uint64) kv.Key { return kv.Key{'e'}.Uint(topic) }

// sequenceKey is where a FIFO topic keeps its last sequence number.
func sequenceKey(topic uint64) kv.Key { return kv.Key{'n'}.Uint(topic) }

// tokenKey is where what a token confirms lies.
func tokenKey(topicName, token string) kv.Key { return kv.Key{'c'}.Str(topicName).Str(token) }

// after is the range below prefix, or the part of it behind key. A key that is not below the prefix gives nothing beyond it.
func after(prefix kv.Key, key []byte, given bool) kv.Range {
	r := kv.PrefixRange(prefix)
	if next := string(key) + "\x00"; given && next > string(r.Start) {
		r.Start = []byte(next)
	}
	return r
}
