package dynamodb

import (
	"context"
	"errors"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

// totals are a table's counters.
type totals struct{ items, bytes int64 }

func (t *table) totals(r kv.Reader) (out totals, err error) {
	for _, c := range []struct {
		key kv.Key
		to  *int64
	}{{t.countKey(), &out.items}, {t.sizeKey(), &out.bytes}} {
		v, err := r.Get(c.key)
		if err != nil && !errors.Is(err, kv.ErrNotFound) {
			return totals{}, err
		}
		*c.to = kv.Int64(v)
	}
	return out, nil
}

// summary returns the part of the description that DeleteTable answers as well.
func (t *table) summary(call *cloud.Call, status string, n totals) *api.TableDescription {
	d := &api.TableDescription{
		TableName: wire.Ptr(t.Name), TableStatus: wire.Ptr(status), TableId: wire.Ptr(t.ID),
		TableArn:       wire.Ptr(call.ARN(serviceName, "table/"+t.Name)),
		ItemCount:      wire.Ptr(n.items),
		TableSizeBytes: wire.Ptr(n.bytes),
		ProvisionedThroughput: &api.ProvisionedThroughputDescription{
			NumberOfDecreasesToday: wire.Ptr[int64](0),
			ReadCapacityUnits:      wire.Ptr(t.ReadUnits), WriteCapacityUnits: wire.Ptr(t.WriteUnits),
		},
		DeletionProtectionEnabled: wire.Ptr(t.Protected),
	}
	if t.OnDemand {
		d.BillingModeSummary = &api.BillingModeSummary{
			BillingMode: wire.Ptr(payPerRequest), LastUpdateToPayPerRequestDateTime: wire.Ptr(t.OnDemandSince),
		}
	}
	if t.Class != "" {
		d.TableClassSummary = &api.TableClassSummary{TableClass: wire.Ptr(t.Class)}
	}
	t.describeStream(call, d)
	return d
}

func (t *table) describe(call *cloud.Call, status string, n totals) *api.TableDescription {
	d := t.summary(call, status, n)
	d.AttributeDefinitions, d.KeySchema, d.CreationDateTime = t.Attributes, t.KeySchema, wire.Ptr(t.Created)
	d.WarmThroughput = t.warm()
	t.describeRestore(d)
	return d
}

// warm returns what the table could serve at once on AWS. It limits nothing here.
func (t *table) warm() *api.TableWarmThroughputDescription {
	read, write := t.ReadUnits, t.WriteUnits
	if t.OnDemand {
		read, write = onDemandWarmRead, onDemandWarmPut
	}
	if t.Warm != nil {
		read = max(read, wire.Value(t.Warm.ReadUnitsPerSecond))
		write = max(write, wire.Value(t.Warm.WriteUnitsPerSecond))
	}
	return &api.TableWarmThroughputDescription{
		ReadUnitsPerSecond: wire.Ptr(read), WriteUnitsPerSecond: wire.Ptr(write), Status: wire.Ptr("ACTIVE"),
	}
}

// DescribeTable describes a table. Its counts are those of the moment; AWS brings them up to date every six hours or so.
func (s *Service) DescribeTable(ctx context.Context, in *api.DescribeTableInput) (*api.DescribeTableOutput, error) {
	name, err := s.tableName(ctx, in.TableName)
	if err != nil {
		return nil, err
	}
	out := new(api.DescribeTableOutput)
	err = s.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) error {
		t, err := s.namedTable(r, name)
		if err != nil {
			return err
		}
		n, err := t.totals(r)
		if err != nil {
			return err
		}
		out.Table = t.describe(cloud.CallOf(ctx), statusActive, n)
		return t.describeIndexes(r, cloud.CallOf(ctx), out.Table, "")
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// DeleteTable deletes a table with its items. As on AWS the answer says DELETING, but the table is gone when the call returns.
func (s *Service) DeleteTable(ctx context.Context, in *api.DeleteTableInput) (*api.DeleteTableOutput, error) {
	name, err := s.tableName(ctx, in.TableName)
	if err != nil {
		return nil, err
	}
	out := new(api.DeleteTableOutput)
	err = s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		t, err := s.namedTable(tx, name)
		if err != nil {
			return err
		}
		if err := t.checkIdle(); err != nil {
			return err
		}
		if t.Protected {
			return validation("Resource cannot be deleted as it is currently protected against deletion. " +
				"Disable deletion protection first.")
		}
		// Whoever writes an item reads the definition, and conflicts with its removal. So the counters need not be read exactly.
		n, err := t.totals(tx.Loose())
		if err != nil {
			return err
		}
		out.TableDescription = t.summary(cloud.CallOf(ctx), "DELETING", n)
		for _, key := range []kv.Key{tableKey(name), t.countKey(), t.sizeKey()} {
			if err := tx.Delete(key); err != nil {
				return err
			}
		}
		if err := t.dropIndexes(tx); err != nil {
			return err
		}
		if err := s.moveStream(ctx, tx, t, nil); err != nil {
			return err
		}
		if err := s.moveTTL(ctx, tx, t, nil); err != nil {
			return err
		}
		return tx.DeleteRange(t.items())
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// maxTablesPage is how many names ListTables answers at most. Source: API reference, ListTables.
const maxTablesPage = 100

// ListTables lists tables in the order of their names.
func (s *Service) ListTables(ctx context.Context, in *api.ListTablesInput) (*api.ListTablesOutput, error) {
	limit := maxTablesPage
	if in.Limit != nil {
		limit = int(*in.Limit)
	}
	out := &api.ListTablesOutput{TableNames: []string{}}
	prefix := tableKey("")
	err := s.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) error {
		for e, err := range r.Scan(tableRange(wire.Value(in.ExclusiveStartTableName)), kv.ScanOptions{Limit: limit + 1}) {
			if err != nil {
				return err
			}
			if len(out.TableNames) == limit {
				out.LastEvaluatedTableName = wire.Ptr(out.TableNames[limit-1])
				return nil
			}
			out.TableNames = append(out.TableNames, string(e.Key[len(prefix):]))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
