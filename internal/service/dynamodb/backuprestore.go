package dynamodb

import (
	"context"
	"errors"
	"reflect"
	"time"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

// tableRestore is what a table knows of the backup that it was made of.
type tableRestore struct {
	// Backup and Source are the ARNs of the backup and of the table that it is of, and At is the backup's time.
	Backup string    `json:"backup"`
	Source string    `json:"source"`
	At     time.Time `json:"at"`
	// Going is whether items are still being copied. Until then the table counts as not there for whoever asks for items.
	Going bool `json:"going,omitempty"`
}

func (t *table) restoring() bool { return t.Restored != nil && t.Restored.Going }

// checkMade refuses what cannot be done to a table before it has the items of the backup that it is made of.
func (t *table) checkMade() error {
	if t.restoring() {
		return api.NewResourceInUseException("Attempt to change a resource which is still in use: Table is being created: %s", t.Name)
	}
	return nil
}

// checkIdle refuses what cannot be done to a table while its items are being copied, into a backup or out of one.
func (t *table) checkIdle() error {
	if len(t.Copying) > 0 {
		return api.NewResourceInUseException("Attempt to change a resource which is still in use: Table is being backed up: %s", t.Name)
	}
	return t.checkMade()
}

// describeRestore adds to the table's description what backup it was made of.
func (t *table) describeRestore(d *api.TableDescription) {
	if t.Restored == nil {
		return
	}
	d.RestoreSummary = &api.RestoreSummary{SourceBackupArn: wire.Ptr(t.Restored.Backup), SourceTableArn: wire.Ptr(t.Restored.Source),
		RestoreDateTime: t.Restored.At, RestoreInProgress: t.Restored.Going}
	if t.restoring() {
		d.TableStatus = wire.Ptr(statusCreating)
	}
}

// RestoreTableFromBackup makes a table of a backup. As on AWS it has the keys, indexes and items, and neither stream, time to live, tags nor protection.
// The items come in the background.
func (s *Service) RestoreTableFromBackup(ctx context.Context, in *api.RestoreTableFromBackupInput) (*api.RestoreTableFromBackupOutput, error) {
	if err := checkTableName(in.TargetTableName); err != nil {
		return nil, err
	}
	if err := refuseRestore(in); err != nil {
		return nil, err
	}
	out := new(api.RestoreTableFromBackupOutput)
	err := s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		b, err := s.getBackup(ctx, tx, in.BackupArn)
		if err != nil {
			return err
		}
		switch {
		case !b.Copied:
			return api.NewBackupInUseException("Backup is being created: %s", in.BackupArn)
		case b.Restoring != "":
			return api.NewBackupInUseException("Backup is being used to restore another table: %s", in.BackupArn)
		}
		_, err = tx.Get(tableKey(in.TargetTableName))
		if err == nil {
			return api.NewTableAlreadyExistsException("Table already exists: %s", in.TargetTableName)
		}
		if !errors.Is(err, kv.ErrNotFound) {
			return err
		}
		t, err := b.restored(cloud.CallOf(ctx), in)
		if err != nil {
			return err
		}
		b.Restoring = t.Name
		if err := putBackup(tx, b); err != nil {
			return err
		}
		if err := putTable(tx, t); err != nil {
			return err
		}
		out.TableDescription = t.describe(cloud.CallOf(ctx), statusCreating, totals{})
		if err := t.describeIndexes(nil, cloud.CallOf(ctx), out.TableDescription, statusCreating); err != nil {
			return err
		}
		return s.startCopy(ctx, restoreHandler, &copyJob{Table: t.Name, TableID: t.ID, Backup: b.ID})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func refuseRestore(in *api.RestoreTableFromBackupInput) error {
	for _, g := range in.GlobalSecondaryIndexOverride {
		if err := refuse("RestoreTableFromBackup",
			param{"GlobalSecondaryIndexOverride.OnDemandThroughput", g.OnDemandThroughput != nil}); err != nil {
			return err
		}
		if wire.Value(in.BillingModeOverride) == payPerRequest && g.ProvisionedThroughput != nil {
			return errRestoredUnits(g.IndexName)
		}
	}
	// Encryption with a key that AWS owns is what a table has without a specification.
	sse := in.SSESpecificationOverride
	return refuse("RestoreTableFromBackup",
		param{"OnDemandThroughputOverride", in.OnDemandThroughputOverride != nil},
		param{"SSESpecificationOverride", sse != nil && (wire.Value(sse.Enabled) || sse.SSEType != nil || sse.KMSMasterKeyId != nil)})
}

// restoredIndexes returns the indexes of the table that is made of the backup: those of the backup, or those of them that the overrides name.
func (b *backup) restoredIndexes(in *api.RestoreTableFromBackupInput) ([]*index, error) {
	wanted := map[string]*index{}
	for _, x := range newIndexes(&api.CreateTableInput{
		LocalSecondaryIndexes: in.LocalSecondaryIndexOverride, GlobalSecondaryIndexes: in.GlobalSecondaryIndexOverride}) {
		was := b.Table.index(x.Name)
		if was == nil || was.Local != x.Local || !reflect.DeepEqual(was.KeySchema, x.KeySchema) || !reflect.DeepEqual(was.Projection, x.Projection) {
			return nil, validation("Invalid Request: Index %s does not match a secondary index that existed in the source table and "+
				"cannot be created during the restore operation", x.Name)
		}
		wanted[x.Name] = x
	}
	var out []*index
	for _, was := range b.Table.Indexes {
		x := *was
		// The items go into the index as they come.
		x.Filling = false
		named := wanted[x.Name]
		switch {
		case named != nil && !x.Local:
			x.ReadUnits, x.WriteUnits, x.Warm = named.ReadUnits, named.WriteUnits, named.Warm
		case named == nil && x.Local && in.LocalSecondaryIndexOverride != nil, named == nil && !x.Local && in.GlobalSecondaryIndexOverride != nil:
			continue
		}
		out = append(out, &x)
	}
	return out, nil
}

// restored returns the definition of the table that is made of the backup.
func (b *backup) restored(call *cloud.Call, in *api.RestoreTableFromBackupInput) (*table, error) {
	was := b.Table
	t := &table{
		Name: in.TargetTableName, ID: cloud.NewRequestID(), Created: call.Now.UTC().Truncate(time.Millisecond),
		Attributes: was.Attributes, KeySchema: was.KeySchema, OnDemand: was.OnDemand, OnDemandSince: was.OnDemandSince,
		ReadUnits: was.ReadUnits, WriteUnits: was.WriteUnits, Warm: was.Warm, Class: was.Class, LastIndex: was.LastIndex,
		Restored: &tableRestore{Backup: b.arn(call), Source: call.ARN(serviceName, "table/"+was.Name), At: b.Created, Going: true},
	}
	var err error
	if t.Indexes, err = b.restoredIndexes(in); err != nil {
		return nil, err
	}
	t.trimAttributes()
	if err := t.overrideBilling(call, in.BillingModeOverride, in.ProvisionedThroughputOverride); err != nil {
		return nil, err
	}
	return t, t.derive()
}

// overrideBilling gives a table that is being restored another billing mode or throughput than its backup has.
func (t *table) overrideBilling(call *cloud.Call, mode *string, units *api.ProvisionedThroughput) error {
	switch {
	case mode == nil && units == nil:
		return t.checkRestoredUnits()
	case mode == nil && t.OnDemand:
		return validation("Invalid Request: Cannot override ProvisionedThroughput unless BillingMode is PROVISIONED")
	case wire.Value(mode) == payPerRequest && units != nil:
		return validation("Invalid Request: Cannot override ProvisionedThroughput if BillingMode is overridden to PAY_PER_REQUEST")
	case wire.Value(mode) == "PROVISIONED" && units == nil:
		return validation("Invalid Request: Must override ProvisionedThroughput if BillingMode is overridden to PROVISIONED")
	}
	if err := checkBilling(mode, units); err != nil {
		return err
	}
	if wire.Value(mode) == payPerRequest && !t.OnDemand {
		for _, x := range t.Indexes {
			x.ReadUnits, x.WriteUnits = 0, 0
		}
	}
	t.setBilling(call, mode, units)
	return t.checkRestoredUnits()
}

func errRestoredUnits(index string) error {
	return validation("Invalid Request: Cannot override ProvisionedThroughput for index %s if BillingMode is overridden to PAY_PER_REQUEST", index)
}

// checkRestoredUnits checks that the indexes of a table that is being restored have the throughput that its billing mode asks for.
func (t *table) checkRestoredUnits() error {
	for _, x := range t.Indexes {
		switch {
		case x.Local:
		case t.OnDemand && x.ReadUnits != 0:
			return errRestoredUnits(x.Name)
		case !t.OnDemand && x.ReadUnits == 0:
			return validation("Invalid Request: Must specify provisioned throughput for index %s", x.Name)
		}
	}
	return nil
}
