package dynamodb

import (
	"context"
	"errors"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/kv"
	"croft/internal/wire"
)

// DescribeContinuousBackups says what holds for every table: continuous backups count as enabled as they do on AWS from a table's creation on, and
// recovery to a point in time, which would make use of them, is disabled.
func (s *Service) DescribeContinuousBackups(ctx context.Context, in *api.DescribeContinuousBackupsInput) (*api.DescribeContinuousBackupsOutput, error) {
	name, err := s.tableName(ctx, in.TableName)
	if err != nil {
		return nil, err
	}
	err = s.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) error {
		_, err := s.getTable(r, name)
		if errors.Is(err, kv.ErrNotFound) {
			return errNoTable(name)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &api.DescribeContinuousBackupsOutput{ContinuousBackupsDescription: &api.ContinuousBackupsDescription{
		ContinuousBackupsStatus:        enabled,
		PointInTimeRecoveryDescription: &api.PointInTimeRecoveryDescription{PointInTimeRecoveryStatus: wire.Ptr(disabled)},
	}}, nil
}

// errNoTable is the error of the operations on backups for a table that is not there.
func errNoTable(name string) error { return api.NewTableNotFoundException("Table not found: %s", name) }
