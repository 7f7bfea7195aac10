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

// settingKey is where a bucket keeps one of its settings.
func settingKey(bucket, kind string) kv.Key { return kv.Key{'s'}.Str(bucket).Raw([]byte(kind)...) }

func settingsRange(bucket string) kv.Range { return kv.PrefixRange(kv.Key{'s'}.Str(bucket)) }

func objectsPrefix(bucket string) kv.Key { return kv.Key{'k'}.Str(bucket) }

func objectKey(bucket, key string) kv.Key { return objectsPrefix(bucket).Raw([]byte(key)...) }

// dataKey is where the content of an object lies beside its row: a small body itself, or the list of the parts of a large one.
func dataKey(bucket, key string) kv.Key { return kv.Key{'d'}.Str(bucket).Raw([]byte(key)...) }

// versionDataKey is dataKey for a version that has an id.
func versionDataKey(bucket, key, id string) kv.Key {
	return kv.Key{'e'}.Str(bucket).Str(key).Raw([]byte(id)...)
}

func versionsPrefix(bucket string) kv.Key { return kv.Key{'v'}.Str(bucket) }

// versionKey sorts the versions of an object from the newest to the oldest.
func versionKey(bucket, key string, seq uint64) kv.Key {
	return versionsPrefix(bucket).Str(key).Uint(^seq)
}

// versionsRange covers the older versions of one object.
func versionsRange(bucket, key string) kv.Range {
	return kv.PrefixRange(versionsPrefix(bucket).Str(key))
}

// nullKey is where the place of an object's null version stands, when that is not the current object.
func nullKey(bucket, key string) kv.Key { return kv.Key{'n'}.Str(bucket).Raw([]byte(key)...) }

func uploadsPrefix(bucket string) kv.Key { return kv.Key{'u'}.Str(bucket) }

func uploadKey(bucket, key, id string) kv.Key {
	return uploadsPrefix(bucket).Str(key).Raw([]byte(id)...)
}

func partsPrefix(bucket, id string) kv.Key { return kv.Key{'p'}.Str(bucket).Str(id) }

func partKey(bucket, id string, number int32) kv.Key {
	return partsPrefix(bucket, id).Uint(uint64(number))
}
