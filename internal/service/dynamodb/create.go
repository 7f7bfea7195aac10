package dynamodb

import (
	"context"
	"errors"
	"strings"
	"time"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

// Limits of tables. Source: DynamoDB Developer Guide, "Service, account, and table quotas".
const (
	maxThroughput    = 1_000_000_000_000
	maxTags          = 50
	payPerRequest    = "PAY_PER_REQUEST"
	keyHash          = "HASH"
	keyRange         = "RANGE"
	onDemandWarmRead = 12000
	onDemandWarmPut  = 4000
)

// CreateTable makes a table, which is there and active when the call returns. As on AWS, the answer itself still says CREATING.
func (s *Service) CreateTable(ctx context.Context, in *api.CreateTableInput) (*api.CreateTableOutput, error) {
	name, err := s.tableName(ctx, in.TableName)
	if err != nil {
		return nil, err
	}
	if err := checkCreate(in); err != nil {
		return nil, err
	}
	t := newTable(cloud.CallOf(ctx), name, in)
	if err := t.derive(); err != nil {
		return nil, err
	}
	made := *t
	err = s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		_, err := tx.Get(tableKey(name))
		switch {
		case errors.Is(err, kv.ErrNotFound):
			made = *t
			if err := s.moveStream(ctx, tx, nil, &made); err != nil {
				return err
			}
			return putTable(tx, &made)
		case err != nil:
			return err
		}
		return api.NewResourceInUseException("Table already exists: %s", name)
	})
	if err != nil {
		return nil, err
	}
	d := made.describe(cloud.CallOf(ctx), statusCreating, totals{})
	if err := t.describeIndexes(nil, cloud.CallOf(ctx), d, statusCreating); err != nil {
		return nil, err
	}
	if t.Warm == nil {
		d.WarmThroughput = nil
	} else {
		d.WarmThroughput.Status = wire.Ptr("UPDATING")
	}
	if d.BillingModeSummary != nil {
		d.BillingModeSummary.LastUpdateToPayPerRequestDateTime = nil
	}
	return &api.CreateTableOutput{TableDescription: d}, nil
}

func newTable(call *cloud.Call, name string, in *api.CreateTableInput) *table {
	t := &table{
		Name: name, ID: cloud.NewRequestID(), Created: call.Now.UTC().Truncate(time.Millisecond),
		Attributes: in.AttributeDefinitions, KeySchema: in.KeySchema,
		Warm: in.WarmThroughput, Class: wire.Value(in.TableClass), Protected: wire.Value(in.DeletionProtectionEnabled), Tags: in.Tags,
	}
	t.setBilling(call, in.BillingMode, in.ProvisionedThroughput)
	t.wantStream(in.StreamSpecification)
	for _, x := range newIndexes(in) {
		t.addIndex(x)
	}
	return t
}

// setBilling takes over a billing mode and throughput that have been checked.
func (t *table) setBilling(call *cloud.Call, mode *string, units *api.ProvisionedThroughput) {
	if wire.Value(mode) != payPerRequest {
		t.OnDemand = false
		t.ReadUnits, t.WriteUnits = units.ReadCapacityUnits, units.WriteCapacityUnits
		return
	}
	if !t.OnDemand {
		t.OnDemandSince = call.Now.UTC().Truncate(time.Millisecond)
	}
	t.OnDemand, t.ReadUnits, t.WriteUnits = true, 0, 0
}

// checkCreate checks what the model's constraints leave to the service, in DynamoDB's order.
func checkCreate(in *api.CreateTableInput) error {
	if err := checkBilling(in.BillingMode, in.ProvisionedThroughput); err != nil {
		return err
	}
	if err := checkKeySchema(in.KeySchema, in.AttributeDefinitions); err != nil {
		return err
	}
	if err := checkIndexes(in); err != nil {
		return err
	}
	if err := refuseCreate(in); err != nil {
		return err
	}
	if err := checkTagCount(in.Tags); err != nil {
		return err
	}
	return checkTags(in.Tags)
}

func refuseCreate(in *api.CreateTableInput) error {
	if err := refuse("CreateTable",
		param{"ResourcePolicy", in.ResourcePolicy != nil},
		param{"OnDemandThroughput", in.OnDemandThroughput != nil},
		param{"GlobalTableSourceArn", in.GlobalTableSourceArn != nil},
		param{"GlobalTableSettingsReplicationMode", in.GlobalTableSettingsReplicationMode != nil},
	); err != nil {
		return err
	}
	if err := checkNewStream(in.StreamSpecification); err != nil {
		return err
	}
	// Encryption with a key that AWS owns is what a table has without a specification.
	sse := in.SSESpecification
	return refuse("CreateTable", param{"SSESpecification",
		sse != nil && (wire.Value(sse.Enabled) || sse.SSEType != nil || sse.KMSMasterKeyId != nil)})
}

func checkBilling(mode *string, units *api.ProvisionedThroughput) error {
	if wire.Value(mode) == payPerRequest {
		if units != nil && (units.ReadCapacityUnits != 0 || units.WriteCapacityUnits != 0) {
			return invalid("Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST")
		}
		return nil
	}
	if units == nil {
		return invalid("ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED")
	}
	if units.ReadCapacityUnits > maxThroughput {
		return validation("Given value %d for ReadCapacityUnits is out of bounds", units.ReadCapacityUnits)
	}
	if units.WriteCapacityUnits > maxThroughput {
		return validation("Given value %d for WriteCapacityUnits is out of bounds", units.WriteCapacityUnits)
	}
	return nil
}

func checkKeySchema(schema []api.KeySchemaElement, attributes []api.AttributeDefinition) error {
	types := make(map[string]bool, len(attributes))
	defined := make([]string, len(attributes))
	for i, a := range attributes {
		if types[a.AttributeName] {
			return invalid("Duplicate AttributeName in AttributeDefinitions: %s", a.AttributeName)
		}
		types[a.AttributeName], defined[i] = true, a.AttributeName
	}
	keys := make([]string, len(schema))
	missing := false
	for i, k := range schema {
		keys[i] = k.AttributeName
		missing = missing || !types[k.AttributeName]
	}
	switch {
	case len(schema) > 2:
		return constraints([]string{tooLong(schema, "keySchema")})
	case len(schema) == 0:
		return constraints([]string{"Value '[]' at 'keySchema' failed to satisfy constraint: Member must have length greater than or equal to 1"})
	case len(keys) > len(defined):
		return validation("Invalid KeySchema: Some index key attribute have no definition")
	case missing:
		return invalid("Some index key attributes are not defined in AttributeDefinitions. Keys: [%s], AttributeDefinitions: [%s]",
			strings.Join(keys, ", "), strings.Join(defined, ", "))
	case len(keys) == 2 && keys[0] == keys[1]:
		return validation("Both the Hash Key and the Range Key element in the KeySchema have the same name")
	case schema[0].KeyType != keyHash:
		return validation("Invalid KeySchema: The first KeySchemaElement is not a HASH key type")
	case len(schema) == 2 && schema[1].KeyType != keyRange:
		return validation("Invalid KeySchema: The second KeySchemaElement is not a RANGE key type")
	}
	return nil
}

func checkTags(tags []api.Tag) error {
	seen := make(map[string]bool, len(tags))
	for _, t := range tags {
		switch {
		case t.Key == "":
			return validation("The Tag Key provided is invalid, Key: ")
		case strings.HasPrefix(strings.ToLower(t.Key), "aws:"):
			return validation("Tag Key cannot be prefixed with aws:, Key: %s", t.Key)
		case seen[t.Key]:
			return validation("Duplicate Tag Keys provided as input: Duplicate Tag Key found %s", t.Key)
		}
		seen[t.Key] = true
	}
	return nil
}
