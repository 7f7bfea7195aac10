package dynamodb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

// backup is an on-demand backup of a table: its definition, and the items as they were when the backup was made.
type backup struct {
	ID      string    `json:"id"`
	UUID    string    `json:"uuid"`
	Name    string    `json:"name"`
	Created time.Time `json:"created"`
	// Table is the definition of the table. Only stored fields of it are set.
	Table *table `json:"table"`
	Items int64  `json:"items"`
	Bytes int64  `json:"bytes"`
	// Copied is whether all items are in the backup.
	Copied bool `json:"copied,omitempty"`
	// Restoring is the name of the table that is being filled from the backup; of one backup there is one at a time, as on AWS.
	Restoring string `json:"restoring,omitempty"`
}

// backupsKey is the prefix of all backups, which are in the order of their creation.
func backupsKey() kv.Key { return kv.Key{'b'} }

func backupKey(id string) kv.Key { return backupsKey().Raw([]byte(id)...) }

// keptPrefix is what the keys of a backup's items begin with, and absentPrefix those of the items that were not there when the backup was made but are now.
// What follows the table id in the item's key follows.
func keptPrefix(id [16]byte) kv.Key { return kv.Key{'B'}.Raw(id[:]...) }

func absentPrefix(id [16]byte) kv.Key { return kv.Key{'D'}.Raw(id[:]...) }

func (b *backup) arn(call *cloud.Call) string {
	return call.ARN(serviceName, "table/"+b.Table.Name+"/backup/"+b.ID)
}

// maxCopying bounds how many backups of a table are made at a time: each makes the table's writes a little slower.
const maxCopying = 20

// newBackupID returns an identifier in the form of AWS's: the time, so that they sort by it, and eight random digits.
func newBackupID(now time.Time) string {
	return fmt.Sprintf("%014d-%s", now.UnixMilli(), cloud.RandomString(8, "0123456789abcdef"))
}

// getBackup returns the backup that an ARN names.
func (s *Service) getBackup(ctx context.Context, r kv.Reader, given string) (*backup, error) {
	id, table, err := s.backupName(ctx, given)
	if err != nil {
		return nil, err
	}
	b, err := loadBackup(r, id)
	if errors.Is(err, kv.ErrNotFound) || err == nil && b.Table.Name != table {
		return nil, errNoBackup(given)
	}
	return b, err
}

// loadBackup returns a backup, or kv.ErrNotFound.
func loadBackup(r kv.Reader, id string) (*backup, error) {
	stored, err := r.Get(backupKey(id))
	if err != nil {
		return nil, err
	}
	return decodeBackup(stored)
}

func decodeBackup(stored []byte) (*backup, error) {
	b := new(backup)
	if err := json.Unmarshal(stored, b); err != nil {
		return nil, fmt.Errorf("dynamodb: a backup is damaged: %w", err)
	}
	if b.Table == nil || len(b.Table.KeySchema) == 0 {
		return nil, fmt.Errorf("dynamodb: backup %s has no table", b.ID)
	}
	return b, b.Table.derive()
}

func putBackup(tx kv.Tx, b *backup) error {
	stored, err := json.Marshal(b)
	if err != nil {
		return fmt.Errorf("dynamodb: backup %s: %w", b.Name, err)
	}
	return tx.Put(backupKey(b.ID), stored)
}

func errNoBackup(arn string) error {
	return api.NewBackupNotFoundException("Backup not found: %s", arn)
}

// backupName takes the ARN of a backup apart. As on AWS the region in it does not matter: backups are those of the region that is asked.
func (s *Service) backupName(ctx context.Context, given string) (id, table string, err error) {
	arn, err := cloud.ParseARN(given)
	name, isTable := strings.CutPrefix(arn.Resource, "table/")
	table, id, isBackup := strings.Cut(name, "/backup/")
	switch {
	case err != nil || !isTable || !isBackup || checkTableName(table) != nil || id == "":
		return "", "", validation("Invalid Backup ARN")
	case arn.Service != serviceName:
		return "", "", validation("Invalid Request: BackupArn is not valid")
	case s.deps.Account(ctx, arn.Account, given) != cloud.CallOf(ctx).Account:
		return "", "", cloud.Errorf("AccessDeniedException", "Access is denied")
	}
	return id, table, nil
}

// CreateBackup makes a backup of a table as it is in this moment. The items are copied in the background; what is written meanwhile does not get into it.
func (s *Service) CreateBackup(ctx context.Context, in *api.CreateBackupInput) (*api.CreateBackupOutput, error) {
	name, err := s.tableName(ctx, in.TableName)
	if err != nil {
		return nil, err
	}
	call := cloud.CallOf(ctx)
	out := new(api.CreateBackupOutput)
	err = s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		t, err := s.getTable(tx, name)
		switch {
		case errors.Is(err, kv.ErrNotFound), err == nil && t.restoring():
			return errNoTable(name)
		case err != nil:
			return err
		case len(t.Copying) >= maxCopying:
			return api.NewLimitExceededException("Too many backups of the table %s are being made: there are at most %d at a time", name, maxCopying)
		}
		// The counters are about right, which is what AWS promises of them; read exactly they would conflict with every write.
		n, err := t.totals(tx.Loose())
		if err != nil {
			return err
		}
		was := *t
		was.Copying = nil
		b := &backup{ID: newBackupID(call.Now), UUID: cloud.NewRequestID(), Name: in.BackupName, Created: call.Now.UTC().Truncate(time.Millisecond),
			Table: &was, Items: n.items, Bytes: n.bytes}
		if err := putBackup(tx, b); err != nil {
			return err
		}
		// Whoever writes an item reads the table: from this commit on they keep what they change.
		changed := *t
		changed.Copying = append(slices.Clone(t.Copying), b.UUID)
		if err := putTable(tx, &changed); err != nil {
			return err
		}
		out.BackupDetails = b.details(call)
		return s.startCopy(ctx, copyHandler, &copyJob{Table: name, TableID: t.ID, Backup: b.ID})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// DescribeBackup describes a backup.
func (s *Service) DescribeBackup(ctx context.Context, in *api.DescribeBackupInput) (*api.DescribeBackupOutput, error) {
	out := new(api.DescribeBackupOutput)
	err := s.space(ctx).View(ctx, func(ctx context.Context, r kv.Reader) error {
		b, err := s.getBackup(ctx, r, in.BackupArn)
		if err == nil {
			out.BackupDescription = b.describe(cloud.CallOf(ctx))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// DeleteBackup deletes a backup that is complete and of which nothing is being restored.
func (s *Service) DeleteBackup(ctx context.Context, in *api.DeleteBackupInput) (*api.DeleteBackupOutput, error) {
	out := new(api.DeleteBackupOutput)
	err := s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		b, err := s.getBackup(ctx, tx, in.BackupArn)
		if err != nil {
			return err
		}
		switch {
		case !b.Copied:
			return api.NewBackupInUseException("Backup is being created: %s", in.BackupArn)
		case b.Restoring != "":
			return api.NewBackupInUseException("Backup is being used to restore table: %s", in.BackupArn)
		}
		id, err := uuidBytes(b.UUID)
		if err != nil {
			return err
		}
		out.BackupDescription = b.describe(cloud.CallOf(ctx))
		out.BackupDescription.BackupDetails.BackupStatus = "DELETED"
		if err := tx.Delete(backupKey(b.ID)); err != nil {
			return err
		}
		return tx.DeleteRange(kv.PrefixRange(keptPrefix(id)))
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// maxBackupsPage is how many backups one answer lists at most. Source: API reference, ListBackups.
const maxBackupsPage = 100

// ListBackups lists backups in the order of their creation.
func (s *Service) ListBackups(ctx context.Context, in *api.ListBackupsInput) (*api.ListBackupsOutput, error) {
	limit := maxBackupsPage
	if in.Limit != nil {
		limit = int(*in.Limit)
	}
	table := ""
	var err error
	if in.TableName != nil {
		if table, err = s.tableName(ctx, *in.TableName); err != nil {
			return nil, err
		}
	}
	rng := kv.PrefixRange(backupsKey())
	if in.ExclusiveStartBackupArn != nil {
		id, _, err := s.backupName(ctx, *in.ExclusiveStartBackupArn)
		if err != nil {
			return nil, err
		}
		if arn, err := cloud.ParseARN(*in.ExclusiveStartBackupArn); err != nil || arn.Region != cloud.CallOf(ctx).Region {
			return nil, validation("Invalid Request: The supplied ExclusiveStartBackupArn does not match the region")
		}
		rng.Start = after(backupKey(id))
	}
	if from, to := in.TimeRangeLowerBound, in.TimeRangeUpperBound; from != nil && to != nil && from.After(*to) {
		return nil, invalid("Time range lower bound must be less than or equal to upper bound")
	}
	out := &api.ListBackupsOutput{BackupSummaries: []api.BackupSummary{}}
	if kind := wire.Value(in.BackupType); kind != "" && kind != "USER" && kind != "ALL" {
		return out, nil // there are none but those that users make
	}
	err = s.space(ctx).View(ctx, func(ctx context.Context, r kv.Reader) error {
		for e, err := range r.Scan(rng, kv.ScanOptions{}) {
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return err
			}
			b, err := decodeBackup(e.Value)
			if err != nil {
				return err
			}
			if table != "" && b.Table.Name != table || in.TimeRangeLowerBound != nil && b.Created.Before(*in.TimeRangeLowerBound) ||
				in.TimeRangeUpperBound != nil && !b.Created.Before(*in.TimeRangeUpperBound) {
				continue
			}
			if len(out.BackupSummaries) == limit {
				out.LastEvaluatedBackupArn = out.BackupSummaries[limit-1].BackupArn
				return nil
			}
			out.BackupSummaries = append(out.BackupSummaries, b.summary(cloud.CallOf(ctx)))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
