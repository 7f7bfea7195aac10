package dynamodb

import (
	"context"
	"maps"
	"slices"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/kv"
)

// Limits of batches. Source: API reference, BatchGetItem and BatchWriteItem.
const (
	maxBatchGets   = 100
	maxBatchWrites = 25
	// maxBatchBytes bounds what BatchGetItem answers: the item that would pass it and those after it are not read.
	maxBatchBytes = 16 << 20
)

// batchGet is a get with the name under which its table was asked for.
type batchGet struct {
	get
	given      string
	consistent *bool
}

// BatchGetItem reads items by their keys, from several tables, in one snapshot.
func (s *Service) BatchGetItem(ctx context.Context, in *api.BatchGetItemInput) (*api.BatchGetItemOutput, error) {
	gets, err := s.batchGets(ctx, in)
	if err != nil {
		return nil, err
	}
	var out *api.BatchGetItemOutput
	err = s.space(ctx).View(ctx, func(ctx context.Context, r kv.Reader) error {
		keys := make([]kv.Key, len(gets))
		seen := make(map[string]bool, len(gets))
		for i := range gets {
			t, err := s.tableForItems(r, gets[i].table)
			if err != nil {
				return err
			}
			if keys[i], err = gets[i].check(t); err != nil {
				return err
			}
			if seen[string(keys[i])] {
				return errDuplicates()
			}
			seen[string(keys[i])] = true
		}
		out, err = readBatch(ctx, r, gets, keys, in)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func errDuplicates() error { return validation("Provided list of item keys contains duplicates") }

// batchGets returns what a BatchGetItem reads, in the order of tables and keys.
func (s *Service) batchGets(ctx context.Context, in *api.BatchGetItemInput) ([]batchGet, error) {
	var gets []batchGet
	for _, given := range slices.Sorted(maps.Keys(in.RequestItems)) {
		name, err := s.tableName(ctx, given)
		if err != nil {
			return nil, err
		}
		req := in.RequestItems[given]
		exprs := readExpressions(req.ExpressionAttributeNames, req.ProjectionExpression, req.AttributesToGet)
		if err := exprs.check(); err != nil {
			return nil, err
		}
		projection, err := exprs.readProjection(req.ProjectionExpression, req.AttributesToGet)
		if err != nil {
			return nil, err
		}
		seen := make(map[string]bool, len(req.Keys))
		for _, key := range req.Keys {
			canonical, _, err := encodeItem(key)
			if err != nil {
				return nil, err
			}
			if seen[string(canonical)] {
				return nil, errDuplicates()
			}
			seen[string(canonical)] = true
			gets = append(gets, batchGet{get{name, key, projection}, given, req.ConsistentRead})
			if len(gets) > maxBatchGets {
				return nil, validation("Too many items requested for the BatchGetItem call")
			}
		}
	}
	return gets, nil
}

func readBatch(ctx context.Context, r kv.Reader, gets []batchGet, keys []kv.Key, in *api.BatchGetItemInput) (*api.BatchGetItemOutput, error) {
	out := &api.BatchGetItemOutput{
		Responses: map[string][]map[string]api.AttributeValue{}, UnprocessedKeys: map[string]api.KeysAndAttributes{},
	}
	units := make(spending)
	total := 0
	for i := range gets {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		g := &gets[i]
		if out.Responses[g.given] == nil {
			out.Responses[g.given] = []map[string]api.AttributeValue{}
		}
		item, size, err := g.read(r, keys[i])
		if err != nil {
			return nil, err
		}
		if total += size; total > maxBatchBytes {
			left, ok := out.UnprocessedKeys[g.given]
			if !ok {
				left = in.RequestItems[g.given]
				left.Keys = nil
			}
			left.Keys = append(left.Keys, g.key)
			out.UnprocessedKeys[g.given] = left
			continue
		}
		units.add(g.table, readUnits(size, g.consistent))
		if item != nil {
			out.Responses[g.given] = append(out.Responses[g.given], item)
		}
	}
	out.ConsumedCapacity = consumedAll(in.ReturnConsumedCapacity, units)
	return out, nil
}

// BatchWriteItem puts and deletes items in several tables. All of it commits together, which AWS does not promise.
func (s *Service) BatchWriteItem(ctx context.Context, in *api.BatchWriteItemInput) (*api.BatchWriteItemOutput, error) {
	writes, err := s.batchWrites(ctx, in)
	if err != nil {
		return nil, err
	}
	for _, w := range writes {
		w.metrics = wantsMetrics(in.ReturnItemCollectionMetrics)
	}
	var units spending
	var sizes collected
	err = s.space(ctx).Update(ctx, func(_ context.Context, tx kv.Tx) error {
		units, sizes = make(spending), nil
		targets, err := s.batchTargets(tx, writes)
		if err != nil {
			return err
		}
		for i, w := range writes {
			done, err := w.apply(tx, targets[i].table, targets[i].key)
			if err != nil {
				return err
			}
			units.addWrite(w.table, writeUnits(done.old.size, done.size), done.indexes, 1)
			sizes.add(targets[i].table, done.collection)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &api.BatchWriteItemOutput{
		UnprocessedItems: map[string][]api.WriteRequest{}, ItemCollectionMetrics: sizes,
		ConsumedCapacity: consumedAll(in.ReturnConsumedCapacity, units),
	}, nil
}

// batchWrites returns what a BatchWriteItem writes, in the order of tables and requests.
func (s *Service) batchWrites(ctx context.Context, in *api.BatchWriteItemInput) ([]*write, error) {
	var writes []*write
	for _, given := range slices.Sorted(maps.Keys(in.RequestItems)) {
		name, err := s.tableName(ctx, given)
		if err != nil {
			return nil, err
		}
		for _, req := range in.RequestItems[given] {
			w := &write{table: name}
			switch {
			case (req.PutRequest == nil) == (req.DeleteRequest == nil):
				return nil, validation("Supplied AttributeValue has more than one datatypes set, " +
					"must contain exactly one of the supported datatypes")
			case req.PutRequest != nil:
				if err := w.setItem(req.PutRequest.Item); err != nil {
					return nil, err
				}
				if w.size > maxItemBytes {
					return nil, errItemSize()
				}
			default:
				w.kind, w.item = writeDelete, req.DeleteRequest.Key
				if err := checkValues(w.item); err != nil {
					return nil, err
				}
			}
			writes = append(writes, w)
			if len(writes) > maxBatchWrites {
				return nil, validation("Too many items requested for the BatchWriteItem call")
			}
		}
	}
	return writes, nil
}

// target is where a write goes.
type target struct {
	table *table
	key   kv.Key
}

func (s *Service) batchTargets(r kv.Reader, writes []*write) ([]target, error) {
	targets := make([]target, len(writes))
	seen := make(map[string]bool, len(writes))
	for i, w := range writes {
		t, err := s.tableForItems(r, w.table)
		if err != nil {
			return nil, err
		}
		key, err := w.batchKey(t)
		if err != nil {
			return nil, err
		}
		if seen[string(key)] {
			return nil, errDuplicates()
		}
		seen[string(key)] = true
		targets[i] = target{t, key}
	}
	return targets, nil
}

// batchKey is key with the words of a batch: a put whose key is not there or of another type does not match the schema.
func (w *write) batchKey(t *table) (kv.Key, error) {
	if w.kind == writePut {
		for _, part := range t.keys() {
			if v, ok := w.item[part.name]; !ok || typeOf(&v) != part.typ {
				return nil, validation("The provided key element does not match the schema")
			}
		}
	}
	return w.key(t)
}
