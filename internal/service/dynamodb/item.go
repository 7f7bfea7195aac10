package dynamodb

import (
	"context"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/kv"
	"croft/internal/service/dynamodb/expression"
	"croft/internal/wire"
)

// Values of ReturnValues. ALL_OLD is also one of ReturnValuesOnConditionCheckFailure.
const (
	returnOld        = "ALL_OLD"
	returnUpdatedOld = "UPDATED_OLD"
	returnNew        = "ALL_NEW"
	returnUpdatedNew = "UPDATED_NEW"
)

const conditionParam = "ConditionExpression"

// writeItem does w in a transaction of its own.
func (s *Service) writeItem(ctx context.Context, w *write) (out written, err error) {
	err = s.space(ctx).Update(ctx, func(_ context.Context, tx kv.Tx) error {
		t, err := s.tableForItems(tx, w.table)
		if err != nil {
			return err
		}
		key, err := w.target(t)
		if err != nil {
			return err
		}
		out, err = w.apply(tx, t, key)
		return err
	})
	return out, err
}

// PutItem stores an item in the place of one with the same key.
func (s *Service) PutItem(ctx context.Context, in *api.PutItemInput) (*api.PutItemOutput, error) {
	name, err := s.tableName(ctx, in.TableName)
	if err != nil {
		return nil, err
	}
	exprs := expressions{in.ExpressionAttributeNames, in.ExpressionAttributeValues,
		[]param{{conditionParam, in.ConditionExpression != nil}},
		[]param{{"Expected", in.Expected != nil}, {"ConditionalOperator", in.ConditionalOperator != nil}},
		in.ConditionalOperator, len(in.Expected)}
	if err := exprs.check(); err != nil {
		return nil, err
	}
	w := &write{kind: writePut, table: name, onFailure: in.ReturnValuesOnConditionCheckFailure, wantOld: wire.Value(in.ReturnValues) == returnOld}
	if err := w.setItem(in.Item); err != nil {
		return nil, err
	}
	if err := checkReturnOld(in.ReturnValues); err != nil {
		return nil, err
	}
	if w.size > maxItemBytes {
		return nil, errItemSize()
	}
	if w.condition, err = exprs.writeCondition(in.ConditionExpression, in.Expected, in.ConditionalOperator); err != nil {
		return nil, err
	}
	w.metrics = wantsMetrics(in.ReturnItemCollectionMetrics)
	done, err := s.writeItem(ctx, w)
	if err != nil {
		return nil, err
	}
	out := &api.PutItemOutput{ItemCollectionMetrics: done.collection, ConsumedCapacity: consumedWrite(in.ReturnConsumedCapacity, name, done)}
	if w.wantOld {
		out.Attributes = done.old.attributes
	}
	return out, nil
}

func errItemSize() error { return validation("Item size has exceeded the maximum allowed size") }

// DeleteItem removes an item; one that is not there is no error.
func (s *Service) DeleteItem(ctx context.Context, in *api.DeleteItemInput) (*api.DeleteItemOutput, error) {
	name, err := s.tableName(ctx, in.TableName)
	if err != nil {
		return nil, err
	}
	exprs := expressions{in.ExpressionAttributeNames, in.ExpressionAttributeValues,
		[]param{{conditionParam, in.ConditionExpression != nil}},
		[]param{{"Expected", in.Expected != nil}, {"ConditionalOperator", in.ConditionalOperator != nil}},
		in.ConditionalOperator, len(in.Expected)}
	if err := exprs.check(); err != nil {
		return nil, err
	}
	if err := checkValues(in.Key); err != nil {
		return nil, err
	}
	if err := checkReturnOld(in.ReturnValues); err != nil {
		return nil, err
	}
	w := &write{kind: writeDelete, table: name, item: in.Key, onFailure: in.ReturnValuesOnConditionCheckFailure,
		wantOld: wire.Value(in.ReturnValues) == returnOld}
	if w.condition, err = exprs.writeCondition(in.ConditionExpression, in.Expected, in.ConditionalOperator); err != nil {
		return nil, err
	}
	w.metrics = wantsMetrics(in.ReturnItemCollectionMetrics)
	done, err := s.writeItem(ctx, w)
	if err != nil {
		return nil, err
	}
	out := &api.DeleteItemOutput{ItemCollectionMetrics: done.collection, ConsumedCapacity: consumedWrite(in.ReturnConsumedCapacity, name, done)}
	if w.wantOld {
		out.Attributes = done.old.attributes
	}
	return out, nil
}

// UpdateItem changes attributes of an item, which it makes where there is none.
func (s *Service) UpdateItem(ctx context.Context, in *api.UpdateItemInput) (*api.UpdateItemOutput, error) {
	name, err := s.tableName(ctx, in.TableName)
	if err != nil {
		return nil, err
	}
	exprs := expressions{in.ExpressionAttributeNames, in.ExpressionAttributeValues,
		[]param{{"UpdateExpression", in.UpdateExpression != nil}, {conditionParam, in.ConditionExpression != nil}},
		[]param{{"AttributeUpdates", in.AttributeUpdates != nil}, {"Expected", in.Expected != nil},
			{"ConditionalOperator", in.ConditionalOperator != nil}},
		in.ConditionalOperator, len(in.Expected)}
	if err := exprs.check(); err != nil {
		return nil, err
	}
	if err := checkValues(in.Key); err != nil {
		return nil, err
	}
	w := &write{kind: writeUpdate, table: name, item: in.Key, onFailure: in.ReturnValuesOnConditionCheckFailure}
	switch wire.Value(in.ReturnValues) {
	case returnNew, returnUpdatedNew:
		w.wantNew = true
	}
	if err := w.legacyUpdate(in); err != nil {
		return nil, err
	}
	if err := w.parseUpdate(&exprs, in.UpdateExpression, in.ConditionExpression); err != nil {
		return nil, err
	}
	w.metrics = wantsMetrics(in.ReturnItemCollectionMetrics)
	done, err := s.writeItem(ctx, w)
	if err != nil {
		return nil, err
	}
	return &api.UpdateItemOutput{
		Attributes:            w.answer(wire.Value(in.ReturnValues), done),
		ItemCollectionMetrics: done.collection, ConsumedCapacity: consumedWrite(in.ReturnConsumedCapacity, name, done),
	}, nil
}

// parseUpdate takes over the expressions of an update, neither of which need be there.
func (w *write) parseUpdate(exprs *expressions, update, condition *string) error {
	set, err := exprs.set()
	if err != nil {
		return err
	}
	if update != nil {
		if w.update, err = set.Update(*update); err != nil {
			return err
		}
	}
	if condition != nil {
		if w.condition, err = set.Condition(conditionParam, *condition); err != nil {
			return err
		}
	}
	return set.Unused()
}

// answer returns the attributes that ReturnValues asks for, nil when there are none.
func (w *write) answer(mode string, done written) map[string]api.AttributeValue {
	touched := new(expression.Projection)
	if w.update != nil {
		touched = w.update.Touched()
	}
	var out map[string]api.AttributeValue
	switch mode {
	case returnOld:
		out = done.old.attributes
	case returnNew:
		out = done.item
	case returnUpdatedOld:
		out = touched.Apply(done.old.attributes)
	case returnUpdatedNew:
		out = touched.Apply(done.item)
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// GetItem reads one item. Every read is consistent; ConsistentRead changes the capacity that is reported alone.
func (s *Service) GetItem(ctx context.Context, in *api.GetItemInput) (*api.GetItemOutput, error) {
	name, err := s.tableName(ctx, in.TableName)
	if err != nil {
		return nil, err
	}
	exprs := readExpressions(in.ExpressionAttributeNames, in.ProjectionExpression, in.AttributesToGet)
	if err := exprs.check(); err != nil {
		return nil, err
	}
	if err := checkValues(in.Key); err != nil {
		return nil, err
	}
	g := get{table: name, key: in.Key}
	if g.projection, err = exprs.readProjection(in.ProjectionExpression, in.AttributesToGet); err != nil {
		return nil, err
	}
	out, size := new(api.GetItemOutput), 0
	err = s.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) error {
		t, err := s.tableForItems(r, name)
		if err != nil {
			return err
		}
		key, err := g.check(t)
		if err != nil {
			return err
		}
		out.Item, size, err = g.read(r, key)
		return err
	})
	if err != nil {
		return nil, err
	}
	out.ConsumedCapacity = consumed(in.ReturnConsumedCapacity, name, readUnits(size, in.ConsistentRead))
	return out, nil
}

// get is the reading of one item.
type get struct {
	table      string
	key        map[string]api.AttributeValue
	projection *expression.Projection
}

// check returns the key that g reads.
func (g *get) check(t *table) (kv.Key, error) {
	key, err := t.keyOf(g.key)
	if err != nil || g.projection == nil {
		return key, err
	}
	return key, t.checkPaths(g.projection)
}

// read returns what g asks for, nil when there is no item, and the size of the whole item.
func (g *get) read(r kv.Reader, key kv.Key) (map[string]api.AttributeValue, int, error) {
	old, err := readPrevious(r, key, true)
	if err != nil || !old.there {
		return nil, 0, err
	}
	return g.projection.Apply(old.attributes), old.size, nil
}

func checkReturnOld(mode *string) error {
	switch wire.Value(mode) {
	case "", "NONE", returnOld:
		return nil
	}
	return validation("ReturnValues can only be ALL_OLD or NONE")
}
