package dynamodb

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/kv"
	"croft/internal/service/dynamodb/expression"
	"croft/internal/service/dynamodb/partiql"
	"croft/internal/wire"
)

// Statements of PartiQL become the queries, scans and writes that the other operations do. Sources: DynamoDB Developer Guide, "PartiQL - a
// SQL-compatible query language for Amazon DynamoDB", and answers of DynamoDB as published in the tests of other implementations.

const errExistsAlone = "EXISTS can only be used in ExecuteTransaction write requests."

// parseStatement reads a statement and checks its parameters.
func parseStatement(text string, params []api.AttributeValue) (*partiql.Statement, error) {
	for i := range params {
		if err := checkValue(&params[i]); err != nil {
			return nil, err
		}
	}
	return partiql.Parse(text, params, checkValue)
}

// ExecuteStatement does one statement. A SELECT is a Query where it names the partition, and otherwise a Scan; it answers a page.
func (s *Service) ExecuteStatement(ctx context.Context, in *api.ExecuteStatementInput) (*api.ExecuteStatementOutput, error) {
	st, err := parseStatement(in.Statement, in.Parameters)
	if err != nil {
		return nil, err
	}
	switch {
	case st.Verb == partiql.Select:
		return s.selectPage(ctx, st, in)
	case st.Verb == partiql.Exists:
		return nil, validation(errExistsAlone)
	case in.NextToken != nil, in.Limit != nil:
		return nil, validation("Limit and NextToken can only be used with a SELECT statement")
	}
	w, done, err := s.writeStatement(ctx, st, in.ReturnValuesOnConditionCheckFailure)
	if err != nil {
		return nil, err
	}
	out := &api.ExecuteStatementOutput{
		Items: []map[string]api.AttributeValue{}, ConsumedCapacity: consumedWrite(in.ReturnConsumedCapacity, st.Table, done),
	}
	if item := w.answer(st.Returning, done); item != nil {
		out.Items = append(out.Items, item)
	}
	return out, nil
}

// writeStatement does a statement that writes in a transaction of its own.
func (s *Service) writeStatement(ctx context.Context, st *partiql.Statement, onFailure *string) (w *write, done written, err error) {
	err = s.space(ctx).Update(ctx, func(_ context.Context, tx kv.Tx) error {
		t, err := s.tableForItems(tx, st.Table)
		if err != nil {
			return err
		}
		if w, err = t.statementWrite(st, onFailure); err != nil {
			return err
		}
		key, err := w.target(t)
		if err != nil {
			return err
		}
		done, err = w.apply(tx, t, key)
		return err
	})
	return w, done, err
}

// statementWrite returns the write that a statement other than a SELECT is.
func (t *table) statementWrite(st *partiql.Statement, onFailure *string) (*write, error) {
	w := &write{table: st.Table, onFailure: onFailure, update: st.Set}
	w.wantOld, w.wantNew = st.Returning == returnOld, st.Returning == returnNew || st.Returning == returnUpdatedNew
	if st.Verb == partiql.Insert {
		return w, t.insertItem(w, st.Item)
	}
	key, rest, err := t.statementKey(st.Where)
	if err != nil {
		return nil, err
	}
	w.item = key
	there := expression.Call("attribute_exists", expression.Path([]expression.Step{{Name: t.partition.name}}))
	terms := []expression.Term{there}
	if len(rest) > 0 {
		terms = append(terms, partiql.All(rest))
	}
	condition := expression.Apply("AND", terms...)
	switch st.Verb {
	case partiql.Update:
		w.kind = writeUpdate
	case partiql.Exists:
		w.kind = writeCheck
		if len(rest) == 0 {
			return nil, validation("EXISTS() must contain a single item read with additional condition")
		}
	default:
		// That there is no such item is no failure of a DELETE.
		w.kind = writeDelete
		if len(rest) == 0 {
			return w, nil
		}
		condition = expression.Apply("OR", expression.Apply("NOT", there), partiql.All(rest))
	}
	w.condition, err = expression.TermCondition(condition)
	return w, err
}

func (t *table) insertItem(w *write, item map[string]api.AttributeValue) error {
	w.insert = true
	for _, part := range t.keys() {
		v, ok := item[part.name]
		if !ok {
			return validation("Key attribute should be present in the item: Key %s", part.name)
		}
		if typeOf(&v) != part.typ {
			return errStatementKey(part)
		}
	}
	if err := w.setItem(item); err != nil {
		return err
	}
	if w.size > maxItemBytes {
		return errItemSize()
	}
	return nil
}

func errStatementKey(part keyPart) error {
	return validation("Key attribute's data type should match its data type in table's schema: Key %s", part.name)
}

// statementKey takes the table's key out of conditions that must name it whole, and returns what else they say.
func (t *table) statementKey(where []partiql.Condition) (key attributes, rest []partiql.Condition, err error) {
	key = make(attributes, 2)
	for _, part := range t.keys() {
		count := 0
		for _, c := range where {
			if c.Name != part.name {
				continue
			}
			count++
			if c.Key.Op == "=" {
				key[part.name] = c.Key.Values[0]
			}
		}
		v, ok := key[part.name]
		switch {
		case !ok:
			return nil, nil, validation("Where clause does not contain a mandatory equality on all key attributes")
		case count > 1:
			return nil, nil, validation("Multiple conditions on same key %s. Only single item Update/Insert/Delete are supported", part.name)
		case typeOf(&v) != part.typ:
			return nil, nil, errStatementKey(part)
		}
	}
	for _, c := range where {
		if c.Name == "" || !t.isKey(c.Name) {
			rest = append(rest, c)
		}
	}
	return key, rest, nil
}

// selectPage answers a page of a SELECT.
func (s *Service) selectPage(ctx context.Context, st *partiql.Statement, in *api.ExecuteStatementInput) (*api.ExecuteStatementOutput, error) {
	sum, err := statementSum(in)
	if err != nil {
		return nil, err
	}
	q := &query{page: *newPage(in.Limit, nil, in.ConsistentRead)}
	q.projection = st.Columns
	if q.start, err = openNext(in.NextToken, sum); err != nil {
		return nil, err
	}
	var cost *spent
	err = s.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) error {
		t, err := s.tableForItems(r, st.Table)
		if err != nil {
			return err
		}
		src, err := t.statementSource(st, in.ConsistentRead)
		if err != nil {
			return err
		}
		cost, err = q.readSelect(ctx, r, src, st)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &api.ExecuteStatementOutput{Items: q.items, LastEvaluatedKey: q.last, ConsumedCapacity: consumedSelect(in.ReturnConsumedCapacity, st.Table, cost)}
	out.NextToken, err = sealNext(q.last, sum)
	return out, err
}

func (t *table) statementSource(st *partiql.Statement, consistent *bool) (*source, error) {
	if st.Index == "" {
		return t.source(nil, consistent)
	}
	if x := t.index(st.Index); x != nil && !x.Local && wire.Value(consistent) {
		return nil, validation("Strongly consistent read is not supported on Global Secondary Indexes")
	}
	return t.source(&st.Index, consistent)
}

// statement takes over conditions and the order of a SELECT and returns the keys that are yet to be read: as far as possible, conditions are
// on the key, and the others are the filter.
func (q *query) statement(s *source, where []partiql.Condition, order []partiql.Order) (kv.Range, error) {
	keys, rest := s.keyConditions(where)
	q.keys = keys
	if err := q.statementOrder(s, order); err != nil {
		return kv.Range{}, err
	}
	q.filter = nil
	if len(rest) > 0 {
		var err error
		if q.filter, err = expression.TermCondition(partiql.All(rest)); err != nil {
			return kv.Range{}, err
		}
	}
	if len(keys) == 0 {
		return s.scanRange(&api.ScanInput{ExclusiveStartKey: q.start}, &q.page)
	}
	return q.rng(s)
}

// keyConditions takes the conditions on the key out of where: of none, or of the whole partition key and of as much of the sort key
// as the order of keys allows.
func (s *source) keyConditions(where []partiql.Condition) (keys []expression.KeyCondition, rest []partiql.Condition) {
	taken := make([]bool, len(where))
	take := func(part keyPart, equal bool) bool {
		for i, c := range where {
			if c.Name == part.name && !taken[i] && c.Key.Indexable() && (!equal || c.Key.Op == "=") {
				keys, taken[i] = append(keys, c.Key), true
				return true
			}
		}
		return false
	}
	for _, part := range s.partition {
		if !take(part, true) {
			return nil, where
		}
	}
	for _, part := range s.sort {
		if !take(part, false) || keys[len(keys)-1].Op != "=" {
			break
		}
	}
	for i, c := range where {
		if !taken[i] {
			rest = append(rest, c)
		}
	}
	return keys, rest
}

// statementOrder takes over ORDER BY.
func (q *query) statementOrder(s *source, order []partiql.Order) error {
	q.reverse = false
	if len(order) > 0 && len(q.keys) == 0 {
		return validation("Must have at least one non-optional hash key condition in WHERE clause when using ORDER BY clause.")
	}
	for _, o := range order {
		found := false
		for i, parts := range [][]keyPart{s.partition, s.sort} {
			for _, part := range parts {
				found = found || part.name == o.Name
				q.reverse = q.reverse || part.name == o.Name && o.Descending && i == 1
			}
		}
		if !found {
			return validation("Variable reference %s in ORDER BY clause must be part of the primary key", o.Name)
		}
	}
	return nil
}

// nextToken is a NextToken: where the page before ended, and of which statement.
type nextToken struct {
	Sum []byte     `json:"sum"`
	Key attributes `json:"key"`
}

func statementSum(in *api.ExecuteStatementInput) ([]byte, error) {
	asked, err := json.Marshal([]any{in.Statement, in.Parameters})
	sum := sha256.Sum256(asked)
	return sum[:], err
}

func sealNext(last attributes, sum []byte) (*string, error) {
	if last == nil {
		return nil, nil
	}
	token, err := json.Marshal(nextToken{sum, last})
	if err != nil {
		return nil, err
	}
	return wire.Ptr(base64.RawURLEncoding.EncodeToString(token)), nil
}

// openNext returns the key that a NextToken holds, nil when there is none. A client can make such keys itself, as it can for a Query.
func openNext(token *string, sum []byte) (attributes, error) {
	if token == nil {
		return nil, nil
	}
	data, err := base64.RawURLEncoding.DecodeString(*token)
	var next nextToken
	if err != nil || json.Unmarshal(data, &next) != nil || next.Key == nil || checkValues(next.Key) != nil {
		return nil, validation("Invalid NextToken")
	}
	if !bytes.Equal(next.Sum, sum) {
		return nil, validation("NextToken does not match request")
	}
	return next.Key, nil
}
