package dynamodb

import (
	"fmt"
	"slices"
	"strings"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/wire"
)

// Limits of secondary indexes. Source: DynamoDB Developer Guide, "Quotas in Amazon DynamoDB" and "Multi-attribute keys".
const (
	maxLocalIndexes  = 5
	maxGlobalIndexes = 20
	// maxProjected bounds the attributes that the indexes of a table name together.
	maxProjected = 100
	// maxKeyAttributes bounds the attributes of a global index's partition key, and those of its sort key.
	maxKeyAttributes = 4
)

// checkIndexes checks the indexes of a new table, in DynamoDB's order.
func checkIndexes(in *api.CreateTableInput) error {
	if in.LocalSecondaryIndexes == nil && in.GlobalSecondaryIndexes == nil {
		if len(in.KeySchema) != len(in.AttributeDefinitions) {
			return invalid("Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions")
		}
		return nil
	}
	names := map[string]bool{}
	if err := checkLocalIndexes(in, names); err != nil {
		return err
	}
	if err := checkGlobalIndexes(in, names); err != nil {
		return err
	}
	if err := checkProjected(newIndexes(in)); err != nil {
		return err
	}
	used := keyNames(in.KeySchema)
	for _, x := range newIndexes(in) {
		used = append(used, keyNames(x.KeySchema)...)
	}
	return checkUsed(in.AttributeDefinitions, used)
}

func checkLocalIndexes(in *api.CreateTableInput, names map[string]bool) error {
	if in.LocalSecondaryIndexes == nil {
		return nil
	}
	if len(in.LocalSecondaryIndexes) == 0 {
		return invalid("List of LocalSecondaryIndexes is empty")
	}
	var broken []string
	for i, x := range in.LocalSecondaryIndexes {
		if len(x.KeySchema) > 2 {
			broken = append(broken, tooLong(x.KeySchema, fmt.Sprintf("localSecondaryIndexes.%d.member.keySchema", i+1)))
		}
	}
	if err := constraints(broken); err != nil {
		return err
	}
	if len(in.KeySchema) != 2 {
		return invalid("Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex")
	}
	for _, x := range in.LocalSecondaryIndexes {
		if err := checkLocalIndex(&x, in); err != nil {
			return err
		}
		if names[x.IndexName] {
			return invalid("Duplicate index name: %s", x.IndexName)
		}
		names[x.IndexName] = true
	}
	if len(in.LocalSecondaryIndexes) > maxLocalIndexes {
		return invalid("Number of LocalSecondaryIndexes exceeds per-table limit of %d", maxLocalIndexes)
	}
	return nil
}

func checkLocalIndex(x *api.LocalSecondaryIndex, in *api.CreateTableInput) error {
	if err := checkIndexKey(x.KeySchema, in.AttributeDefinitions); err != nil {
		return err
	}
	hash, tableHash := x.KeySchema[0].AttributeName, in.KeySchema[0].AttributeName
	switch {
	case len(x.KeySchema) == 2 && x.KeySchema[1].KeyType != keyRange:
		return validation("Invalid KeySchema: The second KeySchemaElement is not a RANGE key type")
	case len(x.KeySchema) != 2:
		return invalid("Index KeySchema does not have a range key for index: %s", x.IndexName)
	case hash != tableHash:
		return invalid("Index KeySchema does not have the same leading hash key as table KeySchema for index: %s. index hash key: %s, "+
			"table hash key: %s", x.IndexName, hash, tableHash)
	}
	return checkProjection(x.Projection)
}

func checkGlobalIndexes(in *api.CreateTableInput, names map[string]bool) error {
	if in.GlobalSecondaryIndexes == nil {
		return nil
	}
	if len(in.GlobalSecondaryIndexes) == 0 {
		return invalid("List of GlobalSecondaryIndexes is empty")
	}
	onDemand := wire.Value(in.BillingMode) == payPerRequest
	for _, x := range in.GlobalSecondaryIndexes {
		if err := checkGlobalKey(x.KeySchema, in.AttributeDefinitions); err != nil {
			return err
		}
		if err := checkProjection(x.Projection); err != nil {
			return err
		}
		if err := checkIndexUnits(x.IndexName, onDemand, x.ProvisionedThroughput); err != nil {
			return err
		}
		if err := refuse("CreateTable", param{"GlobalSecondaryIndexes.OnDemandThroughput", x.OnDemandThroughput != nil}); err != nil {
			return err
		}
		if names[x.IndexName] {
			return invalid("Duplicate index name: %s", x.IndexName)
		}
		names[x.IndexName] = true
	}
	if len(in.GlobalSecondaryIndexes) > maxGlobalIndexes {
		return invalid("GlobalSecondaryIndex count exceeds the per-table limit of %d", maxGlobalIndexes)
	}
	return nil
}

// tooLong is a broken constraint of a key with more than two elements.
func tooLong(schema []api.KeySchemaElement, at string) string {
	elements := make([]string, len(schema))
	for i, k := range schema {
		elements[i] = fmt.Sprintf("KeySchemaElement(attributeName=%s, keyType=%s)", k.AttributeName, k.KeyType)
	}
	return fmt.Sprintf("Value '[%s]' at '%s' failed to satisfy constraint: Member must have length less than or equal to 2",
		strings.Join(elements, ", "), at)
}

func keyNames(schema []api.KeySchemaElement) []string {
	out := make([]string, len(schema))
	for i, k := range schema {
		out[i] = k.AttributeName
	}
	return out
}

func attributeNames(attributes []api.AttributeDefinition) []string {
	out := make([]string, len(attributes))
	for i, a := range attributes {
		out[i] = a.AttributeName
	}
	return out
}

// checkIndexKey checks what holds for the keys of local and of global indexes.
func checkIndexKey(schema []api.KeySchemaElement, attributes []api.AttributeDefinition) error {
	names, defined := keyNames(schema), attributeNames(attributes)
	for _, name := range names {
		if !slices.Contains(defined, name) {
			return invalid("Some index key attributes are not defined in AttributeDefinitions. Keys: [%s], AttributeDefinitions: [%s]",
				strings.Join(names, ", "), strings.Join(defined, ", "))
		}
	}
	switch {
	case len(names) == 2 && names[0] == names[1]:
		return validation("Both the Hash Key and the Range Key element in the KeySchema have the same name")
	case schema[0].KeyType != keyHash:
		return validation("Invalid KeySchema: The first KeySchemaElement is not a HASH key type")
	}
	return nil
}

// checkGlobalKey checks the key of a global index, of which both parts may have several attributes.
func checkGlobalKey(schema []api.KeySchemaElement, attributes []api.AttributeDefinition) error {
	if err := checkIndexKey(schema, attributes); err != nil {
		return err
	}
	kinds := map[string]int{}
	for i, k := range schema {
		kinds[k.KeyType]++
		if i > 0 && k.KeyType == keyHash && schema[i-1].KeyType == keyRange {
			return invalid("All HASH key attributes must precede RANGE key attributes in the KeySchema")
		}
	}
	for _, kind := range [...]string{keyHash, keyRange} {
		if kinds[kind] > maxKeyAttributes {
			return invalid("The KeySchema exceeds the maximum allowed number of %s key attributes", kind)
		}
	}
	names := keyNames(schema)
	slices.Sort(names)
	if len(slices.Compact(names)) < len(schema) {
		return validation("The KeySchema contains multiple key attributes with the same name")
	}
	return nil
}

func checkProjection(p *api.Projection) error {
	if p.ProjectionType == nil {
		return invalid("Unknown ProjectionType: null")
	}
	kind := *p.ProjectionType
	switch {
	case kind != projectInclude && p.NonKeyAttributes != nil:
		return invalid("ProjectionType is %s, but NonKeyAttributes is specified", kind)
	case kind == projectInclude && len(p.NonKeyAttributes) == 0:
		return invalid("ProjectionType is %s, but NonKeyAttributes is not specified", kind)
	}
	for i, name := range p.NonKeyAttributes {
		if slices.Contains(p.NonKeyAttributes[:i], name) {
			return invalid("Duplicate element in NonKeyAttributes: %s", name)
		}
	}
	return nil
}

// checkIndexUnits checks the throughput of a new global index against the billing mode of its table.
func checkIndexUnits(name string, onDemand bool, units *api.ProvisionedThroughput) error {
	switch {
	case onDemand && units != nil:
		return invalid("ProvisionedThroughput should not be specified for index: %s when BillingMode is %s", name, payPerRequest)
	case onDemand:
		return nil
	case units == nil:
		return invalid("ProvisionedThroughput is not specified for index: %s", name)
	case units.ReadCapacityUnits > maxThroughput:
		return validation("Given value %d for ReadCapacityUnits is out of bounds for index %s", units.ReadCapacityUnits, name)
	case units.WriteCapacityUnits > maxThroughput:
		return validation("Given value %d for WriteCapacityUnits is out of bounds for index %s", units.WriteCapacityUnits, name)
	}
	return nil
}

// checkProjected bounds the attributes that all indexes of a table name together; one that several name counts for each.
func checkProjected(indexes []*index) error {
	n := 0
	for _, x := range indexes {
		n += len(x.Projection.NonKeyAttributes)
	}
	if n > maxProjected {
		return invalid("Number of projected attributes exceeds the per-table limit of %d: %d", maxProjected, n)
	}
	return nil
}

// checkUsed refuses definitions of attributes that no key has.
func checkUsed(attributes []api.AttributeDefinition, used []string) error {
	slices.Sort(used)
	used = slices.Compact(used)
	if len(attributes) == len(used) {
		return nil
	}
	defined := attributeNames(attributes)
	slices.Sort(defined)
	return invalid("Some AttributeDefinitions are not used. AttributeDefinitions: [%s], keys used: [%s]",
		strings.Join(defined, ", "), strings.Join(used, ", "))
}

// newIndexes returns the indexes that a table is made with, unnumbered.
func newIndexes(in *api.CreateTableInput) []*index {
	var out []*index
	for _, x := range in.LocalSecondaryIndexes {
		out = append(out, &index{Name: x.IndexName, Local: true, KeySchema: x.KeySchema, Projection: *x.Projection})
	}
	for _, x := range in.GlobalSecondaryIndexes {
		out = append(out, newGlobalIndex(&x))
	}
	return out
}

func newGlobalIndex(g *api.GlobalSecondaryIndex) *index {
	x := &index{Name: g.IndexName, KeySchema: g.KeySchema, Projection: *g.Projection, Warm: g.WarmThroughput}
	if g.ProvisionedThroughput != nil {
		x.ReadUnits, x.WriteUnits = g.ProvisionedThroughput.ReadCapacityUnits, g.ProvisionedThroughput.WriteCapacityUnits
	}
	return x
}
