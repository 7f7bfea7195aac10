package dynamodb

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/service/dynamodb/expression"
)

// attributes are those of an item.
type attributes = map[string]api.AttributeValue

// has reports whether an item has an entry in the index: it has all of the index's key, of the right types.
func (x *index) has(item attributes) bool {
	for _, part := range x.all {
		if v, ok := item[part.name]; !ok || typeOf(&v) != part.typ || emptyKind(&v) != "" {
			return false
		}
	}
	return true
}

// appendPart appends the value of one key attribute so that no value is the beginning of another and the order stays that of values.
func appendPart(key kv.Key, value []byte) kv.Key { return append(appendEscaped(key, value), 0, 1) }

// appendEscaped is appendPart without the end: what the values that begin with value begin with.
func appendEscaped(key kv.Key, value []byte) kv.Key {
	for _, b := range value {
		key = append(key, b)
		if b == 0 {
			key = append(key, 0xff)
		}
	}
	return key
}

// partitionPrefix returns what the keys of the entries of one partition begin with, with room for more; values are those of the partition
// key's attributes.
func (x *index) partitionPrefix(values [][]byte, room int) kv.Key {
	size := 0
	for _, v := range values {
		size += len(v) + 4
	}
	key := append(make(kv.Key, 0, 1+len(x.table.id)+4+8+size+room), 'x')
	key = binary.BigEndian.AppendUint32(append(key, x.table.id[:]...), x.Number)
	// With one attribute the order of a Scan is that of a table with the same key.
	hashed := values[0]
	if len(values) > 1 {
		hashed = nil
		for _, v := range values {
			hashed = appendPart(hashed, v)
		}
	}
	key = binary.BigEndian.AppendUint64(key, partitionHash(hashed))
	for _, v := range values {
		key = appendPart(key, v)
	}
	return key
}

// keyValues appends the values of key attributes as bytes to out, which together are no longer than limit. Numbers do not count.
func keyValues(out [][]byte, item attributes, parts []keyPart, limit int) (all [][]byte, ok bool, err error) {
	size := 0
	for _, part := range parts {
		b, err := keyBytes(nil, item[part.name])
		if err != nil {
			return nil, false, err
		}
		if part.typ != typeN {
			size += len(b)
		}
		out = append(out, b)
	}
	return out, size <= limit, nil
}

// entryKey returns the key of an item's entry: that of its partition, the sort key and, since items may have the same key in an index, the
// place of the item in the table. The item has the index's key and itemKey is its own.
func (x *index) entryKey(item attributes, itemKey kv.Key) (kv.Key, error) {
	var room [2][maxKeyAttributes][]byte
	partition, ok, err := keyValues(room[0][:0], item, x.partition, maxPartitionKey)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, invalid("Size of hashkey has exceeded the maximum size limit of%d bytes", maxPartitionKey)
	}
	sort, ok, err := keyValues(room[1][:0], item, x.sort, maxSortKey)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, invalid("Aggregated size of all range keys has exceeded the size limit of %d bytes", maxSortKey)
	}
	place := itemKey[1+len(x.table.id):]
	size := len(place)
	for _, v := range sort {
		size += len(v) + 4
	}
	key := x.partitionPrefix(partition, size)
	for _, v := range sort {
		key = appendPart(key, v)
	}
	return append(key, place...), nil
}

// entry is what an index has of an item.
type entry struct {
	key    kv.Key
	stored []byte
	size   int
}

// entry returns the entry of an item, nil when there is none. stored and size are the item's own.
func (x *index) entry(item attributes, itemKey kv.Key, stored []byte, size int) (*entry, error) {
	if item == nil || !x.has(item) {
		return nil, nil
	}
	key, err := x.entryKey(item, itemKey)
	if err != nil {
		return nil, err
	}
	if x.kept == nil {
		return &entry{key, stored, size}, nil
	}
	part := make(attributes, len(x.kept))
	for name := range x.kept {
		if v, ok := item[name]; ok {
			part[name] = v
		}
	}
	e := &entry{key: key}
	e.stored, e.size, err = encodeItem(part)
	return e, err
}

// change is an item before and after a write: a nil map where there is none.
type change struct {
	key                  kv.Key
	old, new             attributes
	oldStored, newStored []byte
	oldSize, newSize     int
}

// follow makes what follows from the change of an item in the table's stream, expiries, backup, indexes and collections, and notes in out what there is to answer.
func (t *table) follow(tx kv.Tx, w *write, c *change, out *written) (err error) {
	if err := t.record(tx, w, c); err != nil {
		return err
	}
	if err := t.moveExpiry(tx, c); err != nil {
		return err
	}
	if err := t.preserve(tx, c); err != nil {
		return err
	}
	if len(t.Indexes) == 0 {
		return nil
	}
	local := c.newSize - c.oldSize
	if out.indexes, err = t.reindex(tx, c, &local); err != nil {
		return err
	}
	out.collection, err = t.grow(tx, w.item, local, w.metrics)
	return err
}

// reindex brings the entries of an item up to date and returns the capacity that each index takes. It adds to local by how much the local
// indexes grow.
func (t *table) reindex(tx kv.Tx, c *change, local *int) ([]indexUnits, error) {
	var units []indexUnits
	for _, x := range t.Indexes {
		before, err := x.entry(c.old, c.key, c.oldStored, c.oldSize)
		if _, tooLong := refused(err); tooLong {
			// The item is older than the index, and the filling left it out.
			before, err = nil, nil
		}
		if err != nil {
			return nil, err
		}
		after, err := x.entry(c.new, c.key, c.newStored, c.newSize)
		if err != nil {
			return nil, err
		}
		if before != nil && x.Filling {
			// The item may be older than the index, and not entered yet.
			if _, err := tx.Get(before.key); errors.Is(err, kv.ErrNotFound) {
				before = nil
			} else if err != nil {
				return nil, err
			}
		}
		n, err := x.replace(tx, before, after)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			units = append(units, indexUnits{x, n})
		}
		if x.Local && after != nil {
			*local += after.size
		}
		if x.Local && before != nil {
			*local -= before.size
		}
	}
	return units, nil
}

// replace puts after in the place of before, either of which may be nil, and returns the capacity that it takes.
// Source: DynamoDB Developer Guide, "Provisioned throughput considerations for Global Secondary Indexes".
func (x *index) replace(tx kv.Tx, before, after *entry) (units float64, err error) {
	items, size := 0, 0
	if before != nil && after != nil && bytes.Equal(before.key, after.key) {
		if bytes.Equal(before.stored, after.stored) {
			return 0, nil
		}
		if err := tx.Put(after.key, after.stored); err != nil {
			return 0, err
		}
		return writeUnits(before.size, after.size), x.count(tx, 0, after.size-before.size)
	}
	if before != nil {
		if err := tx.Delete(before.key); err != nil {
			return 0, err
		}
		items, size, units = items-1, size-before.size, writeUnits(before.size, 0)
	}
	if after != nil {
		if err := tx.Put(after.key, after.stored); err != nil {
			return 0, err
		}
		items, size, units = items+1, size+after.size, units+writeUnits(0, after.size)
	}
	return units, x.count(tx, items, size)
}

// count brings the index's counters up to date.
func (x *index) count(tx kv.Tx, items, size int) error {
	if items != 0 {
		if err := tx.Add(x.countKey(), int64(items)); err != nil {
			return err
		}
	}
	if size == 0 {
		return nil
	}
	return tx.Add(x.sizeKey(), int64(size))
}

// checkIndexKeys refuses an item that has an attribute of an index's key which cannot be one. Of several indexes the first by name is
// told. was is the item before an update, which may leave alone what it does not change; nil for a put.
func (t *table) checkIndexKeys(item, was attributes, update bool) error {
	for _, check := range [...]func(*index, keyPart, *api.AttributeValue) error{indexKeyType, indexKeyEmpty} {
		for _, x := range t.byName {
			for _, part := range x.all {
				v, ok := item[part.name]
				if !ok {
					continue
				}
				if old, there := was[part.name]; update && there && sameScalar(&old, &v) {
					continue
				}
				err := check(x, part, &v)
				if err != nil && update && typeOf(&v) != part.typ {
					err = validation("The update expression attempted to update the secondary index key to unsupported type")
				}
				if err != nil && update && emptyKind(&v) != "" {
					err = validation("One or more parameter values are not valid. The update expression attempted to update a %s to a value "+
						"that is not supported. The AttributeValue for a key attribute cannot contain an empty %s value.", indexKeyWords, emptyKind(&v))
				}
				if err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func indexKeyType(x *index, part keyPart, v *api.AttributeValue) error {
	if actual := typeOf(v); actual != part.typ {
		return wrongIndexType(x, part, actual)
	}
	return nil
}

// checkIndexTypes refuses an update that is known beforehand to give a key of an index a value of the wrong type.
func (t *table) checkIndexTypes(u *expression.Update) error {
	if len(t.byName) == 0 {
		return nil
	}
	given := map[string]string{}
	u.Types(func(name, typ string) { given[name] = typ })
	for _, x := range t.byName {
		for _, part := range x.all {
			if actual := given[part.name]; actual != "" && actual != part.typ {
				return wrongIndexType(x, part, actual)
			}
		}
	}
	return nil
}

func wrongIndexType(x *index, part keyPart, actual string) error {
	return invalid("Type mismatch for Index Key %s Expected: %s Actual: %s IndexName: %s", part.name, part.typ, actual, x.Name)
}

// indexKeyWords stand in both errors of an empty index key, and in no other.
const indexKeyWords = "secondary index key"

func indexKeyEmpty(x *index, part keyPart, v *api.AttributeValue) error {
	if kind := emptyKind(v); kind != "" {
		return validation("One or more parameter values are not valid. A value specified for a %s is not supported. "+
			"The AttributeValue for a key attribute cannot contain an empty %s value. IndexName: %s, IndexKey: %s",
			indexKeyWords, kind, x.Name, part.name)
	}
	return nil
}

// emptyIndexKey reports whether e says that an index key is empty, which fails a transaction as a whole.
func emptyIndexKey(e *cloud.Error) bool { return strings.Contains(e.Message, indexKeyWords) }

// sameScalar reports whether two values are the same text, number or bytes. Values of other types are never the same.
func sameScalar(a, b *api.AttributeValue) bool {
	switch {
	case a.S != nil && b.S != nil:
		return *a.S == *b.S
	case a.N != nil && b.N != nil:
		return *a.N == *b.N
	case a.B != nil && b.B != nil:
		return bytes.Equal(a.B, b.B)
	}
	return false
}

// checkIndexPaths refuses paths that look for something below an attribute of an index's key.
func (t *table) checkIndexPaths(e pathed) error {
	if len(t.Indexes) == 0 {
		return nil
	}
	nested := map[string]bool{}
	e.Heads(func(name string, below bool) { nested[name] = nested[name] || below })
	for _, x := range t.byName {
		for _, part := range x.all {
			if nested[part.name] {
				return validation("Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: IndexKey: %s", part.name)
			}
		}
	}
	return nil
}
