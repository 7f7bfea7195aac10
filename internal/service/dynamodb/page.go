package dynamodb

import (
	"context"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/kv"
	"croft/internal/service/dynamodb/expression"
	"croft/internal/wire"
)

// maxPageBytes ends a page, by pageSize: the item that reaches it is the page's last. Source: API reference, Scan.
const maxPageBytes = 1 << 20

// Values of Select.
const (
	selectAll       = "ALL_ATTRIBUTES"
	selectCount     = "COUNT"
	selectProjected = "ALL_PROJECTED_ATTRIBUTES"
	selectSpecific  = "SPECIFIC_ATTRIBUTES"
)

// page is one page of a Scan or a Query: what is asked for and, once it is read, what is there.
type page struct {
	// limit is how many items are looked at; zero means as many as go into a page.
	limit      int32
	reverse    bool
	countOnly  bool
	filter     *expression.Condition
	projection *expression.Projection
	// selected is what Select says, and consistent what ConsistentRead does.
	selected   string
	consistent *bool
	// index is what is read, nil for the table. With fetch, items come from the table, at a cost of fetched.
	index   *index
	fetch   bool
	fetched float64

	items          []map[string]api.AttributeValue
	count, scanned int32
	bytes          int
	last           map[string]api.AttributeValue
	// tail is the last item or entry that was looked at.
	tail map[string]api.AttributeValue
}

func newPage(limit *int32, selected *string, consistent *bool) *page {
	return &page{limit: wire.Value(limit), countOnly: wire.Value(selected) == selectCount, selected: wire.Value(selected), consistent: consistent}
}

// checkSelect checks what may be selected, as far as that goes without the table.
func checkSelect(selected, index, projection *string, attributes []string) error {
	mode, given := wire.Value(selected), projectionParam
	if attributes != nil {
		given = "AttributesToGet"
	}
	some := projection != nil || attributes != nil
	switch {
	case mode == selectProjected && index == nil:
		return invalid("ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName")
	case mode == selectSpecific && !some:
		return invalid("Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES")
	case some && (mode == selectAll || mode == selectProjected || mode == selectCount):
		what := mode
		if mode == selectCount {
			what = "only the Count"
		}
		return validation("Cannot specify the %s when choosing to get %s", given, what)
	}
	return nil
}

// parse takes over the filter and the projection, neither of which need be there.
func (p *page) parse(set *expression.Set, filter, projection *string) (err error) {
	if filter != nil {
		if p.filter, err = set.Condition(filterParam, *filter); err != nil {
			return err
		}
	}
	if projection != nil {
		p.projection, err = set.Projection(*projection)
	}
	return err
}

// check checks the paths of the page's expressions.
func (p *page) check(t *table) error {
	if p.projection != nil {
		if err := t.checkPaths(p.projection); err != nil {
			return err
		}
	}
	if p.filter != nil {
		return t.checkPaths(p.filter)
	}
	return nil
}

// read fills the page with the items of rng. The page may have been read before.
func (p *page) read(ctx context.Context, r kv.Reader, s *source, rng kv.Range) error {
	p.items, p.count, p.scanned, p.bytes, p.last, p.fetched, p.tail = nil, 0, 0, 0, nil, 0, nil
	if !p.countOnly {
		p.items = []map[string]api.AttributeValue{}
	}
	full := 0
	for e, err := range r.Scan(rng, kv.ScanOptions{Limit: int(p.limit), Reverse: p.reverse}) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		size, stored, err := storedParts(e.Value)
		if err != nil {
			return err
		}
		item, err := decodeAttributes(stored)
		if err != nil {
			return err
		}
		p.scanned++
		p.bytes += size
		full += s.pageSize(stored)
		key := item
		p.tail = item
		if p.fetch {
			if item, err = p.whole(r, s, item); err != nil {
				return err
			}
		}
		if p.filter.Match(item) {
			p.count++
			if !p.countOnly {
				p.items = append(p.items, p.projection.Apply(item))
			}
		}
		// As on AWS, a page that is full names its last key even when nothing follows.
		if full >= maxPageBytes || p.limit > 0 && p.scanned >= p.limit {
			p.last = s.last(key)
			return nil
		}
	}
	return nil
}
