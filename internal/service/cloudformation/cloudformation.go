package cloudformation

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"croft/internal/awsapi/cloudformation"
	"croft/internal/cfn"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/service"
	"croft/internal/timer"
)

const (
	serviceName = "cloudformation"
	principal   = "cloudformation.amazonaws.com"
)

// Service implements the API of CloudFormation. It is safe for concurrent use.
type Service struct {
	cloudformation.Unimplemented
	deps service.Deps
	exec *cfn.Executor
}

var _ cloudformation.API = (*Service)(nil)

// New returns the service, which deploys resources of the types that lookup finds.
func New(deps service.Deps, lookup func(name string) (cfn.ResourceType, bool)) *Service {
	return &Service{deps: deps, exec: &cfn.Executor{Store: deps.Store, Types: lookup, Log: deps.Log}}
}

// Descriptor declares the service.
func (s *Service) Descriptor() service.Descriptor {
	return service.Descriptor{
		API: cloudformation.Service(), Impl: s, Run: s.run,
		Timers: map[string]timer.Handler{expireHandler: s.expire},
	}
}

func (s *Service) space(ctx context.Context) kv.Space { return s.deps.Space(ctx, serviceName) }

func validation(format string, args ...any) *cloud.Error {
	return cloud.Errorf("ValidationError", format, args...)
}

// unsupported refuses a parameter that croft does not honour.
func unsupported(name string) *cloud.Error {
	return validation("The parameter %s is not supported by croft.", name)
}

// get reads the JSON value at key into v and reports whether there is one.
func get(r kv.Reader, key []byte, v any) (bool, error) {
	value, err := r.Get(key)
	if errors.Is(err, kv.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, decode(value, v)
}

// decode keeps numbers as they are written.
func decode(value []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(value))
	d.UseNumber()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("cloudformation: a row of %T: %w", v, err)
	}
	return nil
}

func put(w kv.Writer, key []byte, v any) error {
	value, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("cloudformation: %w", err)
	}
	return w.Put(key, value)
}

// uid returns the last part of an id or ARN: what rows are named by.
func uid(id string) string { return id[strings.LastIndexByte(id, '/')+1:] }

// load returns the stack with that last part of its id, or nil.
func load(r kv.Reader, stack string) (*cfn.Stack, error) {
	st := new(cfn.Stack)
	ok, err := get(r, stackKey(stack), st)
	if !ok {
		return nil, err
	}
	return st, err
}

// find returns the stack of a name or id, or nil. Stacks that are deleted are found by id alone.
func (s *Service) find(ctx context.Context, r kv.Reader, nameOrID string) (*cfn.Stack, error) {
	if !strings.HasPrefix(nameOrID, "arn:") {
		stack, err := r.Get(nameKey(nameOrID))
		if errors.Is(err, kv.ErrNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		return load(r, string(stack))
	}
	if !s.mine(ctx, nameOrID, "stack/") {
		return nil, nil
	}
	st, err := load(r, uid(nameOrID))
	if st == nil || err != nil || !strings.Contains(nameOrID, ":stack/"+st.Name+"/") {
		return nil, err
	}
	return st, nil
}

// mine reports whether an ARN names a resource of the kind in the call's account and region.
func (s *Service) mine(ctx context.Context, arn, kind string) bool {
	call := cloud.CallOf(ctx)
	a, err := cloud.ParseARN(arn)
	if err != nil || a.Service != serviceName || a.Region != call.Region || !strings.HasPrefix(a.Resource, kind) {
		return false
	}
	return s.deps.Account(ctx, a.Account, arn) == call.Account
}

// need is find with the refusal that most operations have for a stack that there is not.
func (s *Service) need(ctx context.Context, r kv.Reader, nameOrID, refusal string) (*cfn.Stack, error) {
	st, err := s.find(ctx, r, nameOrID)
	if err == nil && st == nil {
		err = validation(refusal, nameOrID)
	}
	return st, err
}

// The refusals for a stack that there is not, which differ by operation.
const (
	noStackWithID = "Stack with id %s does not exist"
	noStack       = "Stack [%s] does not exist"
	noStackQuoted = "Stack '%s' does not exist"
)

// save stores a stack, with its row of work as long as an operation is under way.
func (s *Service) save(ctx context.Context, tx kv.Tx, st *cfn.Stack) error {
	if err := put(tx, stackKey(uid(st.ID)), st); err != nil {
		return err
	}
	call := cloud.CallOf(ctx)
	key := workKey(call.Account, call.Region, uid(st.ID))
	return s.deps.Shared(serviceName).Update(ctx, func(_ context.Context, tx kv.Tx) error {
		if st.Op == nil {
			return tx.Delete(key)
		}
		return tx.Put(key, nil)
	})
}
