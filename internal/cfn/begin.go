package cfn

import (
	"context"
	"slices"

	"croft/internal/cloud"
)

// BeginCreate starts the creation of s, which has no resources yet. op carries what the caller chose.
func (e *Executor) BeginCreate(ctx context.Context, s *Stack, op Operation, t *Target, j Journal) error {
	return begin(ctx, s, op, Create, t, j)
}

// BeginUpdate starts to make s of source. The stack must be in a state that allows it.
func (e *Executor) BeginUpdate(ctx context.Context, s *Stack, op Operation, source Source, t *Target, j Journal) error {
	if s.Stable == nil {
		stable := s.Current
		s.Stable = &stable
	}
	source.Outputs = s.Current.Outputs
	s.Current = source
	s.Updated = cloud.CallOf(ctx).Now
	return begin(ctx, s, op, Update, t, j)
}

func begin(ctx context.Context, s *Stack, op Operation, action Action, t *Target, j Journal) error {
	call := cloud.CallOf(ctx)
	fill(&op, call, action, Forward)
	op.Queue = slices.Clone(t.Graph.Order)
	s.Op = &op
	status := CreateInProgress
	if action == Update {
		status = UpdateInProgress
	}
	return enter(s, j, call.Now, status, userInitiated)
}

func fill(op *Operation, call *cloud.Call, action Action, phase Phase) {
	op.ID, op.Action, op.Phase = cloud.NewRequestID(), action, phase
	if op.Principal.Kind == "" {
		op.Principal = call.Principal
	}
	op.Endpoint = call.Endpoint
}

// BeginDelete starts the deletion of s, breaking off a creation that is under way. What the stack exports must not be in use: if
// it is, the deletion fails at once, as the stack's state says.
func (e *Executor) BeginDelete(ctx context.Context, s *Stack, op Operation, j Journal, x Exports) error {
	call := cloud.CallOf(ctx)
	fill(&op, call, Delete, Remove)
	op.End = DeleteComplete
	s.Op, s.Deleted = &op, call.Now
	st := &step{Executor: e, s: s, op: s.Op, j: j, x: x, call: call}
	if err := st.enter(DeleteInProgress, userInitiated); err != nil {
		return err
	}
	failure, err := st.attempt(ctx, s.Name, StackType, func(context.Context) error { return x.Publish(nil, nil) })
	if err != nil {
		return err
	}
	if failure != nil {
		err := st.enter(DeleteFailed, st.reason(s.Name, StackType, failure))
		s.Op = nil
		return err
	}
	all, err := st.resources()
	if err != nil {
		return err
	}
	op.Queue = removalOrder(all)
	return nil
}

// Review starts the life of a stack that has a change set and nothing else.
func (e *Executor) Review(ctx context.Context, s *Stack, j Journal) error {
	return enter(s, j, cloud.CallOf(ctx).Now, ReviewInProgress, userInitiated)
}

// Updatable reports whether a stack may be updated in its state, with CloudFormation's refusal if not.
func (s *Stack) Updatable() error {
	switch s.Status {
	case CreateComplete, UpdateComplete, UpdateRollbackComplete:
		return nil
	case CreateFailed, UpdateFailed:
		return nil
	}
	return cloud.Errorf("ValidationError", "Stack:%s is in %s state and can not be updated.", s.ID, s.Status)
}

// Deletable reports whether a stack may be deleted in its state, with CloudFormation's refusal if not.
func (s *Stack) Deletable() error {
	if s.Op == nil || s.Op.Action != Update {
		return nil
	}
	return cloud.Errorf("ValidationError", "Stack [%s] cannot be deleted while in status %s", s.Name, s.Status)
}

// String returns the state in CloudFormation's words.
func (s Status) String() string { return string(s) }
