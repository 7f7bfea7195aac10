package dynamodb

import (
	"context"
	"errors"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/kv"
	"croft/internal/wire"
)

const returnOld = "ALL_OLD"

// PutItem stores an item in the place of one with the same key.
func (s *Service) PutItem(ctx context.Context, in *api.PutItemInput) (*api.PutItemOutput, error) {
	name, err := s.tableName(ctx, in.TableName)
	if err != nil {
		return nil, err
	}
	if err := refuse("PutItem",
		param{"ConditionExpression", in.ConditionExpression != nil},
		param{"Expected", in.Expected != nil},
		param{"ConditionalOperator", in.ConditionalOperator != nil},
	); err != nil {
		return nil, err
	}
	if err := checkNoExpression("ConditionExpression", in.ExpressionAttributeNames, in.ExpressionAttributeValues); err != nil {
		return nil, err
	}
	stored, size, err := encodeItem(in.Item)
	if err != nil {
		return nil, err
	}
	if err := checkReturnOld(in.ReturnValues); err != nil {
		return nil, err
	}
	if size > maxItemBytes {
		return nil, validation("Item size has exceeded the maximum allowed size")
	}
	var old previous
	err = s.space(ctx).Update(ctx, func(_ context.Context, tx kv.Tx) error {
		t, err := s.tableForItems(tx, name)
		if err != nil {
			return err
		}
		key, err := t.keyOfItem(in.Item)
		if err != nil {
			return err
		}
		if old, err = readPrevious(tx, key, in.ReturnValues); err != nil {
			return err
		}
		if err := tx.Put(key, stored); err != nil {
			return err
		}
		return t.count(tx, old, &size)
	})
	if err != nil {
		return nil, err
	}
	return &api.PutItemOutput{
		Attributes:       old.attributes,
		ConsumedCapacity: consumed(in.ReturnConsumedCapacity, name, writeUnits(old.size, size)),
	}, nil
}

// DeleteItem removes an item; one that is not there is no error.
func (s *Service) DeleteItem(ctx context.Context, in *api.DeleteItemInput) (*api.DeleteItemOutput, error) {
	name, err := s.tableName(ctx, in.TableName)
	if err != nil {
		return nil, err
	}
	if err := refuse("DeleteItem",
		param{"ConditionExpression", in.ConditionExpression != nil},
		param{"Expected", in.Expected != nil},
		param{"ConditionalOperator", in.ConditionalOperator != nil},
	); err != nil {
		return nil, err
	}
	if err := checkNoExpression("ConditionExpression", in.ExpressionAttributeNames, in.ExpressionAttributeValues); err != nil {
		return nil, err
	}
	if err := checkValues(in.Key); err != nil {
		return nil, err
	}
	if err := checkReturnOld(in.ReturnValues); err != nil {
		return nil, err
	}
	var old previous
	err = s.space(ctx).Update(ctx, func(_ context.Context, tx kv.Tx) error {
		t, err := s.tableForItems(tx, name)
		if err != nil {
			return err
		}
		key, err := t.keyOf(in.Key)
		if err != nil {
			return err
		}
		if old, err = readPrevious(tx, key, in.ReturnValues); err != nil || !old.there {
			return err
		}
		if err := tx.Delete(key); err != nil {
			return err
		}
		return t.count(tx, old, nil)
	})
	if err != nil {
		return nil, err
	}
	return &api.DeleteItemOutput{
		Attributes:       old.attributes,
		ConsumedCapacity: consumed(in.ReturnConsumedCapacity, name, writeUnits(old.size, 0)),
	}, nil
}

// GetItem reads one item. Every read is consistent; ConsistentRead changes the capacity that is reported alone.
func (s *Service) GetItem(ctx context.Context, in *api.GetItemInput) (*api.GetItemOutput, error) {
	name, err := s.tableName(ctx, in.TableName)
	if err != nil {
		return nil, err
	}
	if err := refuse("GetItem",
		param{"ProjectionExpression", in.ProjectionExpression != nil},
		param{"AttributesToGet", in.AttributesToGet != nil},
	); err != nil {
		return nil, err
	}
	if err := checkNoExpression("ProjectionExpression", in.ExpressionAttributeNames, nil); err != nil {
		return nil, err
	}
	if err := checkValues(in.Key); err != nil {
		return nil, err
	}
	out, size := new(api.GetItemOutput), 0
	err = s.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) error {
		t, err := s.tableForItems(r, name)
		if err != nil {
			return err
		}
		key, err := t.keyOf(in.Key)
		if err != nil {
			return err
		}
		stored, err := r.Get(key)
		if errors.Is(err, kv.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		out.Item, size, err = decodeItem(stored)
		return err
	})
	if err != nil {
		return nil, err
	}
	out.ConsumedCapacity = consumed(in.ReturnConsumedCapacity, name, readUnits(size, in.ConsistentRead))
	return out, nil
}

// checkNoExpression refuses the parts of an expression where there is none.
func checkNoExpression(expression string, names map[string]string, values map[string]api.AttributeValue) error {
	if names != nil {
		return validation("ExpressionAttributeNames can only be specified when using expressions")
	}
	if values != nil {
		return validation("ExpressionAttributeValues can only be specified when using expressions: %s is null", expression)
	}
	return nil
}

func checkReturnOld(mode *string) error {
	switch wire.Value(mode) {
	case "", "NONE", returnOld:
		return nil
	}
	return validation("ReturnValues can only be ALL_OLD or NONE")
}

// previous is what a key held before a write.
type previous struct {
	there      bool
	size       int
	attributes map[string]api.AttributeValue
}

// readPrevious reads what key holds; its attributes only where they are to be returned.
func readPrevious(tx kv.Tx, key kv.Key, returnValues *string) (old previous, err error) {
	stored, err := tx.Get(key)
	if errors.Is(err, kv.ErrNotFound) {
		return old, nil
	}
	if err != nil {
		return old, err
	}
	old.there = true
	if wire.Value(returnValues) == returnOld {
		old.attributes, old.size, err = decodeItem(stored)
		return old, err
	}
	old.size, err = storedSize(stored)
	return old, err
}

// count brings the table's counters up to date for an item that took the place of old; a nil size means that there is none now.
func (t *table) count(tx kv.Tx, old previous, size *int) error {
	items, bytes := 0, -old.size
	if old.there {
		items--
	}
	if size != nil {
		items++
		bytes += *size
	}
	if items != 0 {
		if err := tx.Add(t.countKey(), int64(items)); err != nil {
			return err
		}
	}
	if bytes != 0 {
		return tx.Add(t.sizeKey(), int64(bytes))
	}
	return nil
}
