package dynamodb

import (
	"reflect"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/wire"
)

// localIndexProperty and globalIndexProperty are the indexes of AWS::DynamoDB::Table.
type localIndexProperty struct {
	IndexName  string             `cfn:"IndexName,required"`
	KeySchema  []keyProperty      `cfn:"KeySchema,required"`
	Projection projectionProperty `cfn:"Projection,required"`
}

type globalIndexProperty struct {
	IndexName             string                  `cfn:"IndexName,required"`
	KeySchema             []keyProperty           `cfn:"KeySchema,required"`
	Projection            projectionProperty      `cfn:"Projection,required"`
	ProvisionedThroughput *throughputProperty     `cfn:"ProvisionedThroughput"`
	WarmThroughput        *warmThroughputProperty `cfn:"WarmThroughput"`
}

type projectionProperty struct {
	ProjectionType   *string  `cfn:"ProjectionType"`
	NonKeyAttributes []string `cfn:"NonKeyAttributes"`
}

func (p *projectionProperty) input() *api.Projection {
	return &api.Projection{ProjectionType: p.ProjectionType, NonKeyAttributes: p.NonKeyAttributes}
}

func keyInput(keys []keyProperty) []api.KeySchemaElement {
	out := []api.KeySchemaElement{}
	for _, k := range keys {
		out = append(out, api.KeySchemaElement(k))
	}
	return out
}

func (p *localIndexProperty) input() api.LocalSecondaryIndex {
	return api.LocalSecondaryIndex{IndexName: p.IndexName, KeySchema: keyInput(p.KeySchema), Projection: p.Projection.input()}
}

func (p *globalIndexProperty) input() api.GlobalSecondaryIndex {
	out := api.GlobalSecondaryIndex{IndexName: p.IndexName, KeySchema: keyInput(p.KeySchema), Projection: p.Projection.input()}
	if p.ProvisionedThroughput != nil {
		out.ProvisionedThroughput = wire.Ptr(api.ProvisionedThroughput(*p.ProvisionedThroughput))
	}
	if p.WarmThroughput != nil {
		out.WarmThroughput = wire.Ptr(api.WarmThroughput(*p.WarmThroughput))
	}
	return out
}

// changeTo makes the global indexes those of a resource's new properties, which have been checked by themselves. The rules are those of
// CloudFormation: one index is made or deleted by an update, and of one that stays only the throughput changes.
func (u *tableUpdate) changeTo(in *api.CreateTableInput) error {
	if err := u.checkTypes(in.AttributeDefinitions); err != nil {
		return err
	}
	wanted := map[string]*api.GlobalSecondaryIndex{}
	for i := range in.GlobalSecondaryIndexes {
		wanted[in.GlobalSecondaryIndexes[i].IndexName] = &in.GlobalSecondaryIndexes[i]
	}
	for i, x := range u.was.Indexes {
		g := wanted[x.Name]
		switch {
		case x.Local:
		case g == nil:
			if err := u.drop(x.Name); err != nil {
				return err
			}
		default:
			next := newGlobalIndex(g)
			if !reflect.DeepEqual(next.KeySchema, x.KeySchema) || !reflect.DeepEqual(next.Projection, x.Projection) {
				return validation("Cannot update GSI's properties other than Provisioned Throughput and Contributor Insights Specification. " +
					"You can create a new GSI with a different name.")
			}
			at := i - len(u.dropped)
			u.changed.changeIndex(at, func(x *index) { x.ReadUnits, x.WriteUnits, x.Warm = next.ReadUnits, next.WriteUnits, next.Warm })
		}
	}
	for i := range in.GlobalSecondaryIndexes {
		if g := &in.GlobalSecondaryIndexes[i]; u.was.index(g.IndexName) == nil {
			if err := u.add(newGlobalIndex(g), in.AttributeDefinitions); err != nil {
				return err
			}
		}
	}
	if len(u.dropped)+len(u.created) > 1 {
		return validation("Cannot perform more than one GSI creation or deletion in a single update")
	}
	u.changed.trimAttributes()
	return nil
}

// checkTypes refuses another type for an attribute of a key that stays.
func (u *tableUpdate) checkTypes(attributes []api.AttributeDefinition) error {
	for _, a := range attributes {
		if was := u.was.part(a.AttributeName); was.typ != "" && was.typ != a.AttributeType {
			return validation("The type of attribute %s cannot change from %s to %s while the table stays: give the table another name",
				a.AttributeName, was.typ, a.AttributeType)
		}
	}
	return nil
}
