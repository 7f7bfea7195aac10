package dynamodb

import (
	"context"
	"slices"
	"strings"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/kv"
	"croft/internal/wire"
)

// source is what a Query or a Scan reads: the items of a table, or the entries of one of its indexes.
type source struct {
	*table
	// index is nil for the table itself.
	index           *index
	partition, sort []keyPart
}

// source returns what the name of an index means, which may not be given.
func (t *table) source(name *string, consistent *bool) (*source, error) {
	if name == nil {
		s := &source{table: t, partition: []keyPart{t.partition}}
		if t.sort.name != "" {
			s.sort = []keyPart{t.sort}
		}
		return s, nil
	}
	x := t.index(*name)
	switch {
	case x == nil:
		return nil, validation("The table does not have the specified index: %s", *name)
	case !x.Local && wire.Value(consistent):
		return nil, validation("Consistent reads are not supported on global secondary indexes")
	case x.Filling:
		return nil, validation("Cannot read from backfilling global secondary index: %s", *name)
	}
	return &source{table: t, index: x, partition: x.partition, sort: x.sort}, nil
}

// prefix returns what all keys of the source begin with.
func (s *source) prefix() kv.Key {
	if s.index == nil {
		return s.itemPrefix()
	}
	return s.index.prefix('x')
}

// names returns the attributes of a LastEvaluatedKey: those of the table's key and of the index's.
func (s *source) names() []string {
	var out []string
	for _, part := range slices.Concat(s.table.keys(), s.partition, s.sort) {
		if !slices.Contains(out, part.name) {
			out = append(out, part.name)
		}
	}
	return out
}

// last returns the LastEvaluatedKey of a page that ends with item.
func (s *source) last(item attributes) attributes {
	key := make(attributes, 4)
	for _, name := range s.names() {
		key[name] = item[name]
	}
	return key
}

// checkStartSize checks the number of attributes of an ExclusiveStartKey, which comes before all other checks of it.
func (s *source) checkStartSize(start attributes) error {
	if len(start) != len(s.names()) {
		return validation("The provided starting key is invalid")
	}
	return nil
}

// checkStartPart checks what an ExclusiveStartKey has of one attribute of the source's key.
func (s *source) checkStartPart(start attributes, part keyPart) error {
	v, ok := start[part.name]
	if !ok {
		return validation("The provided starting key is invalid")
	}
	if typeOf(&v) != part.typ {
		return validation("The provided key element does not match the schema")
	}
	if kind := emptyKind(&v); kind != "" && s.index != nil {
		return invalid("The AttributeValue for a key attribute cannot contain an empty %s value. Key: %s", kind, part.name)
	}
	return nil
}

// checkStart checks the attributes of an ExclusiveStartKey by themselves.
func (s *source) checkStart(start attributes) error {
	if err := s.checkStartSize(start); err != nil {
		return err
	}
	for _, part := range slices.Concat(s.partition, s.sort) {
		if err := s.checkStartPart(start, part); err != nil {
			return err
		}
	}
	return nil
}

// startKey returns the key of the item or entry that an ExclusiveStartKey names.
func (s *source) startKey(start attributes) (kv.Key, error) {
	own := start
	if s.index != nil {
		own = make(attributes, 2)
		for _, part := range s.table.keys() {
			if v, ok := start[part.name]; ok {
				own[part.name] = v
			}
		}
	}
	key, err := s.keyOf(own)
	if err != nil {
		return nil, badStart(err)
	}
	if s.index == nil {
		return key, nil
	}
	return s.index.entryKey(start, key)
}

// partitionKey returns what the keys of one partition begin with.
func (s *source) partitionKey(values [][]byte) kv.Key {
	if s.index == nil {
		return s.itemKey(values[0], nil)
	}
	return s.index.partitionPrefix(values, 0)
}

// at returns the keys below prefix whose next sort key is value.
func (s *source) at(prefix kv.Key, value []byte) kv.Range {
	if s.index == nil {
		key := prefix.Raw(value...)
		return kv.Range{Start: key, End: after(key)}
	}
	return kv.PrefixRange(appendPart(slices.Clone(prefix), value))
}

// beginning returns the keys below prefix whose next sort key begins with value.
func (s *source) beginning(prefix kv.Key, value []byte) kv.Range {
	if s.index == nil {
		return kv.PrefixRange(prefix.Raw(value...))
	}
	return kv.PrefixRange(appendEscaped(slices.Clone(prefix), value))
}

// checkProjects checks that an index has what is asked for. A local one can fetch from the table what it has not, except what a filter of a
// Query needs; then fetch is true.
func (p *page) checkProjects(s *source, query bool) (err error) {
	p.fetch = false
	if s.index == nil || s.index.kept == nil {
		return nil
	}
	if err := p.checkAll(s); err != nil {
		return err
	}
	p.fetch = p.selected == selectAll
	if p.projection != nil {
		missing := s.missing(p.projection)
		if len(missing) > 0 && !s.index.Local {
			return invalid("Global secondary index %s does not project [%s]", s.index.Name, strings.Join(missing, ", "))
		}
		p.fetch = p.fetch || len(missing) > 0
	}
	if p.filter == nil {
		return nil
	}
	if missing := s.missing(p.filter); query && len(missing) > 0 {
		return invalid("Secondary index %s does not project one or more filter attributes: [%s]", s.index.Name, strings.Join(missing, ", "))
	}
	return nil
}

// checkAll refuses to answer whole items from a global index that does not have them.
func (p *page) checkAll(s *source) error {
	if p.selected == selectAll && s.index != nil && s.index.kept != nil && !s.index.Local {
		return invalid("Select type %s is not supported for global secondary index %s because its projection type is not ALL",
			selectAll, s.index.Name)
	}
	return nil
}

// missing returns the attributes that e names and the index does not have.
func (s *source) missing(e pathed) (out []string) {
	e.Heads(func(name string, _ bool) {
		if !s.index.projects(name) && !slices.Contains(out, name) {
			out = append(out, name)
		}
	})
	return out
}

// whole returns the item of an entry, of which it counts the capacity.
func (p *page) whole(r kv.Reader, s *source, item attributes) (attributes, error) {
	key, err := s.encodeKey(item)
	if err != nil {
		return nil, err
	}
	old, err := readPrevious(r, key, true)
	if err != nil {
		return nil, err
	}
	if !old.there {
		return nil, errDamaged
	}
	p.fetched += readUnits(old.size, p.consistent)
	return old.attributes, nil
}

// consumedRead returns the capacity that a page took.
func (p *page) consumedRead(mode *string, name string) *api.ConsumedCapacity {
	units := readUnits(p.bytes, p.consistent)
	if p.index == nil {
		return consumed(mode, name, units)
	}
	var s spent
	s.add(p.fetched, []indexUnits{{p.index, units}}, 1)
	return s.answer(mode, name)
}

// scanRange returns the keys that a Scan has yet to read. What is selected is checked between the two checks of the starting key, as on AWS.
func (s *source) scanRange(in *api.ScanInput, p *page) (kv.Range, error) {
	rng := kv.PrefixRange(s.prefix())
	if in.TotalSegments != nil {
		rng = segment(s.prefix(), *in.Segment, *in.TotalSegments)
	}
	if in.ExclusiveStartKey == nil {
		return rng, nil
	}
	if s.index != nil {
		if err := s.checkStart(in.ExclusiveStartKey); err != nil {
			return kv.Range{}, err
		}
		if err := p.checkAll(s); err != nil {
			return kv.Range{}, err
		}
	}
	start, err := s.startKey(in.ExclusiveStartKey)
	if err != nil {
		return kv.Range{}, err
	}
	if !rng.Contains(start) {
		return kv.Range{}, validation("The provided starting key is invalid: Invalid ExclusiveStartKey. "+
			"Please use ExclusiveStartKey with correct Segment. TotalSegments: %d Segment: %d", wire.Value(in.TotalSegments), wire.Value(in.Segment))
	}
	rng.Start = append(start, 0)
	return rng, nil
}

// readSource checks what a page asks of s, after the range, and fills it.
func (p *page) readSource(ctx context.Context, r kv.Reader, s *source, rng kv.Range, query bool) error {
	p.index = s.index
	if err := p.checkProjects(s, query); err != nil {
		return err
	}
	if err := p.check(s.table); err != nil {
		return err
	}
	return p.read(ctx, r, s, rng)
}
