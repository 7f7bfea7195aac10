package dynamodb

import (
	"context"
	"strings"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/kv"
	"croft/internal/service/dynamodb/expression"
	"croft/internal/wire"
)

// Scan reads a table page by page, in the order of a hash of the partition key and, below one partition, of the sort key.
func (s *Service) Scan(ctx context.Context, in *api.ScanInput) (*api.ScanOutput, error) {
	name, err := s.tableName(ctx, in.TableName)
	if err != nil {
		return nil, err
	}
	page, err := checkScan(in)
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
		rng, err := src.scanRange(in, page)
		if err != nil {
			return err
		}
		return page.readSource(ctx, r, src, rng, false)
	})
	if err != nil {
		return nil, err
	}
	return &api.ScanOutput{
		Items: page.items, Count: wire.Ptr(page.count), ScannedCount: wire.Ptr(page.scanned), LastEvaluatedKey: page.last,
		ConsumedCapacity: page.consumedRead(in.ReturnConsumedCapacity, name),
	}, nil
}

const filterParam = "FilterExpression"

// checkScan returns the page that a Scan asks for.
func checkScan(in *api.ScanInput) (*page, error) {
	exprs := expressions{in.ExpressionAttributeNames, in.ExpressionAttributeValues,
		[]param{{projectionParam, in.ProjectionExpression != nil}, {filterParam, in.FilterExpression != nil}},
		[]param{{"AttributesToGet", in.AttributesToGet != nil}, {"ScanFilter", in.ScanFilter != nil},
			{"ConditionalOperator", in.ConditionalOperator != nil}},
		in.ConditionalOperator, len(in.ScanFilter)}
	if err := exprs.check(); err != nil {
		return nil, err
	}
	projection, err := wanted(in.AttributesToGet)
	if err != nil {
		return nil, err
	}
	filter, err := clauses(in.ScanFilter)
	if err != nil {
		return nil, err
	}
	if err := checkValues(in.ExclusiveStartKey); err != nil {
		return nil, badStart(err)
	}
	switch {
	case in.Segment != nil && in.TotalSegments == nil:
		return nil, validation("The TotalSegments parameter is required but was not present in the request when Segment parameter is present")
	case in.Segment == nil && in.TotalSegments != nil:
		return nil, validation("The Segment parameter is required but was not present in the request when parameter TotalSegments is present")
	case in.Segment != nil && *in.Segment >= *in.TotalSegments:
		return nil, validation("The Segment parameter is zero-based and must be less than parameter TotalSegments: "+
			"Segment: %d is not less than TotalSegments: %d", *in.Segment, *in.TotalSegments)
	}
	if err := checkSelect(in.Select, in.IndexName, in.ProjectionExpression, in.AttributesToGet); err != nil {
		return nil, err
	}
	set, err := exprs.set()
	if err != nil {
		return nil, err
	}
	p := newPage(in.Limit, in.Select, in.ConsistentRead)
	p.projection, p.filter = projection, expression.Clauses(filter, joinsByOr(in.ConditionalOperator))
	if err := p.parse(set, in.FilterExpression, in.ProjectionExpression); err != nil {
		return nil, err
	}
	return p, set.Unused()
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
