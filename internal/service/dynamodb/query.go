package dynamodb

import (
	"bytes"
	"context"
	"slices"

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
	// filterName is what messages call the filter.
	filterName string
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
		src, err := t.source(in.IndexName, in.ConsistentRead)
		if err != nil {
			return err
		}
		rng, err := q.rng(src)
		if err == nil {
			err = q.checkFilter(src)
		}
		if err != nil {
			return err
		}
		return q.readSource(ctx, r, src, rng, true)
	})
	if err != nil {
		return nil, err
	}
	return &api.QueryOutput{
		Items: q.items, Count: wire.Ptr(q.count), ScannedCount: wire.Ptr(q.scanned), LastEvaluatedKey: q.last,
		ConsumedCapacity: q.consumedRead(in.ReturnConsumedCapacity, name),
	}, nil
}

// parseQuery checks what can be checked without the table, in DynamoDB's order.
func parseQuery(in *api.QueryInput) (*query, error) {
	exprs := expressions{in.ExpressionAttributeNames, in.ExpressionAttributeValues,
		[]param{{projectionParam, in.ProjectionExpression != nil}, {filterParam, in.FilterExpression != nil},
			{"KeyConditionExpression", in.KeyConditionExpression != nil}},
		[]param{{"AttributesToGet", in.AttributesToGet != nil}, {"QueryFilter", in.QueryFilter != nil},
			// With the other expressions KeyConditions are no conflict.
			{"ConditionalOperator", in.ConditionalOperator != nil}, {"KeyConditions", in.KeyConditions != nil && in.KeyConditionExpression != nil}},
		in.ConditionalOperator, len(in.QueryFilter)}
	if err := exprs.check(); err != nil {
		return nil, err
	}
	filter, err := clauses(in.QueryFilter)
	if err != nil {
		return nil, err
	}
	projection, err := wanted(in.AttributesToGet)
	if err != nil {
		return nil, err
	}
	if err := checkValues(in.ExclusiveStartKey); err != nil {
		return nil, badStart(err)
	}
	if in.KeyConditionExpression == nil && in.KeyConditions == nil {
		return nil, validation("Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.")
	}
	if err := checkSelect(in.Select, in.IndexName, in.ProjectionExpression, in.AttributesToGet); err != nil {
		return nil, err
	}
	set, err := exprs.set()
	if err != nil {
		return nil, err
	}
	q := &query{page: *newPage(in.Limit, in.Select, in.ConsistentRead), start: in.ExclusiveStartKey}
	q.reverse = in.ScanIndexForward != nil && !*in.ScanIndexForward
	q.projection, q.filter, q.filterName = projection, expression.Clauses(filter, joinsByOr(in.ConditionalOperator)), "Filter Expression"
	if q.filter != nil {
		q.filterName = "QueryFilter"
	}
	return q, q.parseKeys(set, in)
}

// parseKeys takes over the expressions of a query, or KeyConditions and the other expressions.
func (q *query) parseKeys(set *expression.Set, in *api.QueryInput) (err error) {
	var keys *expression.Condition
	if in.KeyConditionExpression != nil {
		if keys, err = set.Condition("KeyConditionExpression", *in.KeyConditionExpression); err != nil {
			return err
		}
	}
	if err := q.parse(set, in.FilterExpression, in.ProjectionExpression); err != nil {
		return err
	}
	if err := set.Unused(); err != nil {
		return err
	}
	if keys != nil {
		q.keys, err = keys.KeyConditions()
	} else {
		q.keys, err = legacyKeys(in.KeyConditions)
	}
	// The keys of an index may have more attributes.
	if err == nil && (len(q.keys) == 0 || len(q.keys) > 2 && in.IndexName == nil) {
		err = validation("Conditions can be of length 1 or 2 only")
	}
	return err
}

func legacyKeys(conditions map[string]api.Condition) ([]expression.KeyCondition, error) {
	given, err := clauses(conditions)
	if err != nil {
		return nil, err
	}
	keys := make([]expression.KeyCondition, len(given))
	for i := range given {
		keys[i] = given[i].KeyCondition()
	}
	return keys, nil
}

// rng returns the keys that the query has yet to read.
func (q *query) rng(s *source) (kv.Range, error) {
	if q.start != nil {
		if err := s.checkStartSize(q.start); err != nil {
			return kv.Range{}, err
		}
	}
	partition, sort, err := q.conditions(s)
	if err != nil {
		return kv.Range{}, err
	}
	whole, rng, err := s.queryRange(partition, sort)
	if err != nil {
		return kv.Range{}, err
	}
	err = q.from(s, whole, sort, &rng)
	return rng, err
}

// conditions returns the conditions on the attributes of the partition key, and those on the first attributes of the sort key. As on AWS,
// it goes through the attributes of the key one by one, and checks what the starting key has of each first.
func (q *query) conditions(s *source) (partition, sort []*expression.KeyCondition, err error) {
	parts := slices.Concat(s.partition, s.sort)
	if len(q.keys) > len(parts) {
		return nil, nil, validation("Query key condition not supported")
	}
	for i, part := range parts {
		if q.start != nil {
			if err := s.checkStartPart(q.start, part); err != nil {
				return nil, nil, err
			}
		}
		found := q.condition(part.name)
		if found == nil {
			if i < len(s.partition) || len(partition)+len(sort) < len(q.keys) {
				return nil, nil, validation("Query condition missed key schema element: %s", part.name)
			}
			continue
		}
		if !found.Indexable() {
			return nil, nil, validation("Attempted conditional constraint is not an indexable operation")
		}
		if err := checkKeyValues(part, found); err != nil {
			return nil, nil, err
		}
		// What comes before the last condition says where in the order of keys it counts.
		if i < len(s.partition) && found.Op != "=" || len(sort) > 0 && sort[len(sort)-1].Op != "=" {
			return nil, nil, validation("Query key condition not supported")
		}
		if i < len(s.partition) {
			partition = append(partition, found)
		} else {
			sort = append(sort, found)
		}
	}
	return partition, sort, nil
}

// condition returns what is asked of the attribute called name, nil when it is nothing.
func (q *query) condition(name string) *expression.KeyCondition {
	for i := range q.keys {
		if q.keys[i].Name == name {
			return &q.keys[i]
		}
	}
	return nil
}

func checkKeyValues(part keyPart, c *expression.KeyCondition) error {
	for _, v := range c.Values {
		if typeOf(&v) != part.typ {
			return invalid("Condition parameter type does not match schema type")
		}
		if kind := emptyKind(&v); kind != "" {
			return validation("One or more parameter values are not valid. "+
				"The AttributeValue for a key attribute cannot contain an empty %s value. Key: %s", kind, part.name)
		}
	}
	return nil
}

// queryRange returns the keys of the partition, and those of them that meet the conditions on the sort key.
func (s *source) queryRange(partition, sort []*expression.KeyCondition) (whole, rng kv.Range, err error) {
	values, size := make([][]byte, len(partition)), 0
	for i, c := range partition {
		if values[i], err = keyBytes(nil, c.Values[0]); err != nil {
			return whole, rng, err
		}
		size += len(values[i])
	}
	if size > maxPartitionKey {
		return whole, rng, invalid("Size of hashkey has exceeded the maximum size limit of%d bytes", maxPartitionKey)
	}
	prefix := s.partitionKey(values)
	whole = kv.PrefixRange(prefix)
	rng = whole
	for _, c := range sort {
		var bounds [2][]byte
		for i, v := range c.Values {
			if bounds[i], err = keyBytes(nil, v); err != nil {
				return whole, rng, err
			}
			if len(bounds[i]) > maxSortKey {
				return whole, rng, invalid("Aggregated size of all range keys has exceeded the size limit of %d bytes", maxSortKey)
			}
		}
		rng = s.meet(prefix, c.Op, bounds[0], bounds[1])
		// Only an equal value has another condition after it.
		prefix = rng.Start
	}
	return whole, rng, nil
}

// meet returns the keys below prefix whose next sort key meets a condition.
func (s *source) meet(prefix kv.Key, op string, low, high []byte) kv.Range {
	rng, at := kv.PrefixRange(prefix), s.at(prefix, low)
	switch op {
	case "=":
		return at
	case "<":
		rng.End = at.Start
	case "<=":
		rng.End = at.End
	case ">":
		rng.Start = at.End
	case ">=":
		rng.Start = at.Start
	case "BETWEEN":
		rng = kv.Range{Start: at.Start, End: s.at(prefix, high).End}
	default:
		rng = s.beginning(prefix, low)
	}
	return rng
}

// after returns the first key that can follow key: every key of another item is larger or does not follow it.
func after(key kv.Key) kv.Key { return append(bytes.Clone(key), 0) }

// from narrows rng to what comes after ExclusiveStartKey.
func (q *query) from(s *source, whole kv.Range, sort []*expression.KeyCondition, rng *kv.Range) error {
	if q.start == nil {
		return nil
	}
	start, err := s.startKey(q.start)
	if err != nil {
		return err
	}
	switch {
	case len(sort) == 0 && !whole.Contains(start):
		return validation("The provided starting key is outside query boundaries based on provided conditions")
	case !startMeets(q.start, sort), whole.Contains(start) && !rng.Contains(start):
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

// startMeets reports whether a starting key is one that the conditions on the sort key could have given.
func startMeets(start map[string]api.AttributeValue, sort []*expression.KeyCondition) bool {
	for _, c := range sort {
		if v, ok := start[c.Name]; ok && !c.Meets(&v) {
			return false
		}
	}
	return true
}

// checkFilter refuses a filter on the key, which is what key conditions are for.
func (q *query) checkFilter(s *source) error {
	if q.filter == nil {
		return nil
	}
	found := map[string]bool{}
	q.filter.Heads(func(name string, _ bool) { found[name] = true })
	for _, part := range slices.Concat(s.partition, s.sort) {
		if found[part.name] {
			return validation("%s can only contain non-primary key attributes: Primary key attribute: %s", q.filterName, part.name)
		}
	}
	return nil
}
