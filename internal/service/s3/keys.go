package s3

import (
	"croft/internal/kv"
)

func bucketKey(name string) kv.Key { return kv.Key{'b'}.Raw([]byte(name)...) }

func ownedPrefix(account string) kv.Key { return kv.Key{'o'}.Str(account) }

func ownedKey(account, name string) kv.Key { return ownedPrefix(account).Raw([]byte(name)...) }

// ownedRange covers the account's buckets whose names begin with prefix and sort after after, if that is not empty.
func ownedRange(account, prefix, after string) kv.Range {
	r := kv.PrefixRange(ownedKey(account, prefix))
	if after >= prefix && after != "" {
		r.Start = append(ownedKey(account, after), 0)
	}
	return r
}

func countKey(account string) kv.Key { return kv.Key{'c'}.Raw([]byte(account)...) }
