package dynamodb

import (
	"context"
	"strings"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

// maxTransactBytes bounds the items of a transaction together. Source: API reference, TransactWriteItems.
const maxTransactBytes = 4 << 20

// TransactGetItems reads items, from several tables, in one snapshot.
func (s *Service) TransactGetItems(ctx context.Context, in *api.TransactGetItemsInput) (*api.TransactGetItemsOutput, error) {
	gets := make([]get, len(in.TransactItems))
	for i, req := range in.TransactItems {
		name, err := s.tableName(ctx, req.Get.TableName)
		if err != nil {
			return nil, err
		}
		exprs := expressions{names: req.Get.ExpressionAttributeNames, given: []param{{projectionParam, req.Get.ProjectionExpression != nil}}}
		if err := exprs.check(); err != nil {
			return nil, err
		}
		if err := checkValues(req.Get.Key); err != nil {
			return nil, err
		}
		projection, err := exprs.projection(req.Get.ProjectionExpression)
		if err != nil {
			return nil, err
		}
		gets[i] = get{name, req.Get.Key, projection}
	}
	out := new(api.TransactGetItemsOutput)
	err := s.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) error { return s.transactGet(r, gets, in, out) })
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (s *Service) transactGet(r kv.Reader, gets []get, in *api.TransactGetItemsInput, out *api.TransactGetItemsOutput) error {
	c := newCancellation(len(gets))
	keys := make([]kv.Key, len(gets))
	for i := range gets {
		t, err := s.tableForItems(r, gets[i].table)
		if err != nil {
			return err
		}
		keys[i], err = gets[i].check(t)
		if err := c.note(i, err); err != nil {
			return err
		}
	}
	if err := c.duplicates(keys); err != nil {
		return err
	}
	if err := c.err(); err != nil {
		return err
	}
	units, total := make(spending), 0
	out.Responses = make([]api.ItemResponse, len(gets))
	for i := range gets {
		item, size, err := gets[i].read(r, keys[i])
		if err != nil {
			return err
		}
		if total += size; total > maxTransactBytes {
			return errTransactSize()
		}
		out.Responses[i].Item = item
		units.add(gets[i].table, 2*readUnits(size, wire.Ptr(true)))
	}
	out.ConsumedCapacity = transactRead(in.ReturnConsumedCapacity, units)
	return nil
}

func errTransactSize() error {
	return validation("The aggregate size of the items in the transaction cannot exceed 4 MB")
}

// transactRead and transactWrite return the capacity of a transaction, which is twice that of its parts: it is prepared and then
// committed. Source: DynamoDB Developer Guide, "Amazon DynamoDB Transactions".
func transactRead(mode *string, units spending) []api.ConsumedCapacity {
	out := consumedAll(mode, units)
	for i := range out {
		out[i].ReadCapacityUnits = out[i].CapacityUnits
		if out[i].Table != nil {
			out[i].Table.ReadCapacityUnits = out[i].Table.CapacityUnits
		}
	}
	return out
}

func transactWrite(mode *string, units spending) []api.ConsumedCapacity {
	out := consumedAll(mode, units)
	for i := range out {
		out[i].WriteCapacityUnits = out[i].CapacityUnits
		if out[i].Table != nil {
			out[i].Table.WriteCapacityUnits = out[i].Table.CapacityUnits
		}
	}
	return out
}

// TransactWriteItems does all of its writes or none. A ClientRequestToken makes a second call with it, within ten minutes, do nothing.
func (s *Service) TransactWriteItems(ctx context.Context, in *api.TransactWriteItemsInput) (*api.TransactWriteItemsOutput, error) {
	writes := make([]*write, len(in.TransactItems))
	for i := range in.TransactItems {
		var err error
		if writes[i], err = s.transactItem(ctx, &in.TransactItems[i]); err != nil {
			return nil, err
		}
		writes[i].metrics = wantsMetrics(in.ReturnItemCollectionMetrics)
	}
	token, err := newToken(cloud.CallOf(ctx).Now, in.ClientRequestToken, in.TransactItems)
	if err != nil {
		return nil, err
	}
	out := new(api.TransactWriteItemsOutput)
	err = s.space(ctx).Update(ctx, func(_ context.Context, tx kv.Tx) error {
		targets, err := s.transactTargets(tx, writes)
		if err != nil {
			return err
		}
		again, err := token.claim(tx)
		if err != nil {
			return err
		}
		if again {
			units, err := replayUnits(tx, writes, targets)
			out.ConsumedCapacity = transactRead(in.ReturnConsumedCapacity, units)
			return err
		}
		units, sizes, err := applyAll(tx, writes, targets)
		out.ItemCollectionMetrics = sizes
		out.ConsumedCapacity = transactWrite(in.ReturnConsumedCapacity, units)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// transactTargets finds where the writes go. A key that does not fit its table cancels the transaction.
func (s *Service) transactTargets(r kv.Reader, writes []*write) ([]target, error) {
	c := newCancellation(len(writes))
	targets := make([]target, len(writes))
	keys := make([]kv.Key, len(writes))
	for i, w := range writes {
		t, err := s.tableForItems(r, w.table)
		if err != nil {
			return nil, err
		}
		keys[i], err = w.target(t)
		if err := c.note(i, err); err != nil {
			return nil, err
		}
		targets[i] = target{t, keys[i]}
	}
	if err := c.duplicates(keys); err != nil {
		return nil, err
	}
	return targets, c.err()
}

// applyAll does the writes, which are on different items, and returns the capacity that they take and the sizes of collections.
func applyAll(tx kv.Tx, writes []*write, targets []target) (spending, collected, error) {
	c := newCancellation(len(writes))
	units, total := make(spending), 0
	var sizes collected
	for i, w := range writes {
		done, err := w.apply(tx, targets[i].table, targets[i].key)
		if err := c.note(i, err); err != nil {
			return nil, nil, err
		}
		if total += done.size; total > maxTransactBytes {
			return nil, nil, errTransactSize()
		}
		units.addWrite(w.table, writeUnits(done.old.size, done.size), done.indexes, 2)
		sizes.add(targets[i].table, done.collection)
	}
	return units, sizes, c.err()
}

// replayUnits returns the capacity of reading what the writes wrote before.
func replayUnits(r kv.Reader, writes []*write, targets []target) (spending, error) {
	units := make(spending)
	for i, w := range writes {
		old, err := readPrevious(r, targets[i].key, false)
		if err != nil {
			return nil, err
		}
		units.add(w.table, 2*readUnits(old.size, wire.Ptr(true)))
	}
	return units, nil
}

// cancellation collects why a transaction is cancelled, part by part.
type cancellation struct {
	reasons []api.CancellationReason
	failed  bool
}

func newCancellation(parts int) *cancellation {
	c := &cancellation{reasons: make([]api.CancellationReason, parts)}
	for i := range c.reasons {
		c.reasons[i].Code = wire.Ptr("None")
	}
	return c
}

// note takes an error of a part as its reason, and returns one that is no reason.
func (c *cancellation) note(part int, err error) error {
	if err == nil {
		return nil
	}
	e, ok := refused(err)
	if !ok {
		return err
	}
	reason := &c.reasons[part]
	switch e.Code {
	case "ConditionalCheckFailedException":
		reason.Code = wire.Ptr("ConditionalCheckFailed")
		reason.Item, _ = e.Fields["Item"].(map[string]api.AttributeValue)
	case "DuplicateItemException":
		reason.Code = wire.Ptr("DuplicateItem")
	case "ValidationException":
		if emptyIndexKey(e) {
			return err
		}
		reason.Code = wire.Ptr("ValidationError")
	default:
		return err
	}
	reason.Message, c.failed = wire.Ptr(e.Message), true
	return nil
}

// duplicates refuses a transaction with two parts for one item. Parts that have no key are left out.
func (c *cancellation) duplicates(keys []kv.Key) error {
	seen := make(map[string]bool, len(keys))
	for _, key := range keys {
		if key != nil && seen[string(key)] {
			return validation("Transaction request cannot include multiple operations on one item")
		}
		seen[string(key)] = true
	}
	return nil
}

// err returns the error of a transaction of which any part failed.
func (c *cancellation) err() error {
	if !c.failed {
		return nil
	}
	codes := make([]string, len(c.reasons))
	for i, r := range c.reasons {
		codes[i] = *r.Code
	}
	e := api.NewTransactionCanceledException("Transaction cancelled, please refer cancellation reasons for specific reasons [%s]",
		strings.Join(codes, ", "))
	e.Fields = map[string]any{"CancellationReasons": c.reasons}
	return e
}
