package cfn

import (
	"context"
	"maps"
	"slices"
	"strings"
)

// forward creates, updates or replaces the next resource, or ends the phase when there is none left.
func (st *step) forward(ctx context.Context) error {
	id, ok := st.next()
	if !ok {
		return st.arrived(ctx)
	}
	r, err := st.resource(id)
	if err != nil {
		return err
	}
	if r == nil {
		r = &Record{LogicalID: id}
	}
	want, failure := st.describe(id)
	if failure != nil {
		if isTransient(failure) {
			return failure
		}
		want = &Physical{Type: st.target.Bound.Resource(id).Type}
	}
	switch {
	case r.Now == nil:
		return st.create(ctx, r, want, failure)
	case failure != nil:
		return st.updateFailed(r, want, failure)
	case r.Now.settles(want):
		return nil
	}
	return st.change(ctx, r, want)
}

// settles reports whether nothing about p has to be written to make it want.
func (p *Physical) settles(want *Physical) bool {
	return same(any(p.Properties), any(want.Properties)) && sameTags(p, want) && slices.Equal(p.Deps, want.Deps) &&
		p.Metadata == want.Metadata && p.DeletionPolicy == want.DeletionPolicy && p.UpdateReplacePolicy == want.UpdateReplacePolicy &&
		slices.Equal(p.Imports, want.Imports)
}

func sameTags(a, b *Physical) bool { return maps.Equal(a.Tags, b.Tags) }

// create makes a resource that is not there yet.
func (st *step) create(ctx context.Context, r *Record, want *Physical, failure error) error {
	r.Type = want.Type
	if err := st.note(r.LogicalID, want, CreateInProgress, ""); err != nil {
		return err
	}
	if failure == nil {
		var err error
		if failure, err = st.make(ctx, r, want, nil); err != nil {
			return err
		}
	}
	if st.op.Action == Update {
		st.changed(r, Added)
	}
	if failure != nil {
		reason := st.reason(r.LogicalID, want.Type, failure)
		if err := st.note(r.LogicalID, want, CreateFailed, reason); err != nil {
			return err
		}
		r.Now = nil
		if err := st.put(r, CreateFailed, reason); err != nil {
			return err
		}
		return st.forwardFailed(r.LogicalID, nil)
	}
	if err := st.note(r.LogicalID, want, CreateInProgress, creationInitiated); err != nil {
		return err
	}
	if err := st.note(r.LogicalID, want, CreateComplete, ""); err != nil {
		return err
	}
	return st.put(r, CreateComplete, "")
}

// changed notes what was done to r, for the rollback. What an earlier operation did that did not come to its end stays what it was.
func (st *step) changed(r *Record, c Change) {
	st.s.Changes++
	r.Order = st.s.Changes
	if r.Change == Unchanged || (r.Change == Modified && c == Replaced) {
		r.Change = c
	}
}

// make creates want and makes r stand for it, in one piece. With old, it replaces that one.
func (st *step) make(ctx context.Context, r *Record, want, old *Physical) (failure, err error) {
	return st.attempt(ctx, r.LogicalID, want.Type, func(ctx context.Context) error {
		rt, err := st.lookup(want.Type)
		if err != nil {
			return err
		}
		res, err := rt.Create(ctx, st.request(r.LogicalID, nil), want.Properties)
		if err != nil && old != nil && ownName(old, want) && taken(err) {
			return mustRename(old.ID)
		}
		if err != nil {
			return err
		}
		// The journal sees the new state here, so that a resource that is somebody else's fails inside the attempt.
		made := *want
		made.ID, made.Within, made.Attributes = res.PhysicalID, res.Within, res.Attributes
		if old != nil && old.is(&made) {
			return mustRename(old.ID)
		}
		for _, left := range r.Old {
			if left.is(&made) {
				return &OwnedError{PhysicalID: left.ID, StackID: st.s.ID}
			}
		}
		after := *r
		after.Now = &made
		if old != nil {
			after.Old = append(slices.Clone(r.Old), old)
		}
		if err := journalError(st.j.Put(&after)); err != nil {
			return err
		}
		*want, *r = made, after
		return nil
	})
}

// change updates a resource in place, or makes another in its stead.
func (st *step) change(ctx context.Context, r *Record, want *Physical) error {
	before := *r.Now
	want.ID, want.Attributes = before.ID, before.Attributes
	rt, failure := st.lookup(want.Type)
	if failure != nil {
		return st.updateFailed(r, want, failure)
	}
	properties := !same(any(before.Properties), any(want.Properties))
	if !properties && (sameTags(&before, want) || rt.Update == nil) {
		return st.adopt(r, want)
	}
	if !properties || (rt.Update != nil && !needsNew(rt, before.Properties, want.Properties)) {
		return st.update(ctx, r, rt, want)
	}
	return st.replace(ctx, r, want)
}

// adopt takes over what concerns the stack's record alone.
func (st *step) adopt(r *Record, want *Physical) error {
	st.remember(r, Modified)
	metadata := r.Now.Metadata != want.Metadata
	r.Now = want
	if !metadata {
		return st.put(r, r.Status, r.Reason)
	}
	if err := st.note(r.LogicalID, want, UpdateInProgress, ""); err != nil {
		return err
	}
	if err := st.note(r.LogicalID, want, UpdateComplete, ""); err != nil {
		return err
	}
	return st.put(r, UpdateComplete, "")
}

// remember keeps what r stands for, for the rollback.
func (st *step) remember(r *Record, c Change) {
	if r.Change == Unchanged {
		r.Before = r.Now
	}
	st.changed(r, c)
}

func (st *step) update(ctx context.Context, r *Record, rt ResourceType, want *Physical) error {
	if err := st.note(r.LogicalID, want, UpdateInProgress, ""); err != nil {
		return err
	}
	failure, err := st.apply(ctx, r.LogicalID, rt, r.Now, want)
	if err != nil {
		return err
	}
	if failure != nil {
		return st.updateFailed(r, want, failure)
	}
	st.remember(r, Modified)
	r.Now = want
	if err := st.note(r.LogicalID, want, UpdateComplete, ""); err != nil {
		return err
	}
	return st.put(r, UpdateComplete, "")
}

// apply changes from into to, whose id and attributes it sets.
func (st *step) apply(ctx context.Context, id string, rt ResourceType, from, to *Physical) (failure, err error) {
	return st.attempt(ctx, id, to.Type, func(ctx context.Context) error {
		req := st.request(id, from)
		req.Tags = to.Tags
		res, err := rt.Update(ctx, req, from.Properties, to.Properties)
		if err != nil {
			return err
		}
		to.ID, to.Within, to.Attributes = res.PhysicalID, from.Within, res.Attributes
		if to.ID == "" {
			to.ID = from.ID
		}
		return nil
	})
}

func (st *step) replace(ctx context.Context, r *Record, want *Physical) error {
	if err := st.note(r.LogicalID, want, UpdateInProgress, replacementNeedsNew); err != nil {
		return err
	}
	old := r.Now
	st.remember(r, Replaced)
	failure, err := st.make(ctx, r, want, old)
	if err != nil {
		return err
	}
	if failure != nil {
		return st.updateFailed(r, want, failure)
	}
	if err := st.note(r.LogicalID, want, UpdateInProgress, creationInitiated); err != nil {
		return err
	}
	if err := st.note(r.LogicalID, want, UpdateComplete, ""); err != nil {
		return err
	}
	return st.put(r, UpdateComplete, "")
}

// updateFailed records that r could not be made to be want, and stays what it was.
func (st *step) updateFailed(r *Record, want *Physical, failure error) error {
	reason := st.reason(r.LogicalID, want.Type, failure)
	shown := *want
	shown.ID = r.Now.ID
	if err := st.note(r.LogicalID, &shown, UpdateFailed, reason); err != nil {
		return err
	}
	st.remember(r, Modified)
	if err := st.put(r, UpdateFailed, reason); err != nil {
		return err
	}
	return st.forwardFailed(r.LogicalID, nil)
}

// arrived ends the phase: everything the template wants is there.
func (st *step) arrived(ctx context.Context) error {
	l := newLive(st.j, st.x)
	values, failure := st.target.Bound.EvalOutputs(l)
	outputs := make([]Output, len(values))
	for i, v := range values {
		outputs[i] = Output{Name: v.Name, Value: v.Value, Description: v.Description, Export: v.ExportName}
	}
	ownImports := l.imported()
	all, err := st.resources()
	if err != nil {
		return err
	}
	for _, r := range all {
		if r.Now != nil && st.target.Bound.Resource(r.LogicalID) != nil {
			for _, name := range r.Now.Imports {
				l.imports[name] = true
			}
		}
	}
	if failure == nil {
		failure, err = st.attempt(ctx, st.s.Name, StackType, func(context.Context) error {
			return st.x.Publish(outputs, l.imported())
		})
		if err != nil {
			return err
		}
	}
	if failure != nil {
		if isTransient(failure) {
			return failure
		}
		return st.forwardFailed("", failure)
	}
	st.s.Current.Outputs, st.s.Current.Imports = outputs, ownImports
	if st.op.Action == Create {
		if err := st.enter(CreateComplete, ""); err != nil {
			return err
		}
		st.s.Op = nil
		return nil
	}
	return st.beginCleanup(all, UpdateCleanup, func(r *Record) bool { return st.target.Bound.Resource(r.LogicalID) == nil })
}

// forwardFailed turns round after the resource id, or for a reason that is no resource's, could not be made.
func (st *step) forwardFailed(id string, cause error) error {
	var reason string
	if id != "" {
		verb := "create"
		if st.op.Action == Update {
			verb = "update"
			if r, err := st.resource(id); err != nil {
				return err
			} else if r != nil && r.Status == CreateFailed {
				verb = "create"
			}
		}
		reason = "The following resource(s) failed to " + verb + ": [" + id + "]. "
	} else {
		reason = strings.TrimSuffix(st.reason(st.s.Name, StackType, cause), ".") + ". "
	}
	st.op.Queue, st.op.Failed = nil, nil
	all, err := st.resources()
	if err != nil {
		return err
	}
	if st.op.Action == Update {
		return st.updateTurns(all, reason)
	}
	return st.createTurns(all, reason)
}

func (st *step) createTurns(all []*Record, reason string) error {
	switch st.op.OnFailure {
	case DoNothing:
		err := st.enter(CreateFailed, reason)
		st.s.Op = nil
		return err
	case DeleteAll:
		st.op.End = DeleteComplete
		if err := st.enter(DeleteInProgress, reason+"Delete requested by user."); err != nil {
			return err
		}
	default:
		st.op.End = RollbackComplete
		if err := st.enter(RollbackInProgress, reason+"Rollback requested by user."); err != nil {
			return err
		}
	}
	// CloudFormation counts the rollback of a creation as a deletion.
	st.s.Deleted = st.call.Now
	st.op.Phase, st.op.Queue = Remove, removalOrder(all)
	return nil
}

func (st *step) updateTurns(all []*Record, reason string) error {
	if st.op.OnFailure == DoNothing {
		err := st.enter(UpdateFailed, reason)
		st.s.Op = nil
		return err
	}
	st.op.Phase = Back
	for _, r := range slices.SortedFunc(slices.Values(all), func(a, b *Record) int { return b.Order - a.Order }) {
		if r.Change != Unchanged {
			st.op.Queue = append(st.op.Queue, r.LogicalID)
		}
	}
	return st.enter(UpdateRollback, reason+"Rollback requested by user.")
}
