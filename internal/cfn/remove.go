package cfn

import (
	"context"
	"slices"
	"strings"
)

// removalOrder returns the logical ids of records so that each comes before those it depends on.
func removalOrder(all []*Record) []string {
	return dependentsFirst(all, func(r *Record) []string {
		if r.Now == nil {
			return nil
		}
		return r.Now.Deps
	})
}

func dependentsFirst(all []*Record, deps func(*Record) []string) []string {
	byID := make(map[string]*Record, len(all))
	for _, r := range all {
		byID[r.LogicalID] = r
	}
	var order []string
	seen := map[string]bool{}
	var visit func(r *Record)
	visit = func(r *Record) {
		if r == nil || seen[r.LogicalID] {
			return
		}
		seen[r.LogicalID] = true
		for _, d := range deps(r) {
			visit(byID[d])
		}
		order = append(order, r.LogicalID)
	}
	for _, r := range all {
		visit(r)
	}
	slices.Reverse(order)
	return order
}

// remove deletes the next resource, or ends the operation when there is none left.
func (st *step) remove(ctx context.Context) error {
	id, ok := st.next()
	if !ok {
		return st.removed()
	}
	r, err := st.resource(id)
	if err != nil || r == nil || r.Status == DeleteComplete || r.Status == DeleteSkipped {
		return err
	}
	blocked, err := st.blocked(id)
	if err != nil || blocked {
		return err
	}
	failed, err := st.removeOld(ctx, r)
	if err != nil {
		return err
	}
	p := r.Now
	switch {
	case failed:
		return st.put(r, DeleteFailed, r.Reason)
	case p == nil:
		if err := st.note(id, &Physical{Type: r.Type}, DeleteComplete, ""); err != nil {
			return err
		}
		return st.put(r, DeleteComplete, "")
	case p.DeletionPolicy == retain || slices.Contains(st.op.Retain, id):
		if err := st.note(id, p, DeleteSkipped, ""); err != nil {
			return err
		}
		r.Now, r.Gone = nil, p.ID
		return st.put(r, DeleteSkipped, "")
	}
	reason, err := st.removeOne(ctx, id, p)
	if err != nil {
		return err
	}
	if reason != "" {
		return st.put(r, DeleteFailed, reason)
	}
	r.Now, r.Gone = nil, p.ID
	return st.put(r, DeleteComplete, "")
}

// blocked reports whether a resource that depends on id could not be removed.
func (st *step) blocked(id string) (bool, error) {
	for _, failed := range slices.Concat(st.op.Failed, st.op.Blocked) {
		r, err := st.resource(failed)
		if err != nil {
			return false, err
		}
		if r != nil && r.Now != nil && slices.Contains(r.Now.Deps, id) {
			st.op.Blocked = append(st.op.Blocked, id)
			return true, nil
		}
	}
	return false, nil
}

// removeOld deletes the resources that r no longer stands for, and reports whether one of them is still there.
func (st *step) removeOld(ctx context.Context, r *Record) (failed bool, err error) {
	for len(r.Old) > 0 {
		p := r.Old[0]
		if p.UpdateReplacePolicy == retain {
			if err := st.note(r.LogicalID, p, DeleteSkipped, ""); err != nil {
				return false, err
			}
		} else {
			reason, err := st.removeOne(ctx, r.LogicalID, p)
			if err != nil {
				return false, err
			}
			if reason != "" {
				r.Reason = reason
				return true, nil
			}
		}
		r.Old = r.Old[1:]
	}
	return false, nil
}

// removeOne deletes one resource with its events. A reason says why it is still there.
func (st *step) removeOne(ctx context.Context, id string, p *Physical) (reason string, err error) {
	if err := st.note(id, p, DeleteInProgress, ""); err != nil {
		return "", err
	}
	failure, err := st.destroy(ctx, id, p)
	if err != nil {
		return "", err
	}
	if failure == nil {
		return "", st.note(id, p, DeleteComplete, "")
	}
	st.op.Failed = append(st.op.Failed, id)
	reason = st.reason(id, p.Type, failure)
	return reason, st.note(id, p, DeleteFailed, reason)
}

// removed ends a removal of everything.
func (st *step) removed() error {
	end, reason := st.op.End, ""
	if len(st.op.Failed) > 0 {
		reason = "The following resource(s) failed to delete: [" + strings.Join(st.op.Failed, ", ") + "]. "
		end = DeleteFailed
		if st.op.End == RollbackComplete {
			end = RollbackFailed
		}
	}
	if len(st.op.Failed) == 0 {
		if err := journalError(st.x.Publish(nil, nil)); err != nil {
			return err
		}
		st.s.Current.Outputs = nil
	}
	if err := st.enter(end, reason); err != nil {
		return err
	}
	st.s.Op = nil
	return nil
}

// beginCleanup starts the removal of what an update or its rollback has left behind: resources that the records no longer stand for,
// and the records that gone names.
func (st *step) beginCleanup(all []*Record, status Status, gone func(*Record) bool) error {
	order := dependentsFirst(all, func(r *Record) []string {
		var deps []string
		if r.Now != nil {
			deps = append(deps, r.Now.Deps...)
		}
		for _, p := range r.Old {
			deps = append(deps, p.Deps...)
		}
		return deps
	})
	byID := make(map[string]*Record, len(all))
	for _, r := range all {
		byID[r.LogicalID] = r
	}
	st.op.Queue, st.op.Failed, st.op.Phase, st.op.Gone = nil, nil, Cleanup, nil
	for _, id := range order {
		r := byID[id]
		drop := gone(r)
		if drop {
			st.op.Gone = append(st.op.Gone, id)
		}
		if drop || len(r.Old) > 0 {
			st.op.Queue = append(st.op.Queue, id)
		}
	}
	return st.enter(status, "")
}

// cleanup takes up the next record that is left behind. What cannot be deleted is left to the user, as CloudFormation does: the
// update itself has succeeded.
func (st *step) cleanup(ctx context.Context) error {
	id, ok := st.next()
	if !ok {
		return st.cleaned()
	}
	r, err := st.resource(id)
	if err != nil || r == nil {
		return err
	}
	for {
		failed, err := st.removeOld(ctx, r)
		if err != nil {
			return err
		}
		if !failed {
			break
		}
		r.Old = r.Old[1:]
	}
	if !slices.Contains(st.op.Gone, id) {
		return journalError(st.j.Put(r))
	}
	switch {
	case r.Now == nil:
		err = st.note(id, &Physical{Type: r.Type}, DeleteComplete, "")
	case r.Now.DeletionPolicy == retain:
		err = st.note(id, r.Now, DeleteSkipped, "")
	default:
		_, err = st.removeOne(ctx, id, r.Now)
	}
	if err != nil {
		return err
	}
	return journalError(st.j.Drop(id))
}

// cleaned ends an update or its rollback.
func (st *step) cleaned() error {
	all, err := st.resources()
	if err != nil {
		return err
	}
	for _, r := range all {
		if r.Change == Unchanged && r.Before == nil {
			continue
		}
		r.Change, r.Order, r.Before = Unchanged, 0, nil
		if err := journalError(st.j.Put(r)); err != nil {
			return err
		}
	}
	end := UpdateComplete
	if st.s.Status == UpdateRollbackCleanup {
		end = UpdateRollbackComplete
	}
	st.s.Stable = nil
	if err := st.enter(end, ""); err != nil {
		return err
	}
	st.s.Op = nil
	return nil
}
