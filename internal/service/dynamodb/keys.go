package dynamodb

import (
	"crypto/md5"
	"encoding/binary"
	"math/bits"

	"croft/internal/kv"
)

func tableKey(name string) kv.Key { return kv.Key{'t'}.Raw([]byte(name)...) }

// tableRange covers the definitions of the tables whose names sort after name, in the order of names.
func tableRange(after string) kv.Range {
	r := kv.PrefixRange([]byte{'t'})
	if after != "" {
		r.Start = append(tableKey(after), 0)
	}
	return r
}

func (t *table) countKey() kv.Key { return kv.Key{'n'}.Raw(t.id[:]...) }

func (t *table) sizeKey() kv.Key { return kv.Key{'s'}.Raw(t.id[:]...) }

func (t *table) itemPrefix() kv.Key { return kv.Key{'i'}.Raw(t.id[:]...) }

func (t *table) items() kv.Range { return kv.PrefixRange(t.itemPrefix()) }

// itemKey returns the key of an item: partition is the partition key's value as bytes and sort the sort key's, in the form of keyBytes.
func (t *table) itemKey(partition, sort []byte) kv.Key {
	k := make(kv.Key, 0, len(t.id)+len(partition)+len(sort)+32)
	k = append(append(k, 'i'), t.id[:]...)
	k = binary.BigEndian.AppendUint64(k, partitionHash(partition))
	for _, b := range partition {
		k = append(k, b)
		if b == 0 {
			k = append(k, 0xff)
		}
	}
	k = append(k, 0, 1)
	return append(k, sort...)
}

// hashSeed goes into the hash before the key: with it, a Scan has the order that DynamoDB's own tables were observed to have.
const hashSeed = "Outliers"

// partitionHash spreads partitions over a table. It is no protection: a client that chooses its keys can choose their order.
func partitionHash(partition []byte) uint64 {
	var room [128]byte
	sum := md5.Sum(append(append(room[:0], hashSeed...), partition...))
	return binary.BigEndian.Uint64(sum[:8])
}

// segment returns the keys in one of total equal parts of what lies below prefix: the items of a table or the entries of an index.
func segment(prefix kv.Key, number, total int32) kv.Range {
	r := kv.PrefixRange(prefix)
	if number > 0 {
		r.Start = prefix.Uint(segmentStart(number, total))
	}
	if number+1 < total {
		r.End = prefix.Uint(segmentStart(number+1, total))
	}
	return r
}

// segmentStart returns the smallest hash of a part: the number-th of total steps through all hashes, rounded up.
func segmentStart(number, total int32) uint64 {
	quotient, rest := bits.Div64(uint64(number), 0, uint64(total))
	if rest > 0 {
		quotient++
	}
	return quotient
}
