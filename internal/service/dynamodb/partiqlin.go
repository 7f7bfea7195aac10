package dynamodb

import (
	"bytes"
	"context"
	"slices"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/kv"
	"croft/internal/service/dynamodb/expression"
	"croft/internal/service/dynamodb/partiql"
	"croft/internal/wire"
)

// A SELECT whose condition on the partition key is IN, or OR between equal values, is a Query of one partition after the other.

// partition is one of the partitions that a SELECT names: its key's bytes, and the conditions with that key alone.
type partition struct {
	key   []byte
	where []partiql.Condition
}

// partitions returns the partitions that where names by IN, nil when it does not.
func (s *source) partitions(where []partiql.Condition) ([]partition, error) {
	if len(s.partition) != 1 {
		return nil, nil
	}
	part := s.partition[0]
	at := slices.IndexFunc(where, func(c partiql.Condition) bool { return c.Name == part.name && c.Key.Op == opIn })
	if at < 0 || slices.ContainsFunc(where, func(c partiql.Condition) bool { return c.Name == part.name && c.Key.Op == "=" }) {
		return nil, nil
	}
	var out []partition
	for _, v := range where[at].Key.Values {
		one := expression.KeyCondition{Name: part.name, Op: "=", Values: []api.AttributeValue{v}}
		if err := checkKeyValues(part, &one); err != nil {
			return nil, err
		}
		key, err := keyBytes(nil, v)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(out, func(p partition) bool { return bytes.Equal(p.key, key) }) {
			continue
		}
		conditions := slices.Clone(where)
		conditions[at] = partiql.Condition{Name: part.name, Key: one}
		out = append(out, partition{key, conditions})
	}
	return out, nil
}

// orderPartitions puts partitions into the order that ORDER BY asks for, which then must name their key.
func (s *source) orderPartitions(all []partition, order []partiql.Order) error {
	if len(order) == 0 || len(all) < 2 {
		return nil
	}
	at := slices.IndexFunc(order, func(o partiql.Order) bool { return o.Name == s.partition[0].name })
	if at < 0 {
		return validation("Must have hash key in ORDER BY clause when more than one hash key condition specified in WHERE clause.")
	}
	slices.SortFunc(all, func(a, b partition) int { return bytes.Compare(a.key, b.key) })
	if order[at].Descending {
		slices.Reverse(all)
	}
	return nil
}

// readSelect fills the page of a SELECT and returns the capacity that it took.
func (q *query) readSelect(ctx context.Context, r kv.Reader, s *source, st *partiql.Statement) (*spent, error) {
	all, err := s.partitions(st.Where)
	if err == nil {
		err = s.orderPartitions(all, st.Order)
	}
	if err != nil {
		return nil, err
	}
	cost := new(spent)
	if all == nil {
		return cost, q.readPart(ctx, r, s, st, st.Where, cost)
	}
	if q.start != nil {
		v := q.start[s.partition[0].name]
		key := []byte(nil)
		if typeOf(&v) == s.partition[0].typ {
			key, err = keyBytes(nil, v)
		}
		at := slices.IndexFunc(all, func(p partition) bool { return bytes.Equal(p.key, key) })
		if err != nil || at < 0 {
			return nil, validation("Invalid NextToken")
		}
		all = all[at:]
	}
	whole := query{page: page{items: []map[string]api.AttributeValue{}}}
	for i, p := range all {
		one := &query{page: *newPage(nil, nil, q.consistent)}
		one.projection = q.projection
		if i == 0 {
			one.start = q.start
		}
		if q.limit > 0 {
			one.limit = q.limit - whole.scanned
		}
		if err := one.readPart(ctx, r, s, st, p.where, cost); err != nil {
			return nil, err
		}
		whole.items = append(whole.items, one.items...)
		whole.scanned, whole.bytes, whole.last = whole.scanned+one.scanned, whole.bytes+one.bytes, one.last
		if whole.last == nil && whole.bytes >= maxPageBytes && i+1 < len(all) && one.tail != nil {
			whole.last = s.last(one.tail)
		}
		if whole.last != nil {
			break
		}
	}
	q.items, q.last = whole.items, whole.last
	return cost, nil
}

// readPart reads what meets conditions, of which none names several partitions, and adds the capacity.
func (q *query) readPart(ctx context.Context, r kv.Reader, s *source, st *partiql.Statement, where []partiql.Condition, cost *spent) error {
	rng, err := q.statement(s, where, st.Order)
	if err != nil {
		return err
	}
	if err := q.readSource(ctx, r, s, rng, len(q.keys) > 0); err != nil {
		return err
	}
	units := readUnits(q.bytes, q.consistent)
	if q.index == nil {
		cost.table += units
		return nil
	}
	cost.add(q.fetched, []indexUnits{{q.index, units}}, 1)
	return nil
}

// consumedSelect returns what ReturnConsumedCapacity asks for of a SELECT.
func consumedSelect(mode *string, table string, cost *spent) *api.ConsumedCapacity {
	if cost == nil || wire.Value(mode) == "" {
		return nil
	}
	return cost.answer(mode, table)
}
