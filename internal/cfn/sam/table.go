package sam

import "croft/internal/cfn/template"

// simpleTable expands an AWS::Serverless::SimpleTable.
func (x *expander) simpleTable(s *source) ([]*resource, error) {
	p := properties{id: s.id, kind: "Property", v: s.properties}
	key := p.get("PrimaryKey", template.Map)
	throughput := p.get("ProvisionedThroughput", template.Map)
	name := p.get("TableName", template.String, template.Map)
	tags := p.get("Tags", template.Map)
	sse := p.get("SSESpecification", template.Map)
	recovery := p.get("PointInTimeRecoverySpecification")
	if err := p.done(); err != nil {
		return nil, err
	}
	attribute, err := primaryKey(s.id, key)
	if err != nil {
		return nil, err
	}
	out := []template.Field{
		f("AttributeDefinitions", list(attribute)),
		f("KeySchema", list(object(f("AttributeName", attribute.Get("AttributeName")), f("KeyType", str("HASH"))))),
	}
	if truthy(throughput) {
		out = append(out, f("ProvisionedThroughput", throughput))
	} else {
		out = append(out, f("BillingMode", str("PAY_PER_REQUEST")))
	}
	for _, field := range []template.Field{f("TableName", name), f("SSESpecification", sse), f("PointInTimeRecoverySpecification", recovery)} {
		if truthy(field.Value) {
			out = append(out, field)
		}
	}
	if truthy(tags) {
		out = append(out, f("Tags", list(tagList(tags)...)))
	}
	return []*resource{{id: s.id, typ: "AWS::DynamoDB::Table", attributes: s.own(), properties: out}}, nil
}

// primaryKey returns a table's one attribute definition.
func primaryKey(id string, key *value) (*value, error) {
	if !truthy(key) {
		return object(f("AttributeName", str("id")), f("AttributeType", str("S"))), nil
	}
	name, typ := key.Get("Name"), key.Get("Type")
	switch {
	case name.Is(template.Null):
		return nil, invalid(id, key.Pos(), "Property 'PrimaryKey.Name' is required.")
	case typ.Is(template.Null):
		return nil, invalid(id, key.Pos(), "Property 'PrimaryKey.Type' is required.")
	}
	for _, field := range key.Fields() {
		if field.Key != "Name" && field.Key != "Type" {
			return nil, unsupported(id, field.Value.Pos(), "Property PrimaryKey."+clip(field.Key))
		}
	}
	text, _ := typ.Scalar()
	short := map[string]string{"String": "S", "Number": "N", "Binary": "B"}[text]
	if short == "" {
		return nil, invalid(id, typ.Pos(), "Invalid 'Type' \"%s\".", clip(text))
	}
	return object(f("AttributeName", name), f("AttributeType", str(short))), nil
}
