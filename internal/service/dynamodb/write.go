package dynamodb

import (
	"errors"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/service/dynamodb/expression"
)

// writeKind is what a write does.
type writeKind byte

const (
	writePut writeKind = iota
	writeDelete
	writeUpdate
	writeCheck
)

// write is one change of one item, checked as far as that goes without its table. It is immutable and may be applied again.
type write struct {
	kind writeKind
	// table is the name of the table.
	table string
	// item is the whole item of a put, otherwise its key.
	item   map[string]api.AttributeValue
	stored []byte
	size   int

	condition *expression.Condition
	update    *expression.Update
	// onFailure is ReturnValuesOnConditionCheckFailure.
	onFailure *string
	// wantOld and wantNew are whether the item before and after is to be answered.
	wantOld, wantNew bool
	// insert is whether there must be no such item yet.
	insert bool
	// metrics is whether the size of the item's collection is to be answered.
	metrics bool
	// expired is whether the item is deleted because its time to live is over.
	expired bool
}

// written is what a write did.
type written struct {
	old  previous
	size int
	// item is the item afterwards, where it was wanted.
	item map[string]api.AttributeValue
	// indexes is the capacity that the entries in indexes took.
	indexes []indexUnits
	// collection is the size of the item's collection, where it was wanted and the table has local indexes.
	collection *api.ItemCollectionMetrics
}

// setItem takes over the item of a put.
func (w *write) setItem(item map[string]api.AttributeValue) (err error) {
	w.item = item
	w.stored, w.size, err = encodeItem(item)
	return err
}

// key returns the key that w writes.
func (w *write) key(t *table) (kv.Key, error) {
	if w.kind == writePut {
		key, err := t.keyOfItem(w.item)
		if err == nil {
			err = t.checkIndexKeys(w.item, nil, false)
		}
		return key, err
	}
	key, err := t.keyOf(w.item)
	if err != nil || w.update == nil {
		return key, err
	}
	for _, part := range t.keys() {
		changed := false
		w.update.Heads(func(name string, _ bool) { changed = changed || name == part.name })
		if changed {
			return nil, invalid("Cannot update attribute %s. This attribute is part of the key", part.name)
		}
	}
	return key, t.checkIndexTypes(w.update)
}

// target returns the key that w writes, once its paths have been checked too.
func (w *write) target(t *table) (kv.Key, error) {
	key, err := w.key(t)
	if err == nil && w.update != nil {
		err = t.checkPaths(expression.Everywhere{Update: w.update})
	}
	if err == nil && w.condition != nil {
		err = t.checkPaths(w.condition)
	}
	return key, err
}

// apply does w. After an error the transaction must not commit.
func (w *write) apply(tx kv.Tx, t *table, key kv.Key) (out written, err error) {
	whole := w.condition != nil || w.wantOld || w.kind == writeUpdate || len(t.Indexes) > 0 || t.TTL != nil
	if out.old, err = readPrevious(tx, key, whole); err != nil {
		return out, err
	}
	if w.insert && out.old.there {
		return out, api.NewDuplicateItemException("Duplicate primary key exists in table")
	}
	if !w.condition.Match(out.old.attributes) {
		return out, conditionFailed(w.onFailure, out.old.attributes)
	}
	c := change{key: key, old: out.old.attributes, oldStored: out.old.stored, oldSize: out.old.size, new: w.item, newStored: w.stored}
	out.size = w.size
	switch w.kind {
	case writeCheck:
		out.size = out.old.size
		return out, nil
	case writeDelete:
		if !out.old.there {
			return out, nil
		}
		if err := tx.Delete(key); err != nil {
			return out, err
		}
		c.new = nil
		if err := t.follow(tx, w, &c, &out); err != nil {
			return out, err
		}
		return out, t.count(tx, out.old, nil)
	case writeUpdate:
		if c.new, c.newStored, out.size, err = w.updated(out.old); err != nil {
			return out, err
		}
		if !out.old.there && w.update != nil && w.update.OnlyRemoves() {
			// What only takes away makes no item. Source: tests of other implementations, verified against DynamoDB.
			out.size = 0
			return out, nil
		}
		if err := t.checkIndexKeys(c.new, c.old, true); err != nil {
			return out, err
		}
	}
	c.newSize = out.size
	if err := t.follow(tx, w, &c, &out); err != nil {
		return out, err
	}
	if err := tx.Put(key, c.newStored); err != nil {
		return out, err
	}
	if w.wantNew {
		// As it is stored, numbers are in the form in which they are answered.
		if out.item, _, err = decodeItem(c.newStored); err != nil {
			return out, err
		}
	}
	return out, t.count(tx, out.old, &out.size)
}

// updated returns the item that an update makes of old.
func (w *write) updated(old previous) (item attributes, stored []byte, size int, err error) {
	item = old.attributes
	if !old.there {
		item = w.item
	}
	if w.update != nil {
		if item, err = w.update.Apply(item); err != nil {
			return nil, nil, 0, err
		}
	}
	stored, size, err = encodeItem(item)
	if err == nil && size > maxItemBytes {
		err = validation("Item size to update has exceeded the maximum allowed size")
	}
	return item, stored, size, err
}

// previous is what a key held before a write.
type previous struct {
	there      bool
	stored     []byte
	size       int
	attributes map[string]api.AttributeValue
}

// readPrevious reads what key holds; its attributes only where they are wanted.
func readPrevious(r kv.Reader, key kv.Key, whole bool) (old previous, err error) {
	stored, err := r.Get(key)
	if errors.Is(err, kv.ErrNotFound) {
		return old, nil
	}
	if err != nil {
		return old, err
	}
	old.there, old.stored = true, stored
	if whole {
		old.attributes, old.size, err = decodeItem(stored)
		return old, err
	}
	old.size, err = storedSize(stored)
	return old, err
}

// refused reports whether err is one that a client is to see.
func refused(err error) (*cloud.Error, bool) {
	var e *cloud.Error
	return e, errors.As(err, &e)
}

// count brings the table's counters up to date for an item that took the place of old; a nil size means that there is none now.
func (t *table) count(tx kv.Tx, old previous, size *int) error {
	items, bytes := 0, -old.size
	if old.there {
		items--
	}
	if size != nil {
		items++
		bytes += *size
	}
	if items != 0 {
		if err := tx.Add(t.countKey(), int64(items)); err != nil {
			return err
		}
	}
	if bytes != 0 {
		return tx.Add(t.sizeKey(), int64(bytes))
	}
	return nil
}
