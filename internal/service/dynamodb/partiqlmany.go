package dynamodb

import (
	"context"
	"errors"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/service/dynamodb/partiql"
	"croft/internal/wire"
)

// BatchExecuteStatement does statements one by one, each in a transaction of its own. What is wrong with one is said in its answer.
func (s *Service) BatchExecuteStatement(ctx context.Context, in *api.BatchExecuteStatementInput) (*api.BatchExecuteStatementOutput, error) {
	statements, failed := make([]*partiql.Statement, len(in.Statements)), make([]error, len(in.Statements))
	reads, writes := 0, 0
	for i, req := range in.Statements {
		statements[i], failed[i] = parseStatement(req.Statement, req.Parameters)
		switch {
		case failed[i] != nil:
		case statements[i].Verb == partiql.Select:
			reads++
		default:
			writes++
		}
	}
	if reads > 0 && writes > 0 {
		return nil, validation("A batch must consist of either read statements or write statements")
	}
	out := &api.BatchExecuteStatementOutput{Responses: make([]api.BatchStatementResponse, len(in.Statements))}
	for i, st := range statements {
		answer, err := &out.Responses[i], failed[i]
		var spent *api.ConsumedCapacity
		if err == nil {
			answer.TableName = wire.Ptr(st.Table)
			answer.Item, spent, err = s.batchStatement(ctx, st, &in.Statements[i], in.ReturnConsumedCapacity)
		}
		if err != nil {
			e, ok := refused(err)
			if !ok {
				return nil, err
			}
			answer.Error = batchError(e)
		}
		if spent != nil {
			out.ConsumedCapacity = append(out.ConsumedCapacity, *spent)
		}
	}
	return out, nil
}

// batchStatement does one statement of a batch and returns the item that it answers, if any.
func (s *Service) batchStatement(ctx context.Context, st *partiql.Statement, req *api.BatchStatementRequest, mode *string) (attributes, *api.ConsumedCapacity, error) {
	switch st.Verb {
	case partiql.Exists:
		return nil, nil, validation(errExistsAlone)
	case partiql.Select:
		var item attributes
		size := 0
		err := s.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) error {
			g, key, err := s.statementGet(r, st, "BatchExecuteStatement")
			if err == nil {
				item, size, err = g.read(r, key)
			}
			return err
		})
		if err != nil {
			return nil, nil, err
		}
		return item, consumed(mode, st.Table, readUnits(size, req.ConsistentRead)), nil
	}
	w, done, err := s.writeStatement(ctx, st, req.ReturnValuesOnConditionCheckFailure)
	if err != nil {
		return nil, nil, err
	}
	return w.answer(st.Returning, done), consumedWrite(mode, st.Table, done), nil
}

// statementGet returns the reading of one item that a SELECT with a whole key, and nothing else, is.
func (s *Service) statementGet(r kv.Reader, st *partiql.Statement, operation string) (*get, kv.Key, error) {
	t, err := s.tableForItems(r, st.Table)
	if err != nil {
		return nil, nil, err
	}
	named, rest, err := t.statementKey(st.Where)
	if err != nil || len(rest) > 0 || st.Index != "" {
		return nil, nil, validation("Select statements within %s must specify the primary key in the where clause.", operation)
	}
	g := &get{st.Table, named, st.Columns}
	key, err := g.check(t)
	return g, key, err
}

// batchError returns an error as a batch tells it.
func batchError(e *cloud.Error) *api.BatchStatementError {
	out := &api.BatchStatementError{Message: wire.Ptr(e.Message)}
	out.Item, _ = e.Fields["Item"].(map[string]api.AttributeValue)
	code := "InternalServerError"
	switch e.Code {
	case "ValidationException":
		code = "ValidationError"
	case "ConditionalCheckFailedException":
		code = "ConditionalCheckFailed"
	case "ResourceNotFoundException":
		code = "ResourceNotFound"
	case "DuplicateItemException":
		code = "DuplicateItem"
	case "AccessDeniedException":
		code = "AccessDenied"
	}
	out.Code = &code
	return out
}

// ExecuteTransaction does all statements, which read or write single items, or none.
func (s *Service) ExecuteTransaction(ctx context.Context, in *api.ExecuteTransactionInput) (*api.ExecuteTransactionOutput, error) {
	statements := make([]*partiql.Statement, len(in.TransactStatements))
	reads := 0
	for i, req := range in.TransactStatements {
		st, err := parseStatement(req.Statement, req.Parameters)
		switch {
		case err != nil:
		case st.Returning != "":
			err = validation("RETURNING clause is not supported in ExecuteTransaction")
		case st.Index != "" && st.Verb == partiql.Exists:
			err = validation("Operations on indices are not supported in transactions")
		case st.Index != "":
			err = validation("Reads on indices are not supported within transactions.")
		case st.Verb == partiql.Select:
			reads++
		}
		if err != nil {
			return nil, inStatement(i, err)
		}
		statements[i] = st
	}
	switch reads {
	case 0:
		return s.transactStatements(ctx, statements, in)
	case len(statements):
		return s.transactSelects(ctx, statements, in)
	}
	return nil, validation("Unsupported operation in transaction.")
}

// inStatement says of an error in which statement of a transaction it is.
func inStatement(i int, err error) error {
	var e *cloud.Error
	if !errors.As(err, &e) || e.Code != "ValidationException" {
		return err
	}
	return validation("Validation failed in TransactStatements[%d]: %s", i, e.Message)
}

func (s *Service) transactSelects(ctx context.Context, statements []*partiql.Statement, in *api.ExecuteTransactionInput) (*api.ExecuteTransactionOutput, error) {
	out := new(api.TransactGetItemsOutput)
	err := s.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) error {
		gets := make([]get, len(statements))
		for i, st := range statements {
			g, _, err := s.statementGet(r, st, "ExecuteTransaction")
			if err != nil {
				return inStatement(i, err)
			}
			gets[i] = *g
		}
		return s.transactGet(r, gets, &api.TransactGetItemsInput{ReturnConsumedCapacity: in.ReturnConsumedCapacity}, out)
	})
	if err != nil {
		return nil, err
	}
	return &api.ExecuteTransactionOutput{Responses: out.Responses, ConsumedCapacity: out.ConsumedCapacity}, nil
}

func (s *Service) transactStatements(ctx context.Context, statements []*partiql.Statement, in *api.ExecuteTransactionInput) (*api.ExecuteTransactionOutput, error) {
	token, err := newToken(cloud.CallOf(ctx).Now, in.ClientRequestToken, in.TransactStatements)
	if err != nil {
		return nil, err
	}
	out := new(api.ExecuteTransactionOutput)
	err = s.space(ctx).Update(ctx, func(_ context.Context, tx kv.Tx) error {
		writes := make([]*write, len(statements))
		for i, st := range statements {
			t, err := s.tableForItems(tx, st.Table)
			if err != nil {
				return err
			}
			if writes[i], err = t.statementWrite(st, in.TransactStatements[i].ReturnValuesOnConditionCheckFailure); err != nil {
				return inStatement(i, err)
			}
		}
		targets, err := s.transactTargets(tx, writes)
		if err != nil {
			return err
		}
		again, err := token.claim(tx)
		if err != nil {
			return err
		}
		out.Responses = make([]api.ItemResponse, len(statements))
		if again {
			units, err := replayUnits(tx, writes, targets)
			out.ConsumedCapacity = transactRead(in.ReturnConsumedCapacity, units)
			return err
		}
		units, _, err := applyAll(tx, writes, targets)
		out.ConsumedCapacity = transactWrite(in.ReturnConsumedCapacity, units)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
