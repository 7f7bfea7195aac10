package dynamodb

import (
	"context"

	api "croft/internal/awsapi/dynamodb"
)

// part is what the four kinds of parts of a transaction have in common.
type part struct {
	kind      writeKind
	table     string
	item      map[string]api.AttributeValue
	update    *string
	condition *string
	names     map[string]string
	values    map[string]api.AttributeValue
	onFailure *string
}

// partsOf returns the parts that an entry of a transaction has; it should be one.
func partsOf(in *api.TransactWriteItem) []part {
	var out []part
	if c := in.ConditionCheck; c != nil {
		out = append(out, part{writeCheck, c.TableName, c.Key, nil, &c.ConditionExpression,
			c.ExpressionAttributeNames, c.ExpressionAttributeValues, c.ReturnValuesOnConditionCheckFailure})
	}
	if p := in.Put; p != nil {
		out = append(out, part{writePut, p.TableName, p.Item, nil, p.ConditionExpression,
			p.ExpressionAttributeNames, p.ExpressionAttributeValues, p.ReturnValuesOnConditionCheckFailure})
	}
	if d := in.Delete; d != nil {
		out = append(out, part{writeDelete, d.TableName, d.Key, nil, d.ConditionExpression,
			d.ExpressionAttributeNames, d.ExpressionAttributeValues, d.ReturnValuesOnConditionCheckFailure})
	}
	if u := in.Update; u != nil {
		out = append(out, part{writeUpdate, u.TableName, u.Key, &u.UpdateExpression, u.ConditionExpression,
			u.ExpressionAttributeNames, u.ExpressionAttributeValues, u.ReturnValuesOnConditionCheckFailure})
	}
	return out
}

// transactItem checks one entry of a transaction as far as that goes without its table.
func (s *Service) transactItem(ctx context.Context, in *api.TransactWriteItem) (*write, error) {
	parts := partsOf(in)
	if len(parts) != 1 {
		return nil, validation("TransactItems can only contain one of Check, Put, Update or Delete")
	}
	p := &parts[0]
	name, err := s.tableName(ctx, p.table)
	if err != nil {
		return nil, err
	}
	exprs := expressions{names: p.names, values: p.values, given: []param{{conditionParam, p.condition != nil}}}
	if p.kind == writeUpdate {
		exprs.given = append([]param{{"UpdateExpression", true}}, exprs.given...)
	}
	if err := exprs.check(); err != nil {
		return nil, err
	}
	w := &write{kind: p.kind, table: name, item: p.item, onFailure: p.onFailure}
	if p.kind == writePut {
		err = w.setItem(p.item)
	} else {
		err = checkValues(p.item)
	}
	if err != nil {
		return nil, err
	}
	if w.size > maxItemBytes {
		return nil, errItemSize()
	}
	return w, w.parseUpdate(&exprs, p.update, p.condition)
}
