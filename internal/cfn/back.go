package cfn

import (
	"context"
	"slices"
	"strings"
)

// back undoes the next change of a failed update, or ends the phase when all are undone.
func (st *step) back(ctx context.Context) error {
	id, ok := st.next()
	if !ok {
		return st.isBack()
	}
	r, err := st.resource(id)
	if err != nil || r == nil {
		return err
	}
	if r.Change == Added || r.Before == nil || r.Now == nil {
		return nil // the cleanup removes it
	}
	before := *r.Before
	if err := st.note(id, &before, UpdateInProgress, ""); err != nil {
		return err
	}
	if r.Change == Replaced && !r.Now.is(&before) {
		unreplace(r, &before)
	}
	if !same(any(r.Now.Properties), any(before.Properties)) || !sameTags(r.Now, &before) {
		if failed, err := st.restore(ctx, r, &before); err != nil || failed {
			return err
		}
	}
	r.Now = &before
	if err := st.note(id, &before, UpdateComplete, ""); err != nil {
		return err
	}
	return st.put(r, UpdateComplete, "")
}

// restore changes r's resource to be what it was before.
func (st *step) restore(ctx context.Context, r *Record, before *Physical) (failed bool, err error) {
	rt, failure := st.lookup(before.Type)
	if failure == nil && rt.Update != nil {
		if failure, err = st.apply(ctx, r.LogicalID, rt, r.Now, before); err != nil {
			return false, err
		}
	}
	if failure == nil {
		return false, nil
	}
	st.op.Failed = append(st.op.Failed, r.LogicalID)
	reason := st.reason(r.LogicalID, before.Type, failure)
	if err := st.note(r.LogicalID, before, UpdateFailed, reason); err != nil {
		return false, err
	}
	return true, st.put(r, UpdateFailed, reason)
}

// unreplace makes r stand again for the resource that was there before; the new one is left to the cleanup. The old one may
// have been changed in place before it was replaced, when an earlier update failed without going back.
func unreplace(r *Record, before *Physical) {
	left, again := *r.Now, before
	left.UpdateReplacePolicy = "" // it says what becomes of the resource that a replacement leaves behind, not of the new one
	old := []*Physical{&left}
	for _, p := range r.Old {
		if p.is(before) {
			again = p
		} else {
			old = append(old, p)
		}
	}
	r.Now, r.Old = again, old
}

// isBack ends the phase.
func (st *step) isBack() error {
	if len(st.op.Failed) > 0 {
		err := st.enter(UpdateRollbackFailed, "The following resource(s) failed to update: ["+strings.Join(st.op.Failed, ", ")+"]. ")
		st.s.Op = nil
		return err
	}
	if st.s.Stable != nil {
		st.s.Current = *st.s.Stable
	}
	all, err := st.resources()
	if err != nil {
		return err
	}
	var imports []string
	for _, r := range all {
		if r.Now != nil && r.Change != Added {
			imports = append(imports, r.Now.Imports...)
		}
	}
	imports = append(imports, st.s.Current.Imports...)
	slices.Sort(imports)
	if err := journalError(st.x.Publish(st.s.Current.Outputs, slices.Compact(imports))); err != nil {
		return err
	}
	return st.beginCleanup(all, UpdateRollbackCleanup, func(r *Record) bool { return r.Change == Added || r.Now == nil })
}
