package dynamodb

import (
	"context"
	"strings"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/kv"
	"croft/internal/wire"
)

// maxPageBytes ends a page: the item that reaches it is the page's last. Source: API reference, Scan.
const maxPageBytes = 1 << 20

// Scan reads a table page by page, in the order of a hash of the partition key and, below one partition, of the sort key.
func (s *Service) Scan(ctx context.Context, in *api.ScanInput) (*api.ScanOutput, error) {
	name, err := s.tableName(ctx, in.TableName)
	if err != nil {
		return nil, err
	}
	if err := checkScan(in); err != nil {
		return nil, err
	}
	var page *scanPage
	err = s.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) error {
		t, err := s.tableForItems(r, name)
		if err != nil {
			return err
		}
		rng, err := t.scanRange(in)
		if err != nil {
			return err
		}
		page, err = readPage(ctx, r, t, rng, in)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &api.ScanOutput{
		Count: wire.Ptr(page.count), ScannedCount: wire.Ptr(page.count), LastEvaluatedKey: page.last,
		ConsumedCapacity: consumed(in.ReturnConsumedCapacity, name, readUnits(page.bytes, in.ConsistentRead)),
	}
	if wire.Value(in.Select) != selectCount {
		out.Items = page.items
	}
	return out, nil
}

// Values of Select.
const (
	selectCount     = "COUNT"
	selectProjected = "ALL_PROJECTED_ATTRIBUTES"
	selectSpecific  = "SPECIFIC_ATTRIBUTES"
)

func checkScan(in *api.ScanInput) error {
	if err := refuse("Scan",
		param{"FilterExpression", in.FilterExpression != nil},
		param{"ProjectionExpression", in.ProjectionExpression != nil},
		param{"ScanFilter", in.ScanFilter != nil},
		param{"ConditionalOperator", in.ConditionalOperator != nil},
		param{"AttributesToGet", in.AttributesToGet != nil},
	); err != nil {
		return err
	}
	if err := checkNoExpression("FilterExpression", in.ExpressionAttributeNames, in.ExpressionAttributeValues); err != nil {
		return err
	}
	switch {
	case in.Segment != nil && in.TotalSegments == nil:
		return validation("The TotalSegments parameter is required but was not present in the request when Segment parameter is present")
	case in.Segment == nil && in.TotalSegments != nil:
		return validation("The Segment parameter is required but was not present in the request when parameter TotalSegments is present")
	case in.Segment != nil && *in.Segment >= *in.TotalSegments:
		return validation("The Segment parameter is zero-based and must be less than parameter TotalSegments: "+
			"Segment: %d is not less than TotalSegments: %d", *in.Segment, *in.TotalSegments)
	}
	switch wire.Value(in.Select) {
	case selectProjected:
		if in.IndexName == nil {
			return invalid("ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName")
		}
	case selectSpecific:
		return invalid("Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES")
	}
	if err := checkValues(in.ExclusiveStartKey); err != nil {
		return badStart(err)
	}
	return nil
}

// badStart says of an error in ExclusiveStartKey where it lies. As on AWS, errors in numbers and sets do not say it.
func badStart(err error) error {
	text := messageOf(err)
	for _, part := range []string{"numeric value", "significant digits", "number with magnitude", "number set", "contains duplicates"} {
		if strings.Contains(text, part) {
			return err
		}
	}
	return validation("The provided starting key is invalid: %s", text)
}

// scanRange returns the keys that a Scan has yet to read.
func (t *table) scanRange(in *api.ScanInput) (kv.Range, error) {
	if in.IndexName != nil {
		return kv.Range{}, validation("The table does not have the specified index: %s", *in.IndexName)
	}
	rng := t.items()
	if in.TotalSegments != nil {
		rng = t.segment(*in.Segment, *in.TotalSegments)
	}
	if in.ExclusiveStartKey == nil {
		return rng, nil
	}
	start, err := t.keyOf(in.ExclusiveStartKey)
	if err != nil {
		return kv.Range{}, badStart(err)
	}
	if !rng.Contains(start) {
		return kv.Range{}, validation("The provided starting key is invalid: Invalid ExclusiveStartKey. "+
			"Please use ExclusiveStartKey with correct Segment. TotalSegments: %d Segment: %d", *in.TotalSegments, *in.Segment)
	}
	rng.Start = append(start, 0)
	return rng, nil
}

// scanPage is one page of a Scan.
type scanPage struct {
	items []map[string]api.AttributeValue
	count int32
	bytes int
	last  map[string]api.AttributeValue
}

func readPage(ctx context.Context, r kv.Reader, t *table, rng kv.Range, in *api.ScanInput) (*scanPage, error) {
	page := &scanPage{items: []map[string]api.AttributeValue{}}
	var newest map[string]api.AttributeValue
	countOnly := wire.Value(in.Select) == selectCount
	full := false
	for e, err := range r.Scan(rng, kv.ScanOptions{Limit: int(wire.Value(in.Limit))}) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, err
		}
		item, size, err := decodeItem(e.Value)
		if err != nil {
			return nil, err
		}
		if newest = item; !countOnly {
			page.items = append(page.items, item)
		}
		page.count++
		page.bytes += size
		if full = page.bytes >= maxPageBytes || in.Limit != nil && page.count >= *in.Limit; full {
			break
		}
	}
	// As on AWS, a page that is full names its last key even when nothing follows.
	if full {
		page.last = t.keyAttributes(newest)
	}
	return page, nil
}
