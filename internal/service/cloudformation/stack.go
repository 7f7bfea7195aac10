package cloudformation

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"croft/internal/awsapi/cloudformation"
	"croft/internal/cfn"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

// CreateStack starts the creation of a stack.
func (s *Service) CreateStack(ctx context.Context, in *cloudformation.CreateStackInput) (*cloudformation.CreateStackOutput, error) {
	if err := refuseForCreate(in); err != nil {
		return nil, err
	}
	if err := checkName(in.StackName); err != nil {
		return nil, err
	}
	onFailure, err := failurePolicy(wire.Value(in.OnFailure), in.DisableRollback)
	if err != nil {
		return nil, err
	}
	out := &cloudformation.CreateStackOutput{}
	err = s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		st, err := s.find(ctx, tx, in.StackName)
		if err != nil {
			return err
		}
		if st != nil && st.Status != cfn.ReviewInProgress {
			if done, err := repeated(tx, st, in.ClientRequestToken, "create"); err != nil || !done {
				return orElse(err, cloudformation.NewAlreadyExistsException("Stack [%s] already exists", in.StackName))
			}
			out.StackId = &st.ID
			return nil
		}
		if st == nil {
			if st, err = s.newStack(ctx, tx, in.StackName); err != nil {
				return err
			}
		}
		out.StackId = &st.ID
		p, err := s.prepare(ctx, tx, &given{
			body: in.TemplateBody, url: in.TemplateURL, parameters: in.Parameters, tags: in.Tags,
			capabilities: in.Capabilities, resourceTypes: in.ResourceTypes, roleARN: in.RoleARN,
		}, st, nil)
		if err != nil {
			return err
		}
		p.source.DisableRollback, st.Protected = wire.Value(in.DisableRollback), wire.Value(in.EnableTerminationProtection)
		if err := s.dropChangeSets(tx, st, ""); err != nil {
			return err
		}
		return s.startCreate(ctx, tx, st, p, operation{token: in.ClientRequestToken, onFailure: onFailure})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func orElse(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

func refuseForCreate(in *cloudformation.CreateStackInput) error {
	switch {
	case in.TimeoutInMinutes != nil:
		return unsupported("TimeoutInMinutes")
	case in.StackPolicyBody != nil && in.StackPolicyURL != nil:
		return validation("You cannot specify both StackPolicyURL and StackPolicyBody")
	case in.StackPolicyBody != nil:
		return unsupported("StackPolicyBody")
	case in.StackPolicyURL != nil:
		return unsupported("StackPolicyURL")
	}
	return refuseForAll(in.NotificationARNs, in.RollbackConfiguration, in.RetainExceptOnCreate)
}

// refuseForAll refuses what no operation honours.
func refuseForAll(topics []string, rollback *cloudformation.RollbackConfiguration, retainExceptOnCreate *bool) error {
	if len(topics) > 0 {
		return unsupported("NotificationARNs")
	}
	if wire.Value(retainExceptOnCreate) {
		return unsupported("RetainExceptOnCreate")
	}
	if rollback == nil {
		return nil
	}
	for _, t := range rollback.RollbackTriggers {
		if t.Type != "AWS::CloudWatch::Alarm" && t.Type != "AWS::CloudWatch::CompositeAlarm" {
			return validation("Rollback Trigger Type not supported")
		}
		if a, err := cloud.ParseARN(t.Arn); err != nil || !strings.HasPrefix(a.Resource, "alarm:") {
			return validation("RelativeId of a Rollback Trigger's ARN is incorrect")
		}
	}
	if len(rollback.RollbackTriggers) > 0 || wire.Value(rollback.MonitoringTimeInMinutes) > 0 {
		return unsupported("RollbackConfiguration")
	}
	return nil
}

const namePattern = `[a-zA-Z][-a-zA-Z0-9]*`

// checkName checks the name of a stack that is to be created.
func checkName(name string) error {
	const refusal = "1 validation error detected: Value '%s' at 'stackName' failed to satisfy constraint: Member must "
	if len(name) > 128 {
		return validation(refusal+"have length less than or equal to 128", name)
	}
	if ok, err := regexp.MatchString(`\A`+namePattern+`\z`, name); err != nil || !ok {
		return validation(refusal+"satisfy regular expression pattern: %s", name, namePattern)
	}
	return nil
}

// failurePolicy returns what happens when an operation fails. OnFailure and DisableRollback exclude each other.
func failurePolicy(onFailure string, disable *bool) (cfn.OnFailure, error) {
	if onFailure != "" && disable != nil {
		return "", validation("You can specify either OnFailure or DisableRollback, but not both.")
	}
	if wire.Value(disable) {
		return cfn.DoNothing, nil
	}
	return cfn.OnFailure(onFailure), nil
}

// newStack makes a stack that is nothing but a name yet.
func (s *Service) newStack(ctx context.Context, tx kv.Tx, name string) (*cfn.Stack, error) {
	call := cloud.CallOf(ctx)
	id := cloud.NewRequestID()
	st := &cfn.Stack{ID: call.ARN(serviceName, "stack/"+name+"/"+id), Name: name, Created: call.Now.UTC()}
	if err := tx.Put(nameKey(name), []byte(id)); err != nil {
		return nil, err
	}
	return st, tx.Put(createdKey(st.Created, id), nil)
}

// operation is what a caller chose for an operation, apart from what the stack is to become.
type operation struct {
	token     *string
	onFailure cfn.OnFailure
	changeSet string
}

func (o operation) start(ctx context.Context, roleARN string) cfn.Operation {
	return cfn.Operation{
		OnFailure: o.onFailure, Token: wire.Value(o.token), ChangeSetID: o.changeSet,
		Principal: actor(cloud.CallOf(ctx).Principal, roleARN),
	}
}

func (s *Service) startCreate(ctx context.Context, tx kv.Tx, st *cfn.Stack, p *prepared, o operation) error {
	if err := put(tx, textKey(p.source.Template), p.text); err != nil {
		return err
	}
	st.Current = p.source
	if err := remember(tx, st, o.token, "create"); err != nil {
		return err
	}
	if err := s.exec.BeginCreate(ctx, st, o.start(ctx, p.source.RoleARN), p.target, journalOf(tx, st)); err != nil {
		return err
	}
	return s.save(ctx, tx, st)
}

// UpdateStack starts to make a stack of another template or of other parameters.
func (s *Service) UpdateStack(ctx context.Context, in *cloudformation.UpdateStackInput) (*cloudformation.UpdateStackOutput, error) {
	if err := refuseForUpdate(in); err != nil {
		return nil, err
	}
	out := &cloudformation.UpdateStackOutput{}
	err := s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		st, err := s.need(ctx, tx, in.StackName, noStack)
		if err != nil {
			return err
		}
		out.StackId = &st.ID
		if done, err := repeated(tx, st, in.ClientRequestToken, "update"); err != nil || done {
			return err
		}
		if err := st.Updatable(); err != nil {
			return err
		}
		previous := st.Current
		p, err := s.prepare(ctx, tx, &given{
			body: in.TemplateBody, url: in.TemplateURL, usePrevious: wire.Value(in.UsePreviousTemplate), parameters: in.Parameters,
			tags: in.Tags, capabilities: in.Capabilities, resourceTypes: in.ResourceTypes, roleARN: in.RoleARN,
		}, st, &previous)
		if err != nil {
			return err
		}
		if p.plan.Empty() && st.Status != cfn.UpdateFailed && st.Status != cfn.CreateFailed {
			return validation("No updates are to be performed.")
		}
		o := operation{token: in.ClientRequestToken}
		if wire.Value(in.DisableRollback) {
			o.onFailure, p.source.DisableRollback = cfn.DoNothing, true
		}
		return s.startUpdate(ctx, tx, st, p, o)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func refuseForUpdate(in *cloudformation.UpdateStackInput) error {
	for name, given := range map[string]bool{
		"StackPolicyBody": in.StackPolicyBody != nil, "StackPolicyURL": in.StackPolicyURL != nil,
		"StackPolicyDuringUpdateBody": in.StackPolicyDuringUpdateBody != nil,
		"StackPolicyDuringUpdateURL":  in.StackPolicyDuringUpdateURL != nil,
	} {
		if given {
			return unsupported(name)
		}
	}
	return refuseForAll(in.NotificationARNs, in.RollbackConfiguration, in.RetainExceptOnCreate)
}

func (s *Service) startUpdate(ctx context.Context, tx kv.Tx, st *cfn.Stack, p *prepared, o operation) error {
	if err := put(tx, textKey(p.source.Template), p.text); err != nil {
		return err
	}
	if st.Stable != nil {
		// The update before this one failed and was left as it was: nothing goes back to what it wanted.
		if err := tx.Delete(textKey(st.Current.Template)); err != nil {
			return err
		}
	}
	if err := remember(tx, st, o.token, "update"); err != nil {
		return err
	}
	j := journalOf(tx, st)
	if err := s.exec.BeginUpdate(ctx, st, o.start(ctx, p.source.RoleARN), p.source, p.target, j); err != nil {
		return err
	}
	return s.save(ctx, tx, st)
}

// DeleteStack starts the deletion of a stack. A name that no stack has is no error.
func (s *Service) DeleteStack(ctx context.Context, in *cloudformation.DeleteStackInput) (*cloudformation.DeleteStackOutput, error) {
	if wire.Value(in.DeletionMode) == cloudformation.DeletionModeFORCEDELETESTACK {
		return nil, unsupported("DeletionMode FORCE_DELETE_STACK")
	}
	out := &cloudformation.DeleteStackOutput{}
	return out, s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		st, err := s.find(ctx, tx, in.StackName)
		if err != nil || st == nil || st.Status == cfn.DeleteComplete || st.Status == cfn.DeleteInProgress {
			return err
		}
		if done, err := repeated(tx, st, in.ClientRequestToken, "delete"); err != nil || done {
			return err
		}
		if err := deletable(tx, st, in.RetainResources); err != nil {
			return err
		}
		roleARN, err := s.role(ctx, &given{roleARN: in.RoleARN}, &st.Current)
		if err != nil {
			return err
		}
		if err := s.dropChangeSets(tx, st, ""); err != nil {
			return err
		}
		if err := remember(tx, st, in.ClientRequestToken, "delete"); err != nil {
			return err
		}
		op := operation{token: in.ClientRequestToken}.start(ctx, roleARN)
		op.Retain = in.RetainResources
		j := journalOf(tx, st)
		if err := s.exec.BeginDelete(ctx, st, op, j, j); err != nil {
			return err
		}
		return s.save(ctx, tx, st)
	})
}

func deletable(tx kv.Tx, st *cfn.Stack, retain []string) error {
	if err := st.Deletable(); err != nil {
		return err
	}
	if st.Protected {
		return validation("Stack [%s] cannot be deleted while TerminationProtection is enabled", st.Name)
	}
	if len(retain) == 0 {
		return nil
	}
	if st.Status != cfn.DeleteFailed {
		return validation("Invalid operation on stack [%s]. When you delete a stack, specify which resources to retain only when the "+
			"stack is in the DELETE_FAILED state.", st.ID)
	}
	var unknown []string
	for _, id := range retain {
		r, err := record(tx, uid(st.ID), id)
		if err != nil {
			return err
		}
		if r == nil || r.Status != cfn.DeleteFailed {
			unknown = append(unknown, id)
		}
	}
	if len(unknown) > 0 {
		slices.Sort(unknown)
		return validation("The following resource(s) are not in the DELETE_FAILED state and cannot be retained: [%s]", strings.Join(unknown, ", "))
	}
	return nil
}

// repeated reports whether the operation that a token names has been begun before. A token that began another sort is refused.
func repeated(r kv.Reader, st *cfn.Stack, token *string, action string) (bool, error) {
	if token == nil {
		return false, nil
	}
	var began string
	ok, err := get(r, tokenKey(uid(st.ID), *token), &began)
	if !ok {
		return false, err
	}
	if began != action {
		return false, cloudformation.NewTokenAlreadyExistsException("A stack operation with the ClientRequestToken %s already exists", *token)
	}
	return true, nil
}

func remember(tx kv.Tx, st *cfn.Stack, token *string, action string) error {
	if token == nil {
		return nil
	}
	return put(tx, tokenKey(uid(st.ID), *token), action)
}
