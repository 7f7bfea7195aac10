package dynamodb

import (
	"context"
	"sort"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/cfn"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

// tableResource are the properties of AWS::DynamoDB::Table. What is not among them is refused by name.
type tableResource struct {
	TableName                        string                  `cfn:"TableName,replace"`
	AttributeDefinitions             []attributeProperty     `cfn:"AttributeDefinitions"`
	KeySchema                        []keyProperty           `cfn:"KeySchema,required,replace"`
	LocalSecondaryIndexes            []localIndexProperty    `cfn:"LocalSecondaryIndexes,replace"`
	GlobalSecondaryIndexes           []globalIndexProperty   `cfn:"GlobalSecondaryIndexes"`
	BillingMode                      *string                 `cfn:"BillingMode"`
	ProvisionedThroughput            *throughputProperty     `cfn:"ProvisionedThroughput"`
	WarmThroughput                   *warmThroughputProperty `cfn:"WarmThroughput"`
	TableClass                       *string                 `cfn:"TableClass"`
	DeletionProtectionEnabled        *bool                   `cfn:"DeletionProtectionEnabled"`
	SSESpecification                 *sseProperty            `cfn:"SSESpecification"`
	StreamSpecification              *streamProperty         `cfn:"StreamSpecification"`
	TimeToLiveSpecification          *ttlProperty            `cfn:"TimeToLiveSpecification"`
	PointInTimeRecoverySpecification *recoveryProperty       `cfn:"PointInTimeRecoverySpecification"`
	Tags                             []cfn.Tag               `cfn:"Tags"`
}

type attributeProperty struct {
	AttributeName string `cfn:"AttributeName,required"`
	AttributeType string `cfn:"AttributeType,required"`
}

type keyProperty struct {
	AttributeName string `cfn:"AttributeName,required"`
	KeyType       string `cfn:"KeyType,required"`
}

type throughputProperty struct {
	ReadCapacityUnits  int64 `cfn:"ReadCapacityUnits,required"`
	WriteCapacityUnits int64 `cfn:"WriteCapacityUnits,required"`
}

type warmThroughputProperty struct {
	ReadUnitsPerSecond  *int64 `cfn:"ReadUnitsPerSecond"`
	WriteUnitsPerSecond *int64 `cfn:"WriteUnitsPerSecond"`
}

type sseProperty struct {
	SSEEnabled bool `cfn:"SSEEnabled,required"`
}

func (s *Service) resources() []cfn.ResourceType {
	return []cfn.ResourceType{cfn.Resource("AWS::DynamoDB::Table", cfn.Spec[tableResource]{
		Create: s.createTableResource,
		Update: s.updateTableResource,
		Delete: s.deleteTableResource,
	})}
}

// input returns the CreateTable call that makes the resource.
func (p *tableResource) input(r *cfn.Request, name string) *api.CreateTableInput {
	in := &api.CreateTableInput{
		TableName: name, BillingMode: p.BillingMode, TableClass: p.TableClass, DeletionProtectionEnabled: p.DeletionProtectionEnabled,
		StreamSpecification:  p.StreamSpecification.input(),
		AttributeDefinitions: []api.AttributeDefinition{}, KeySchema: []api.KeySchemaElement{},
	}
	for _, a := range p.AttributeDefinitions {
		in.AttributeDefinitions = append(in.AttributeDefinitions, api.AttributeDefinition(a))
	}
	for _, k := range p.KeySchema {
		in.KeySchema = append(in.KeySchema, api.KeySchemaElement(k))
	}
	for i := range p.LocalSecondaryIndexes {
		in.LocalSecondaryIndexes = append(in.LocalSecondaryIndexes, p.LocalSecondaryIndexes[i].input())
	}
	for i := range p.GlobalSecondaryIndexes {
		in.GlobalSecondaryIndexes = append(in.GlobalSecondaryIndexes, p.GlobalSecondaryIndexes[i].input())
	}
	if p.ProvisionedThroughput != nil {
		in.ProvisionedThroughput = wire.Ptr(api.ProvisionedThroughput(*p.ProvisionedThroughput))
	}
	if p.WarmThroughput != nil {
		in.WarmThroughput = wire.Ptr(api.WarmThroughput(*p.WarmThroughput))
	}
	if p.SSESpecification != nil {
		in.SSESpecification = &api.SSESpecification{Enabled: wire.Ptr(p.SSESpecification.SSEEnabled)}
	}
	tags := cfn.TagMap(r.Tags, p.Tags)
	for k, v := range tags {
		in.Tags = append(in.Tags, api.Tag{Key: k, Value: v})
	}
	sort.Slice(in.Tags, func(i, j int) bool { return in.Tags[i].Key < in.Tags[j].Key })
	return in
}

func (s *Service) createTableResource(ctx context.Context, r *cfn.Request, p *tableResource) (*cfn.Result, error) {
	name := p.TableName
	if name == "" {
		name = r.GeneratedName
	}
	if err := p.checkFollowing(); err != nil {
		return nil, err
	}
	c := api.NewClient(s.deps.Caller)
	out, err := c.CreateTable(ctx, p.input(r, name))
	if err != nil {
		return nil, err
	}
	return tableResult(cloud.CallOf(ctx), name, out.TableDescription.LatestStreamArn), p.enableTTL(ctx, c, name)
}

// updateTableResource changes in place what AWS changes in place; DynamoDB allows a change of billing mode at any time here.
func (s *Service) updateTableResource(ctx context.Context, r *cfn.Request, _, p *tableResource) (*cfn.Result, error) {
	in := p.input(r, r.PhysicalID)
	if err := wire.Validate(createTable(), in); err != nil {
		return nil, err
	}
	if err := checkCreate(in); err != nil {
		return nil, err
	}
	if err := p.checkFollowing(); err != nil {
		return nil, err
	}
	var stream *string
	err := s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		t, err := s.namedTable(tx, r.PhysicalID)
		if err != nil {
			return err
		}
		u := tableUpdate{was: t, changed: *t}
		changed := &u.changed
		changed.setBilling(cloud.CallOf(ctx), in.BillingMode, in.ProvisionedThroughput)
		changed.Warm, changed.Class, changed.Tags = in.WarmThroughput, wire.Value(in.TableClass), in.Tags
		changed.Protected = wire.Value(in.DeletionProtectionEnabled)
		if err := u.changeTo(in); err != nil {
			return err
		}
		if err := s.followResource(ctx, tx, p, &u); err != nil {
			return err
		}
		if err := s.storeUpdate(ctx, tx, &u); err != nil {
			return err
		}
		stream = nil
		if u.changed.streamEnabled() {
			stream = wire.Ptr(streamARN(cloud.CallOf(ctx), r.PhysicalID, u.changed.Stream.Label))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return tableResult(cloud.CallOf(ctx), r.PhysicalID, stream), nil
}

// createTable returns the model's operation, whose constraints hold for a changed table too.
func createTable() *wire.Operation {
	for _, op := range api.Service().Operations {
		if op.Name == "CreateTable" {
			return op
		}
	}
	return nil
}

func (s *Service) deleteTableResource(ctx context.Context, r *cfn.Request, _ *tableResource) error {
	_, err := api.NewClient(s.deps.Caller).DeleteTable(ctx, &api.DeleteTableInput{TableName: r.PhysicalID})
	if cloud.Code(err) == "ResourceNotFoundException" {
		return nil
	}
	return err
}
