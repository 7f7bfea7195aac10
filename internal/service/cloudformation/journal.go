package cloudformation

import (
	"croft/internal/cfn"
	"croft/internal/kv"
)

// journal is a stack's records and events, and the exports, in one transaction.
type journal struct {
	tx    kv.Tx
	stack string
	id    string
	name  string
}

var (
	_ cfn.Journal = (*journal)(nil)
	_ cfn.Exports = (*journal)(nil)
)

func journalOf(tx kv.Tx, st *cfn.Stack) *journal {
	return &journal{tx: tx, stack: uid(st.ID), id: st.ID, name: st.Name}
}

// Resource returns the record of a logical id, or nil.
func (j *journal) Resource(id string) (*cfn.Record, error) { return record(j.tx, j.stack, id) }

func record(r kv.Reader, stack, id string) (*cfn.Record, error) {
	rec := new(cfn.Record)
	ok, err := get(r, recordKey(stack, id), rec)
	if !ok {
		return nil, err
	}
	return rec, err
}

// Resources returns all records, ordered by logical id.
func (j *journal) Resources() ([]*cfn.Record, error) { return records(j.tx, j.stack) }

func records(r kv.Reader, stack string) (out []*cfn.Record, err error) {
	for e, err := range r.Scan(kv.PrefixRange(recordsPrefix(stack)), kv.ScanOptions{}) {
		if err != nil {
			return nil, err
		}
		rec := new(cfn.Record)
		if err := decode(e.Value, rec); err != nil {
			return nil, err
		}
		out = append(out, rec)
	}
	return out, nil
}

// owner is who a physical resource belongs to.
type owner struct {
	StackID   string `json:"stack"`
	LogicalID string `json:"resource"`
}

func physicals(r *cfn.Record) []*cfn.Physical {
	if r == nil {
		return nil
	}
	if r.Now == nil {
		return r.Old
	}
	return append([]*cfn.Physical{r.Now}, r.Old...)
}

// Put stores a record.
func (j *journal) Put(r *cfn.Record) error {
	if err := j.own(r); err != nil {
		return err
	}
	if r.Now != nil {
		for _, name := range r.Now.Imports {
			if err := j.use(name); err != nil {
				return err
			}
		}
	}
	return put(j.tx, recordKey(j.stack, r.LogicalID), r)
}

// own makes the physical resources of r, and no others, belong to it.
func (j *journal) own(r *cfn.Record) error {
	before, err := j.Resource(r.LogicalID)
	if err != nil {
		return err
	}
	me := owner{StackID: j.id, LogicalID: r.LogicalID}
	keep := map[string]bool{}
	for _, p := range physicals(r) {
		key := ownerKey(p)
		keep[string(key)] = true
		var other owner
		ok, err := get(j.tx, key, &other)
		if err != nil {
			return err
		}
		if ok && other != me {
			return &cfn.OwnedError{PhysicalID: p.ID, StackID: other.StackID}
		}
		if !ok {
			if err := put(j.tx, key, me); err != nil {
				return err
			}
		}
	}
	for _, p := range physicals(before) {
		if key := ownerKey(p); !keep[string(key)] {
			if err := j.tx.Delete(key); err != nil {
				return err
			}
		}
	}
	return nil
}

// Drop removes the record of a logical id.
func (j *journal) Drop(id string) error {
	r, err := j.Resource(id)
	if err != nil {
		return err
	}
	for _, p := range physicals(r) {
		if err := j.tx.Delete(ownerKey(p)); err != nil {
			return err
		}
	}
	return j.tx.Delete(recordKey(j.stack, id))
}
