package cfn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"

	"croft/internal/cfn/template"
	"croft/internal/cloud"
	"croft/internal/kv"
)

// Lookup finds a resource type by its CloudFormation name.
type Lookup func(name string) (ResourceType, bool)

// Executor carries out operations on stacks, one step at a time. It keeps no state of its own and is safe for concurrent use.
type Executor struct {
	Store kv.Store
	Types Lookup
	Log   *slog.Logger
}

// Step takes the next step of s's operation in the transaction that ctx carries, whose Call acts in the stack's account and
// region. It changes s, which the caller stores in the same transaction; s.Op is nil once the operation has ended. target gives
// what the stack is to become; it is asked for in the phase Forward alone.
//
// An error means that the step could not be taken now, for a reason that is not the stack's own: the transaction must not
// commit, and the step is tried again later. What goes wrong with a resource is no error: it becomes part of the stack's state.
func (e *Executor) Step(ctx context.Context, s *Stack, target func() (*Target, error), j Journal, x Exports) error {
	if s.Op == nil {
		return nil
	}
	st := &step{Executor: e, s: s, op: s.Op, j: j, x: x, call: cloud.CallOf(ctx)}
	switch s.Op.Phase {
	case Forward:
		t, err := target()
		if err != nil {
			if isTransient(err) {
				return err
			}
			return st.forwardFailed("", err)
		}
		st.target = t
		return st.forward(ctx)
	case Back:
		return st.back(ctx)
	case Cleanup:
		return st.cleanup(ctx)
	case Remove:
		return st.remove(ctx)
	}
	return fmt.Errorf("cfn: stack %s is in no known phase: %q", s.ID, s.Op.Phase)
}

// step is one step of one operation.
type step struct {
	*Executor
	s      *Stack
	op     *Operation
	j      Journal
	x      Exports
	call   *cloud.Call
	target *Target
}

// next takes the head off the queue.
func (st *step) next() (id string, ok bool) {
	if len(st.op.Queue) == 0 {
		return "", false
	}
	id = st.op.Queue[0]
	st.op.Queue = st.op.Queue[1:]
	return id, true
}

// isTransient reports whether err says nothing about what was tried: the same may succeed later.
func isTransient(err error) bool {
	for _, t := range []error{
		kv.ErrConflict, kv.ErrClosed, kv.ErrReadOnly, context.Canceled, context.DeadlineExceeded, errJournal,
	} {
		if errors.Is(err, t) {
			return true
		}
	}
	return false
}

// errJournal marks failures of the journal, which must not be taken for failures of a resource.
var errJournal = errors.New("cfn: the stack's records cannot be read or written")

// Unavailable marks an error as one of the store's, so that Step does not take it for a failure of the stack.
func Unavailable(err error) error { return fmt.Errorf("%w: %w", errJournal, err) }

func journalError(err error) error {
	if err == nil || isOwned(err) || errors.Is(err, kv.ErrTooLarge) {
		return err
	}
	return Unavailable(err)
}

// OwnedError is what Journal.Put returns when a physical resource already belongs to a record.
type OwnedError struct{ PhysicalID, StackID string }

// Error says it in CloudFormation's words.
func (e *OwnedError) Error() string { return e.PhysicalID + " already exists in stack " + e.StackID }

func isOwned(err error) bool {
	_, ok := errors.AsType[*OwnedError](err)
	return ok
}

// attempt runs fn so that nothing it wrote stays when it fails or panics. The second result is for failures that are not the
// resource's own.
func (st *step) attempt(ctx context.Context, id, typ string, fn func(context.Context) error) (failure, err error) {
	err = st.Store.Update(ctx, func(ctx context.Context, _ kv.Tx) (err error) {
		defer func() {
			if p := recover(); p != nil {
				st.Log.Error("a resource type panicked", "stack", st.s.ID, "resource", id, "type", typ, "panic", p, "trace", string(debug.Stack()))
				err = errInternal
			}
		}()
		return fn(ctx)
	})
	if err == nil {
		return nil, nil
	}
	if isTransient(err) {
		return nil, err
	}
	return err, nil
}

var errInternal = errors.New("internal error")

// reason is what a failure looks like in the stack's history: the text of what a service answered; the text of anything else
// stays in the server's log.
func (st *step) reason(id, typ string, failure error) string {
	if isOwned(failure) {
		return failure.Error()
	}
	if e, ok := errors.AsType[*template.Error](failure); ok {
		return e.Message
	}
	if errors.Is(failure, kv.ErrTooLarge) {
		return "The resource's properties or attributes are too large"
	}
	if e, ok := errors.AsType[*cloud.Error](failure); ok {
		if e.Code == "ValidationError" {
			return e.Message
		}
		return fmt.Sprintf("Resource handler returned message: \"%s\" (RequestToken: %s, HandlerErrorCode: %s)",
			e.Message, st.call.RequestID, e.Code)
	}
	st.Log.Error("a resource failed for an internal reason", "stack", st.s.ID, "resource", id, "type", typ, "err", failure)
	return "Internal Failure"
}

// lookup finds a resource type.
func (st *step) lookup(name string) (ResourceType, error) {
	rt, ok := st.Types(name)
	if !ok {
		return ResourceType{}, &template.Error{Message: "Template format error: Unrecognized resource types: [" + name + "]"}
	}
	return rt, nil
}

// request is what a resource type is told.
func (st *step) request(id string, p *Physical) *Request {
	r := &Request{
		StackID: st.s.ID, StackName: st.s.Name, LogicalID: id,
		GeneratedName: generatedName(st.s, st.op, id), Tags: st.s.Current.TagMap(),
	}
	if p != nil {
		r.PhysicalID, r.Attributes = p.ID, p.Attributes
	}
	return r
}

// destroy deletes a resource that was made.
func (st *step) destroy(ctx context.Context, id string, p *Physical) (failure, err error) {
	return st.attempt(ctx, id, p.Type, func(ctx context.Context) error {
		rt, err := st.lookup(p.Type)
		if err != nil {
			return err
		}
		return rt.Delete(ctx, st.request(id, p), p.Properties)
	})
}
