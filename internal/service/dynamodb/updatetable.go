package dynamodb

import (
	"context"
	"slices"
	"strings"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

// UpdateTable changes a table and its global indexes. What it changes has changed when it returns, and the answer says UPDATING as AWS's
// does; a new index is filled afterwards and says CREATING until then.
func (s *Service) UpdateTable(ctx context.Context, in *api.UpdateTableInput) (*api.UpdateTableOutput, error) {
	name, err := s.tableName(ctx, in.TableName)
	if err != nil {
		return nil, err
	}
	if err := checkUpdate(in); err != nil {
		return nil, err
	}
	out := new(api.UpdateTableOutput)
	err = s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		t, err := s.namedTable(tx, name)
		if err != nil {
			return err
		}
		if err := t.checkMade(); err != nil {
			return err
		}
		u := tableUpdate{in: in, was: t, changed: *t}
		if err := u.apply(cloud.CallOf(ctx)); err != nil {
			return err
		}
		if err := s.storeUpdate(ctx, tx, &u); err != nil {
			return err
		}
		out.TableDescription, err = u.describe(ctx, tx)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// checkUpdate checks what can be checked without the table.
func checkUpdate(in *api.UpdateTableInput) error {
	if err := refuseUpdate(in); err != nil {
		return err
	}
	iops := in.ProvisionedThroughput != nil || in.BillingMode != nil
	parts := 0
	for _, there := range [...]bool{iops, len(in.GlobalSecondaryIndexUpdates) > 0, in.TableClass != nil,
		in.DeletionProtectionEnabled != nil, in.WarmThroughput != nil, in.StreamSpecification != nil} {
		if there {
			parts++
		}
	}
	empty := in.GlobalSecondaryIndexUpdates != nil && len(in.GlobalSecondaryIndexUpdates) == 0
	switch {
	case parts > 0 && empty:
		return invalid("List of GlobalSecondaryIndexUpdates is empty")
	case parts == 0:
		return validation("At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates, SSESpecification, " +
			"ReplicaUpdates, MultiAccountReplicaReady, ReplicaTransitRoleArn, MultiRegionConsistency, DeletionProtectionEnabled, " +
			"OnDemandThroughput, WarmThroughput or TableClass is required")
	case wire.Value(in.BillingMode) == "PROVISIONED" && in.ProvisionedThroughput == nil:
		return invalid("ProvisionedThroughput must be specified when BillingMode is PROVISIONED")
	}
	if in.BillingMode != nil || in.ProvisionedThroughput != nil {
		if err := checkBilling(in.BillingMode, in.ProvisionedThroughput); err != nil {
			return err
		}
	}
	switch {
	case in.TableClass != nil && parts > 1:
		return invalid("TableClass modification must be the only operation in the request")
	case in.DeletionProtectionEnabled != nil && parts > 1:
		return invalid("DeletionProtection modification must be the only operation in the request")
	case in.WarmThroughput != nil && parts > 1:
		return invalid("WarmThroughput must be the only operation in the request")
	}
	if err := checkStreamUpdate(in); err != nil {
		return err
	}
	return checkIndexUpdates(in.GlobalSecondaryIndexUpdates, iops)
}

func refuseUpdate(in *api.UpdateTableInput) error {
	if err := refuse("UpdateTable",
		param{"SSESpecification", in.SSESpecification != nil},
		param{"ReplicaUpdates", in.ReplicaUpdates != nil},
		param{"MultiRegionConsistency", in.MultiRegionConsistency != nil},
		param{"GlobalTableWitnessUpdates", in.GlobalTableWitnessUpdates != nil},
		param{"OnDemandThroughput", in.OnDemandThroughput != nil},
		param{"GlobalTableSettingsReplicationMode", in.GlobalTableSettingsReplicationMode != nil},
	); err != nil {
		return err
	}
	for _, g := range in.GlobalSecondaryIndexUpdates {
		if err := refuse("UpdateTable",
			param{"GlobalSecondaryIndexUpdates.Create.OnDemandThroughput", g.Create != nil && g.Create.OnDemandThroughput != nil},
			param{"GlobalSecondaryIndexUpdates.Update.OnDemandThroughput", g.Update != nil && g.Update.OnDemandThroughput != nil},
		); err != nil {
			return err
		}
	}
	return nil
}

// checkIndexUpdates checks the shape of the changes of indexes; iops is whether the table's throughput changes beside them.
func checkIndexUpdates(updates []api.GlobalSecondaryIndexUpdate, iops bool) error {
	names := map[string]bool{}
	for _, g := range updates {
		actions, name := 0, ""
		if g.Update != nil {
			actions, name = actions+1, g.Update.IndexName
		}
		if g.Create != nil {
			actions, name = actions+1, g.Create.IndexName
		}
		if g.Delete != nil {
			actions, name = actions+1, g.Delete.IndexName
		}
		switch {
		case actions == 0:
			return invalid("One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, GlobalSecondaryIndexUpdate.Delete must not be null")
		case actions > 1:
			return invalid("Only one global secondary index action is allowed per GlobalSecondaryIndexUpdate object")
		case names[name]:
			return invalid("Only one global secondary index update per index is allowed simultaneously. Index: %s", name)
		case iops && g.Update == nil:
			return invalid("You cannot create or delete index while updating table IOPS")
		}
		names[name] = true
	}
	return nil
}

// tableUpdate is a change of a table under way.
type tableUpdate struct {
	in      *api.UpdateTableInput
	was     *table
	changed table
	// created and dropped are indexes that were not there, or will not be.
	created, dropped []*index
	// touched are the names of the indexes of which something changes.
	touched map[string]bool
}

// apply checks the change against the table and makes it in u.changed.
func (u *tableUpdate) apply(call *cloud.Call) error {
	if err := u.throughput(call); err != nil {
		return err
	}
	if err := u.warm(); err != nil {
		return err
	}
	if err := u.stream(); err != nil {
		return err
	}
	u.touched = map[string]bool{}
	if err := u.oneAtATime(); err != nil {
		return err
	}
	for i := range u.in.GlobalSecondaryIndexUpdates {
		g := &u.in.GlobalSecondaryIndexUpdates[i]
		var err error
		switch {
		case g.Create != nil:
			err = u.create(g.Create)
		case g.Delete != nil:
			err = u.drop(g.Delete.IndexName)
		default:
			err = u.update(g.Update)
		}
		if err != nil {
			return err
		}
	}
	if err := u.indexThroughput(); err != nil {
		return err
	}
	if u.in.TableClass != nil {
		u.changed.Class = *u.in.TableClass
	}
	if u.in.DeletionProtectionEnabled != nil {
		u.changed.Protected = *u.in.DeletionProtectionEnabled
	}
	u.changed.trimAttributes()
	return nil
}

// throughput changes the table's billing mode and throughput.
func (u *tableUpdate) throughput(call *cloud.Call) error {
	in := u.in
	if in.BillingMode == nil && in.ProvisionedThroughput == nil {
		return nil
	}
	if in.BillingMode == nil && u.was.OnDemand {
		return invalid("Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is %s", payPerRequest)
	}
	if p := in.ProvisionedThroughput; p != nil && !u.was.OnDemand &&
		p.ReadCapacityUnits == u.was.ReadUnits && p.WriteCapacityUnits == u.was.WriteUnits {
		return errSameThroughput("table", "table", u.was.ReadUnits, u.was.WriteUnits)
	}
	u.changed.setBilling(call, in.BillingMode, in.ProvisionedThroughput)
	return nil
}

// errSameThroughput refuses throughput that is what it was; subject is "table" or "index NAME".
func errSameThroughput(subject, kind string, read, write int64) error {
	return validation("The provisioned throughput for the %[1]s will not change. The requested value equals the current value. "+
		"Current ReadCapacityUnits provisioned for the %[2]s: %[3]d. Requested ReadCapacityUnits: %[3]d. "+
		"Current WriteCapacityUnits provisioned for the %[2]s: %[4]d. Requested WriteCapacityUnits: %[4]d. "+
		"Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits.", subject, kind, read, write)
}

func (u *tableUpdate) warm() error {
	if u.in.WarmThroughput == nil {
		return nil
	}
	now := u.was.warm()
	if err := checkWarmer("table", u.in.WarmThroughput, now.ReadUnitsPerSecond, now.WriteUnitsPerSecond); err != nil {
		return err
	}
	u.changed.Warm = u.in.WarmThroughput
	return nil
}

// checkWarmer refuses warm throughput below what there is; subject is "table" or "index NAME".
func checkWarmer(subject string, asked *api.WarmThroughput, read, write *int64) error {
	for _, m := range [...]struct {
		name       string
		asked, now *int64
	}{{"ReadUnitsPerSecond", asked.ReadUnitsPerSecond, read}, {"WriteUnitsPerSecond", asked.WriteUnitsPerSecond, write}} {
		if m.asked != nil && *m.asked < wire.Value(m.now) {
			return invalid("Requested %s for WarmThroughput for %s is lower than current WarmThroughput, decreasing WarmThroughput is not supported",
				m.name, subject)
		}
	}
	return nil
}

// oneAtATime refuses a second index that is made or deleted while another one is. An index that is being filled may be deleted.
func (u *tableUpdate) oneAtATime() error {
	online := 0
	deleted := map[string]bool{}
	for _, g := range u.in.GlobalSecondaryIndexUpdates {
		if g.Update == nil {
			online++
		}
		if g.Delete != nil {
			deleted[g.Delete.IndexName] = true
		}
	}
	filling := slices.ContainsFunc(u.was.Indexes, func(x *index) bool { return x.Filling && !deleted[x.Name] })
	if online > 1 || online == 1 && filling {
		return api.NewLimitExceededException("Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table")
	}
	return nil
}

func (u *tableUpdate) create(g *api.CreateGlobalSecondaryIndexAction) error {
	if u.was.index(g.IndexName) != nil {
		return validation("Attempting to create an index which already exists")
	}
	if u.in.AttributeDefinitions == nil {
		return invalid("AttributeDefinitions is not specified for index: %s", g.IndexName)
	}
	if err := checkGlobalKey(g.KeySchema, u.in.AttributeDefinitions); err != nil {
		return err
	}
	if err := checkProjection(g.Projection); err != nil {
		return err
	}
	switch {
	case u.changed.OnDemand && g.ProvisionedThroughput != nil:
		return errIndexOnDemand(g.IndexName)
	case !u.changed.OnDemand && g.ProvisionedThroughput == nil:
		return invalid("Both ReadCapacityUnits and WriteCapacityUnits must be specified for index: %s", g.IndexName)
	}
	if err := checkIndexUnits(g.IndexName, u.changed.OnDemand, g.ProvisionedThroughput); err != nil {
		return err
	}
	return u.add(newGlobalIndex(&api.GlobalSecondaryIndex{IndexName: g.IndexName, KeySchema: g.KeySchema, Projection: g.Projection,
		ProvisionedThroughput: g.ProvisionedThroughput, WarmThroughput: g.WarmThroughput}), u.in.AttributeDefinitions)
}

func errIndexOnDemand(name string) error {
	return invalid("Neither ReadCapacityUnits nor WriteCapacityUnits can be specified for index: %s when BillingMode is %s", name, payPerRequest)
}

// add gives the table an index that has been checked. An attribute that is defined already keeps its type.
func (u *tableUpdate) add(x *index, attributes []api.AttributeDefinition) error {
	x.Filling = true
	u.changed.Attributes = slices.Clone(u.changed.Attributes)
	for _, a := range attributes {
		if u.changed.part(a.AttributeName).name == "" {
			u.changed.Attributes = append(u.changed.Attributes, a)
		}
	}
	u.changed.addIndex(x)
	u.created = append(u.created, x)
	global := 0
	for _, other := range u.changed.Indexes {
		if !other.Local {
			global++
		}
	}
	if global > maxGlobalIndexes {
		return api.NewLimitExceededException("Subscriber limit exceeded: Number of global secondary indexes exceeds per-table limit of %d", maxGlobalIndexes)
	}
	return checkProjected(u.changed.Indexes)
}

func (u *tableUpdate) drop(name string) error {
	x := u.was.index(name)
	switch {
	case x == nil:
		return api.NewResourceNotFoundException("Requested resource not found")
	case x.Local:
		return validation("Cannot delete an index that is not a GlobalSecondaryIndex: %s", name)
	}
	u.dropped = append(u.dropped, x)
	u.changed.Indexes = slices.DeleteFunc(slices.Clone(u.changed.Indexes), func(other *index) bool { return other.Name == name })
	return nil
}

func (u *tableUpdate) update(g *api.UpdateGlobalSecondaryIndexAction) error {
	at := slices.IndexFunc(u.changed.Indexes, func(x *index) bool { return x.Name == g.IndexName })
	switch {
	case at < 0:
		return validation("This operation cannot be performed with given input values. " +
			"Please contact DynamoDB service team for more info: Action Blocked: IndexUpdate")
	case u.changed.Indexes[at].Local:
		return validation("Cannot update an index that is not a GlobalSecondaryIndex: %s", g.IndexName)
	case g.ProvisionedThroughput != nil && u.changed.OnDemand:
		return errIndexOnDemand(g.IndexName)
	case g.ProvisionedThroughput == nil && g.WarmThroughput == nil:
		return invalid("Both ReadCapacityUnits and WriteCapacityUnits must be specified for index: %s", g.IndexName)
	}
	x := u.changed.Indexes[at]
	if g.WarmThroughput != nil {
		now := x.describe("", totals{}).WarmThroughput
		if err := checkWarmer("index "+x.Name, g.WarmThroughput, now.ReadUnitsPerSecond, now.WriteUnitsPerSecond); err != nil {
			return err
		}
	}
	if p := g.ProvisionedThroughput; p != nil {
		if err := checkIndexUnits(x.Name, false, p); err != nil {
			return err
		}
		if p.ReadCapacityUnits == x.ReadUnits && p.WriteCapacityUnits == x.WriteUnits {
			return errSameThroughput("index "+x.Name, "index", x.ReadUnits, x.WriteUnits)
		}
	}
	u.touched[x.Name] = true
	u.changed.changeIndex(at, func(x *index) {
		if g.WarmThroughput != nil {
			x.Warm = g.WarmThroughput
		}
		if p := g.ProvisionedThroughput; p != nil {
			x.ReadUnits, x.WriteUnits = p.ReadCapacityUnits, p.WriteCapacityUnits
		}
	})
	return nil
}

// indexThroughput makes the indexes follow a change of the table's billing mode.
func (u *tableUpdate) indexThroughput() error {
	if u.changed.OnDemand == u.was.OnDemand {
		return nil
	}
	var missing []string
	for i, x := range u.changed.Indexes {
		switch {
		case x.Local:
		case u.changed.OnDemand:
			u.touched[x.Name] = true
			u.changed.changeIndex(i, func(x *index) { x.ReadUnits, x.WriteUnits = 0, 0 })
		case x.ReadUnits == 0:
			missing = append(missing, x.Name)
		}
	}
	if len(missing) > 0 {
		return invalid("ProvisionedThroughput must be specified for index: %s", strings.Join(missing, ","))
	}
	return nil
}

// trimAttributes leaves the definitions of attributes that some key has.
func (t *table) trimAttributes() {
	used := keyNames(t.KeySchema)
	for _, x := range t.Indexes {
		used = append(used, keyNames(x.KeySchema)...)
	}
	t.Attributes = slices.DeleteFunc(slices.Clone(t.Attributes), func(a api.AttributeDefinition) bool { return !slices.Contains(used, a.AttributeName) })
}

// storeUpdate stores the changed table, removes the entries of indexes that are gone and begins to fill those that are new.
func (s *Service) storeUpdate(ctx context.Context, tx kv.Tx, u *tableUpdate) error {
	for _, x := range u.dropped {
		if err := x.drop(tx); err != nil {
			return err
		}
	}
	for _, x := range u.created {
		if err := s.startFill(ctx, &fillJob{Table: u.was.Name, TableID: u.was.ID, Number: x.Number}); err != nil {
			return err
		}
	}
	if err := s.moveStream(ctx, tx, u.was, &u.changed); err != nil {
		return err
	}
	return putTable(tx, &u.changed)
}

// describe is the answer of UpdateTable: what changes says so, and an index that goes is told once more.
func (u *tableUpdate) describe(ctx context.Context, tx kv.Tx) (*api.TableDescription, error) {
	shown := u.changed
	shown.Indexes = make([]*index, 0, len(u.changed.Indexes)+len(u.dropped))
	for _, x := range slices.Concat(u.changed.Indexes, u.dropped) {
		c := *x
		shown.Indexes = append(shown.Indexes, &c)
	}
	for _, a := range u.was.Attributes {
		if shown.part(a.AttributeName).name == "" {
			shown.Attributes = append(slices.Clone(shown.Attributes), a)
		}
	}
	if err := shown.derive(); err != nil {
		return nil, err
	}
	// The counters are told as they are, and no reason to run again.
	n, err := shown.totals(tx.Loose())
	if err != nil {
		return nil, err
	}
	call := cloud.CallOf(ctx)
	d := shown.describe(call, statusUpdating, n)
	if err := shown.describeIndexes(tx.Loose(), call, d, ""); err != nil {
		return nil, err
	}
	for i := range d.GlobalSecondaryIndexes {
		g := &d.GlobalSecondaryIndexes[i]
		switch {
		case slices.ContainsFunc(u.dropped, func(x *index) bool { return x.Name == *g.IndexName }):
			g.IndexStatus, g.Backfilling = wire.Ptr(statusDeleting), nil
		case slices.ContainsFunc(u.created, func(x *index) bool { return x.Name == *g.IndexName }):
			g.Backfilling = wire.Ptr(false)
		case u.touched[*g.IndexName]:
			g.IndexStatus = wire.Ptr(statusUpdating)
		}
	}
	return d, nil
}
