package cloudformation

import (
	"context"
	"strings"
	"time"

	"croft/internal/awsapi/cloudformation"
	"croft/internal/cfn"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

// changeSet is a change set's row.
type changeSet struct {
	ID          string    `json:"id"`
	Name        string    `json:"name"`
	Type        string    `json:"type"`
	Description string    `json:"description,omitempty"`
	Created     time.Time `json:"created"`
	Status      string    `json:"status"`
	Reason      string    `json:"reason,omitempty"`
	Execution   string    `json:"execution"`
	// Source and its text become the stack's when the change set is executed.
	Source        cfn.Source `json:"source"`
	Plan          cfn.Plan   `json:"plan"`
	OnFailure     string     `json:"onFailure,omitempty"`
	IncludeNested bool       `json:"includeNested,omitempty"`
	Token         string     `json:"token,omitempty"`
}

// The states of a change set.
const (
	created         = "CREATE_COMPLETE"
	failed          = "FAILED"
	unavailable     = "UNAVAILABLE"
	available       = "AVAILABLE"
	executing       = "EXECUTE_IN_PROGRESS"
	executeComplete = "EXECUTE_COMPLETE"
	executeFailed   = "EXECUTE_FAILED"
	obsolete        = "OBSOLETE"
)

const noChanges = "The submitted information didn't contain changes. Submit different information to create a change set."

// place is where a change set lies.
type place struct {
	Stack string `json:"stack"`
	Name  string `json:"name"`
}

// CreateChangeSet works out what would be done, and keeps it to be looked at and executed.
func (s *Service) CreateChangeSet(ctx context.Context, in *cloudformation.CreateChangeSetInput) (*cloudformation.CreateChangeSetOutput, error) {
	if err := refuseForChangeSet(in); err != nil {
		return nil, err
	}
	out := &cloudformation.CreateChangeSetOutput{}
	err := s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		st, previous, err := s.changeSetStack(ctx, tx, in)
		if err != nil {
			return err
		}
		out.StackId = &st.ID
		same, err := nameFree(tx, st, in)
		if err != nil {
			return err
		}
		if same != nil {
			out.Id = &same.ID
			return nil
		}
		cs, err := s.newChangeSet(ctx, tx, in, st, previous)
		if err != nil {
			return err
		}
		if err := prune(tx, st); err != nil {
			return err
		}
		out.Id = &cs.ID
		if st.Status == "" {
			if err := s.exec.Review(ctx, st, journalOf(tx, st)); err != nil {
				return err
			}
			if err := s.save(ctx, tx, st); err != nil {
				return err
			}
		}
		if err := put(tx, changeSetIDKey(uid(cs.ID)), place{uid(st.ID), cs.Name}); err != nil {
			return err
		}
		return put(tx, changeSetKey(uid(st.ID), cs.Name), cs)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// nameFree makes sure that the change set's name can be used, or returns the change set that the same request has made before. What
// cannot be executed any more gives its name up: the CLI names change sets by the second, and two deployments may fit into one.
func nameFree(tx kv.Tx, st *cfn.Stack, in *cloudformation.CreateChangeSetInput) (same *changeSet, err error) {
	old := new(changeSet)
	ok, err := get(tx, changeSetKey(uid(st.ID), in.ChangeSetName), old)
	switch {
	case !ok:
		return nil, err
	case in.ClientToken != nil && old.Token == *in.ClientToken:
		return old, nil
	case old.Execution == available || old.Execution == executing:
		return nil, cloudformation.NewAlreadyExistsException("ChangeSet %s already exists", in.ChangeSetName)
	}
	return nil, dropChangeSet(tx, st, old)
}

func refuseForChangeSet(in *cloudformation.CreateChangeSetInput) error {
	switch {
	case wire.Value(in.ChangeSetType) == cloudformation.ChangeSetTypeIMPORT:
		return unsupported("ChangeSetType IMPORT")
	case len(in.ResourcesToImport) > 0:
		return unsupported("ResourcesToImport")
	case wire.Value(in.ImportExistingResources):
		return unsupported("ImportExistingResources")
	case in.DeploymentMode != nil:
		return unsupported("DeploymentMode")
	case wire.Value(in.OnStackFailure) == string(cfn.DeleteAll) && wire.Value(in.ChangeSetType) != cloudformation.ChangeSetTypeCREATE:
		return validation("OnStackFailure DELETE is for change sets of the type CREATE alone.")
	}
	return refuseForAll(in.NotificationARNs, in.RollbackConfiguration, nil)
}

// changeSetStack returns the stack that a change set is for, which it makes when that is what the change set is to do.
func (s *Service) changeSetStack(ctx context.Context, tx kv.Tx, in *cloudformation.CreateChangeSetInput) (*cfn.Stack, *cfn.Source, error) {
	st, err := s.find(ctx, tx, in.StackName)
	if err != nil {
		return nil, nil, err
	}
	if wire.Value(in.ChangeSetType) == cloudformation.ChangeSetTypeCREATE {
		if st == nil {
			if err := checkName(in.StackName); err != nil {
				return nil, nil, err
			}
			st, err = s.newStack(ctx, tx, in.StackName)
			return st, nil, err
		}
		if st.Status != cfn.ReviewInProgress {
			return nil, nil, validation("Stack [%s] already exists and cannot be created again with the changeSet [%s].", in.StackName, in.ChangeSetName)
		}
		return st, nil, nil
	}
	if st == nil {
		return nil, nil, validation(noStack, in.StackName)
	}
	previous := st.Current
	return st, &previous, st.Updatable()
}

// newChangeSet works out a change set and stores its template.
func (s *Service) newChangeSet(ctx context.Context, tx kv.Tx, in *cloudformation.CreateChangeSetInput, st *cfn.Stack, previous *cfn.Source) (*changeSet, error) {
	p, err := s.prepare(ctx, tx, &given{
		body: in.TemplateBody, url: in.TemplateURL, usePrevious: wire.Value(in.UsePreviousTemplate), parameters: in.Parameters,
		tags: in.Tags, capabilities: in.Capabilities, resourceTypes: in.ResourceTypes, roleARN: in.RoleARN, expand: true,
	}, st, previous)
	if err != nil {
		return nil, err
	}
	call := cloud.CallOf(ctx)
	cs := &changeSet{
		ID:   call.ARN(serviceName, "changeSet/"+in.ChangeSetName+"/"+cloud.NewRequestID()),
		Name: in.ChangeSetName, Type: wire.Value(in.ChangeSetType), Description: wire.Value(in.Description), Created: call.Now.UTC(),
		Status: created, Execution: available, Source: p.source, Plan: *p.plan, OnFailure: wire.Value(in.OnStackFailure),
		IncludeNested: wire.Value(in.IncludeNestedStacks), Token: wire.Value(in.ClientToken),
	}
	if p.plan.Empty() {
		cs.Status, cs.Execution, cs.Reason = failed, unavailable, noChanges
	}
	return cs, put(tx, textKey(p.source.Template), p.text)
}

// findChangeSet returns the change set of an ARN, or of a name in a stack.
func (s *Service) findChangeSet(ctx context.Context, r kv.Reader, name string, stack *string) (*cfn.Stack, *changeSet, error) {
	var at place
	if strings.HasPrefix(name, "arn:") {
		ok, err := get(r, changeSetIDKey(uid(name)), &at)
		if err != nil {
			return nil, nil, err
		}
		if !ok || !s.mine(ctx, name, "changeSet/") {
			return nil, nil, noChangeSet(name)
		}
	} else {
		if stack == nil {
			return nil, nil, validation("StackName must be specified if ChangeSetName is not specified as an ARN.")
		}
		st, err := s.need(ctx, r, *stack, noStack)
		if err != nil {
			return nil, nil, err
		}
		at = place{uid(st.ID), name}
	}
	st, err := load(r, at.Stack)
	if err != nil {
		return nil, nil, err
	}
	cs := new(changeSet)
	ok, err := get(r, changeSetKey(at.Stack, at.Name), cs)
	if err == nil && (!ok || st == nil) {
		err = noChangeSet(name)
	}
	return st, cs, err
}

func noChangeSet(name string) error {
	return cloudformation.NewChangeSetNotFoundException("ChangeSet [%s] does not exist", name)
}

// ExecuteChangeSet starts what a change set says.
func (s *Service) ExecuteChangeSet(ctx context.Context, in *cloudformation.ExecuteChangeSetInput) (*cloudformation.ExecuteChangeSetOutput, error) {
	if wire.Value(in.RetainExceptOnCreate) {
		return nil, unsupported("RetainExceptOnCreate")
	}
	return &cloudformation.ExecuteChangeSetOutput{}, s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		st, cs, err := s.findChangeSet(ctx, tx, in.ChangeSetName, in.StackName)
		if err != nil {
			return err
		}
		if done, err := repeated(tx, st, in.ClientRequestToken, "execute"); err != nil || done {
			return err
		}
		if err := executable(cs); err != nil {
			return err
		}
		if cs.OnFailure != "" && in.DisableRollback != nil {
			return validation("DisableRollback cannot be given for a change set that was created with OnStackFailure.")
		}
		onFailure, err := failurePolicy(cs.OnFailure, in.DisableRollback)
		if err != nil {
			return err
		}
		return s.execute(ctx, tx, st, cs, operation{token: in.ClientRequestToken, onFailure: onFailure, changeSet: cs.ID})
	})
}

func executable(cs *changeSet) error {
	const refusal = "ChangeSet [%s] cannot be executed in its current %sstatus of [%s]"
	if cs.Status != created {
		return cloudformation.NewInvalidChangeSetStatusException(refusal, cs.ID, "", cs.Status)
	}
	if cs.Execution != available {
		return cloudformation.NewInvalidChangeSetStatusException(refusal, cs.ID, "execution ", cs.Execution)
	}
	return nil
}

func (s *Service) execute(ctx context.Context, tx kv.Tx, st *cfn.Stack, cs *changeSet, o operation) error {
	t, err := loadText(tx, cs.Source.Template)
	if err != nil {
		return err
	}
	if err := s.dropChangeSets(tx, st, cs.Name); err != nil {
		return err
	}
	p := &prepared{source: cs.Source, text: *t}
	// The stack may keep the template for longer than the change set, and the other way round.
	p.source.Template = cloud.NewRequestID()
	p.source.ChangeSetID = cs.ID
	p.source.DisableRollback = o.onFailure == cfn.DoNothing
	targets := &targets{s: s}
	probe := *st
	probe.Current, probe.Op = cs.Source, &cfn.Operation{}
	if p.target, err = targets.of(ctx, tx, &probe); err != nil {
		return err
	}
	cs.Execution = executing
	if err := put(tx, changeSetKey(uid(st.ID), cs.Name), cs); err != nil {
		return err
	}
	if cs.Type == cloudformation.ChangeSetTypeCREATE {
		st.Updated = cloud.CallOf(ctx).Now.UTC()
		return s.startExecuted(ctx, tx, st, o, func() error { return s.startCreate(ctx, tx, st, p, o) })
	}
	if err := st.Updatable(); err != nil {
		return err
	}
	return s.startExecuted(ctx, tx, st, o, func() error { return s.startUpdate(ctx, tx, st, p, o) })
}

// startExecuted starts an operation and notes the token as one of ExecuteChangeSet.
func (s *Service) startExecuted(ctx context.Context, tx kv.Tx, st *cfn.Stack, o operation, start func() error) error {
	if err := start(); err != nil {
		return err
	}
	return remember(tx, st, o.token, "execute")
}

// DeleteChangeSet removes a change set. One that is not there is no error, as long as its stack is.
func (s *Service) DeleteChangeSet(ctx context.Context, in *cloudformation.DeleteChangeSetInput) (*cloudformation.DeleteChangeSetOutput, error) {
	return &cloudformation.DeleteChangeSetOutput{}, s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		st, cs, err := s.findChangeSet(ctx, tx, in.ChangeSetName, in.StackName)
		if cloud.Code(err) == "ChangeSetNotFound" {
			return nil
		}
		if err != nil {
			return err
		}
		if cs.Execution == executing {
			return cloudformation.NewInvalidChangeSetStatusException("ChangeSet [%s] cannot be deleted in its current execution status of [%s]",
				cs.ID, cs.Execution)
		}
		return dropChangeSet(tx, st, cs)
	})
}

func dropChangeSet(tx kv.Tx, st *cfn.Stack, cs *changeSet) error {
	for _, key := range []kv.Key{changeSetKey(uid(st.ID), cs.Name), changeSetIDKey(uid(cs.ID)), textKey(cs.Source.Template)} {
		if err := tx.Delete(key); err != nil {
			return err
		}
	}
	return nil
}

// dropChangeSets removes the stack's change sets, which another operation has made worthless, but for the one to keep. The change sets
// of a stack that had not been created yet can still be looked at.
func (s *Service) dropChangeSets(tx kv.Tx, st *cfn.Stack, keep string) error {
	all, err := changeSetsOf(tx, st)
	if err != nil {
		return err
	}
	for _, cs := range all {
		if cs.Name == keep {
			continue
		}
		if st.Status == cfn.ReviewInProgress && keep == "" && cs.Status == created {
			cs.Execution = obsolete
			err = put(tx, changeSetKey(uid(st.ID), cs.Name), cs)
		} else {
			err = dropChangeSet(tx, st, cs)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// maxChangeSets bounds the change sets of one stack.
const maxChangeSets = 1000

// prune makes room for one more change set by removing the oldest of those that cannot be executed.
func prune(tx kv.Tx, st *cfn.Stack) error {
	all, err := changeSetsOf(tx, st)
	if err != nil || len(all) < maxChangeSets {
		return err
	}
	var oldest *changeSet
	for _, cs := range all {
		if cs.Execution == unavailable && (oldest == nil || cs.Created.Before(oldest.Created)) {
			oldest = cs
		}
	}
	if oldest == nil {
		return cloudformation.NewLimitExceededException("Stack [%s] has %d change sets, which is the most that croft keeps", st.Name, len(all))
	}
	return dropChangeSet(tx, st, oldest)
}

func changeSetsOf(r kv.Reader, st *cfn.Stack) (out []*changeSet, err error) {
	for e, err := range r.Scan(kv.PrefixRange(changeSetsPrefix(uid(st.ID))), kv.ScanOptions{}) {
		if err != nil {
			return nil, err
		}
		cs := new(changeSet)
		if err := decode(e.Value, cs); err != nil {
			return nil, err
		}
		out = append(out, cs)
	}
	return out, nil
}

// setExecution records how the execution of a change set has ended.
func setExecution(tx kv.Tx, id, execution string) error {
	var at place
	cs := new(changeSet)
	ok, err := get(tx, changeSetIDKey(uid(id)), &at)
	if !ok {
		return err
	}
	key := changeSetKey(at.Stack, at.Name)
	if ok, err = get(tx, key, cs); !ok {
		return err
	}
	cs.Execution = execution
	return put(tx, key, cs)
}
