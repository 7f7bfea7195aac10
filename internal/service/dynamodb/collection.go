package dynamodb

import (
	api "croft/internal/awsapi/dynamodb"
	"croft/internal/kv"
	"croft/internal/wire"
)

// An item collection is the items of one partition with their entries in local indexes. Its size is a counter, in tables that have local
// indexes alone.

// collectionKey returns the key of the counter for the collection of the item at itemKey.
func (t *table) collectionKey(partition api.AttributeValue) (kv.Key, error) {
	value, err := keyBytes(nil, partition)
	if err != nil {
		return nil, err
	}
	return append(kv.Key{'C'}, t.itemKey(value, nil)[1:]...), nil
}

// collections covers the counters of a table.
func (t *table) collections() kv.Range { return kv.PrefixRange(kv.Key{'C'}.Raw(t.id[:]...)) }

func (t *table) hasLocal() bool {
	for _, x := range t.Indexes {
		if x.Local {
			return true
		}
	}
	return false
}

// grow brings the size of an item's collection up to date and returns what ReturnItemCollectionMetrics tells of it, when that is wanted.
func (t *table) grow(tx kv.Tx, item attributes, by int, wanted bool) (*api.ItemCollectionMetrics, error) {
	if !t.hasLocal() || !wanted && by == 0 {
		return nil, nil
	}
	partition := item[t.partition.name]
	key, err := t.collectionKey(partition)
	if err != nil {
		return nil, err
	}
	if by != 0 {
		if err := tx.Add(key, int64(by)); err != nil {
			return nil, err
		}
	}
	if !wanted {
		return nil, nil
	}
	// It is an estimate, as on AWS, and no reason to run again.
	size, err := counter(tx.Loose(), key)
	if err != nil {
		return nil, err
	}
	low := float64(size >> 30)
	return &api.ItemCollectionMetrics{ItemCollectionKey: attributes{t.partition.name: partition}, SizeEstimateRangeGB: []float64{low, low + 1}}, nil
}

// wantsMetrics reports whether ReturnItemCollectionMetrics asks for the sizes of collections.
func wantsMetrics(mode *string) bool { return wire.Value(mode) == "SIZE" }

// collected are the metrics of the writes of a batch or a transaction, by table; a collection that several change is told once.
type collected map[string][]api.ItemCollectionMetrics

func (c *collected) add(t *table, m *api.ItemCollectionMetrics) {
	if m == nil {
		return
	}
	if *c == nil {
		*c = collected{}
	}
	value := m.ItemCollectionKey[t.partition.name]
	for i, other := range (*c)[t.Name] {
		if was := other.ItemCollectionKey[t.partition.name]; sameScalar(&was, &value) {
			(*c)[t.Name][i] = *m
			return
		}
	}
	(*c)[t.Name] = append((*c)[t.Name], *m)
}
