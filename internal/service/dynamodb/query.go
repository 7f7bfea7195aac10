package dynamodb

import (
	"bytes"
	"context"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/kv"
	"croft/internal/service/dynamodb/expression"
	"croft/internal/wire"
)

// query is what a Query asks for.
type query struct {
	page
	keys  []expression.KeyCondition
	start map[string]api.AttributeValue
	index *string
}

// Query reads the items of one partition in the order of their sort keys, page by page.
func (s *Service) Query(ctx context.Context, in *api.QueryInput) (*api.QueryOutput, error) {
	name, err := s.tableName(ctx, in.TableName)
	if err != nil {
		return nil, err
	}
	q, err := parseQuery(in)
	if err != nil {
		return nil, err
	}
	err = s.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) error {
		t, err := s.tableForItems(r, name)
		if err != nil {
			return err
		}
		rng, err := q.rng(t)
		if err != nil {
			return err
		}
		return q.read(ctx, r, t, rng)
	})
	if err != nil {
		return nil, err
	}
	return &api.QueryOutput{
		Items: q.items, Count: wire.Ptr(q.count), ScannedCount: wire.Ptr(q.scanned), LastEvaluatedKey: q.last,
		ConsumedCapacity: consumed(in.ReturnConsumedCapacity, name, readUnits(q.bytes, in.ConsistentRead)),
	}, nil
}

// parseQuery checks what can be checked without the table, in DynamoDB's order.
func parseQuery(in *api.QueryInput) (*query, error) {
	exprs := expressions{in.ExpressionAttributeNames, in.ExpressionAttributeValues,
		[]param{{projectionParam, in.ProjectionExpression != nil}, {filterParam, in.FilterExpression != nil},
			{"KeyConditionExpression", in.KeyConditionExpression != nil}},
		[]param{{"AttributesToGet", in.AttributesToGet != nil}, {"QueryFilter", in.QueryFilter != nil},
			{"ConditionalOperator", in.ConditionalOperator != nil}, {"KeyConditions", in.KeyConditions != nil && in.KeyConditionExpression != nil}}}
	if err := exprs.check("Query"); err != nil {
		return nil, err
	}
	// On AWS these go with the other expressions, which is no conflict to report.
	if err := refuse("Query", param{"KeyConditions", in.KeyConditions != nil}); err != nil {
		return nil, err
	}
	if err := checkValues(in.ExclusiveStartKey); err != nil {
		return nil, badStart(err)
	}
	if in.KeyConditionExpression == nil {
		return nil, validation("Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.")
	}
	if err := checkSelect(in.Select, in.IndexName, in.ProjectionExpression); err != nil {
		return nil, err
	}
	set, err := exprs.set()
	if err != nil {
		return nil, err
	}
	q := &query{page: *newPage(in.Limit, in.Select), start: in.ExclusiveStartKey, index: in.IndexName}
	q.reverse = in.ScanIndexForward != nil && !*in.ScanIndexForward
	keys, err := set.Condition("KeyConditionExpression", *in.KeyConditionExpression)
	if err != nil {
		return nil, err
	}
	if err := q.parse(set, in.FilterExpression, in.ProjectionExpression); err != nil {
		return nil, err
	}
	if err := set.Unused(); err != nil {
		return nil, err
	}
	if q.keys, err = keys.KeyConditions(); err != nil {
		return nil, err
	}
	if len(q.keys) > 2 {
		return nil, validation("Conditions can be of length 1 or 2 only")
	}
	return q, nil
}

// rng returns the keys that the query has yet to read.
func (q *query) rng(t *table) (kv.Range, error) {
	if q.index != nil {
		return kv.Range{}, validation("The table does not have the specified index: %s", *q.index)
	}
	if err := q.checkStart(t); err != nil {
		return kv.Range{}, err
	}
	partition, sort, err := q.conditions(t)
	if err != nil {
		return kv.Range{}, err
	}
	whole, rng, err := t.queryRange(partition, sort)
	if err != nil {
		return kv.Range{}, err
	}
	if err := q.from(t, whole, sort, &rng); err != nil {
		return kv.Range{}, err
	}
	if err := q.checkFilter(t); err != nil {
		return kv.Range{}, err
	}
	return rng, q.check(t)
}

// conditions returns the conditions on the partition key and on the sort key, which may have none.
func (q *query) conditions(t *table) (partition, sort *expression.KeyCondition, err error) {
	parts := t.keys()
	if len(q.keys) > len(parts) {
		return nil, nil, validation("Query key condition not supported")
	}
	for i, part := range parts {
		var found *expression.KeyCondition
		for k := range q.keys {
			if q.keys[k].Name == part.name {
				found = &q.keys[k]
			}
		}
		if found == nil {
			if i == 0 || len(q.keys) > 1 {
				return nil, nil, validation("Query condition missed key schema element: %s", part.name)
			}
			break
		}
		for _, v := range found.Values {
			if typeOf(&v) != part.typ {
				return nil, nil, invalid("Condition parameter type does not match schema type")
			}
			if kind := emptyKind(&v); kind != "" {
				return nil, nil, validation("One or more parameter values are not valid. "+
					"The AttributeValue for a key attribute cannot contain an empty %s value. Key: %s", kind, part.name)
			}
		}
		if i == 0 {
			if partition = found; found.Op != "=" {
				return nil, nil, validation("Query key condition not supported")
			}
			continue
		}
		sort = found
	}
	return partition, sort, nil
}

// queryRange returns the keys of the partition, and those of them that meet the condition on the sort key.
func (t *table) queryRange(partition, sort *expression.KeyCondition) (whole, rng kv.Range, err error) {
	value, err := keyBytes(nil, partition.Values[0])
	if err != nil {
		return whole, rng, err
	}
	if len(value) > maxPartitionKey {
		return whole, rng, invalid("Size of hashkey has exceeded the maximum size limit of%d bytes", maxPartitionKey)
	}
	prefix := t.itemKey(value, nil)
	whole = kv.PrefixRange(prefix)
	if sort == nil {
		return whole, whole, nil
	}
	var bounds [2]kv.Key
	for i, v := range sort.Values {
		b, err := keyBytes(nil, v)
		if err != nil {
			return whole, rng, err
		}
		if len(b) > maxSortKey {
			return whole, rng, invalid("Aggregated size of all range keys has exceeded the size limit of %d bytes", maxSortKey)
		}
		bounds[i] = t.itemKey(value, b)
	}
	rng = whole
	low := bounds[0]
	switch sort.Op {
	case "=":
		rng = kv.Range{Start: low, End: after(low)}
	case "<":
		rng.End = low
	case "<=":
		rng.End = after(low)
	case ">":
		rng.Start = after(low)
	case ">=":
		rng.Start = low
	case "BETWEEN":
		rng = kv.Range{Start: low, End: after(bounds[1])}
	default:
		rng = kv.PrefixRange(low)
	}
	return whole, rng, nil
}

// after returns the first key that can follow key: every key of another item is larger or does not follow it.
func after(key kv.Key) kv.Key { return append(bytes.Clone(key), 0) }

// checkStart checks the attributes of ExclusiveStartKey, which comes before the conditions.
func (q *query) checkStart(t *table) error {
	if q.start == nil {
		return nil
	}
	if len(q.start) != len(t.keys()) {
		return validation("The provided starting key is invalid")
	}
	for _, part := range t.keys() {
		v, ok := q.start[part.name]
		if !ok {
			return validation("The provided starting key is invalid")
		}
		if typeOf(&v) != part.typ {
			return validation("The provided key element does not match the schema")
		}
	}
	return nil
}

// from narrows rng to what comes after ExclusiveStartKey.
func (q *query) from(t *table, whole kv.Range, sort *expression.KeyCondition, rng *kv.Range) error {
	if q.start == nil {
		return nil
	}
	start, err := t.keyOf(q.start)
	if err != nil {
		return badStart(err)
	}
	switch {
	case sort == nil && !whole.Contains(start):
		return validation("The provided starting key is outside query boundaries based on provided conditions")
	case whole.Contains(start) && !rng.Contains(start):
		return validation("The provided starting key does not match the range key predicate")
	case !whole.Contains(start):
		return validation("The query can return at most one row and cannot be restarted")
	}
	if q.reverse {
		rng.End = start
		return nil
	}
	rng.Start = after(start)
	return nil
}

// checkFilter refuses a filter on the key, which is what key conditions are for.
func (q *query) checkFilter(t *table) error {
	if q.filter == nil {
		return nil
	}
	found := map[string]bool{}
	q.filter.Heads(func(name string, _ bool) { found[name] = true })
	for _, part := range t.keys() {
		if found[part.name] {
			return validation("Filter Expression can only contain non-primary key attributes: Primary key attribute: %s", part.name)
		}
	}
	return nil
}
