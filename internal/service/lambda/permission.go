package lambda

import (
	"context"
	"slices"

	"croft/internal/awsapi/lambda"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

// maxPolicy bounds a resource policy, in bytes. Source: Lambda quotas.
const maxPolicy = 20480

// policyTarget checks that a permission's function and qualifier can have a policy of their own here: the unqualified function.
func (r reference) policyTarget() error {
	switch {
	case r.qualifier == "":
		return nil
	case r.qualifier == latest:
		return invalid("We currently do not support adding policies for $LATEST.")
	case isAlias(r.qualifier):
		return notFound("Cannot find alias arn: %s", r.qualified())
	}
	return notFound("Function not found: %s", r.qualified())
}

// AddPermission implements the operation.
func (s *Service) AddPermission(ctx context.Context, in *lambda.AddPermissionInput) (*lambda.AddPermissionOutput, error) {
	if in.InvokedViaFunctionUrl != nil {
		return nil, refused("InvokedViaFunctionUrl", "functions have no URLs")
	}
	ref, err := s.find(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	st, err := s.newStatement(ctx, ref, in)
	if err != nil {
		return nil, err
	}
	answer, err := text(st)
	if err != nil {
		return nil, err
	}
	err = s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		f, policy, err := loadWithPolicy(tx, ref)
		if err != nil {
			return err
		}
		if f == nil {
			return notFound("Function not found: %s", ref.arn())
		}
		if err := ref.policyTarget(); err != nil {
			return err
		}
		if in.RevisionId != nil && *in.RevisionId != f.Revision {
			return errPolicyRevision()
		}
		if slices.ContainsFunc(policy, func(old statement) bool { return old.Sid == st.Sid }) {
			return conflict("The statement id (%s) provided already exists. Please provide a new statement id, or remove the existing statement.", st.Sid)
		}
		policy = append(policy, st)
		whole, err := text(newDocument(policy))
		if err != nil {
			return err
		}
		if len(whole) > maxPolicy {
			return user(lambda.NewPolicyLengthExceededException("The final policy size (%d) is bigger than the limit (%d).", len(whole), maxPolicy))
		}
		return savePolicy(ctx, tx, f, policy)
	})
	if err != nil {
		return nil, err
	}
	return &lambda.AddPermissionOutput{Statement: &answer}, nil
}

func (s *Service) newStatement(ctx context.Context, ref reference, in *lambda.AddPermissionInput) (statement, error) {
	who, err := principal(in.Principal)
	if err != nil {
		return statement{}, err
	}
	st := statement{Sid: in.StatementId, Effect: "Allow", Principal: who, Action: in.Action, Resource: ref.qualified()}
	equals := stringConditions{
		wire.Value(in.SourceAccount), wire.Value(in.FunctionUrlAuthType), wire.Value(in.PrincipalOrgID), wire.Value(in.EventSourceToken),
	}
	if equals == (stringConditions{}) && in.SourceArn == nil {
		return st, nil
	}
	st.Condition = new(condition)
	if equals != (stringConditions{}) {
		st.Condition.StringEquals = &equals
	}
	if in.SourceArn != nil {
		st.Condition.ArnLike = &arnConditions{s.longARN(ctx, *in.SourceArn)}
	}
	return st, nil
}

func loadWithPolicy(r kv.Reader, ref reference) (*function, []statement, error) {
	f, err := loadFunction(r, ref.name)
	if err != nil || f == nil {
		return nil, nil, err
	}
	policy, err := loadPolicy(r, ref.name)
	return f, policy, err
}

// savePolicy stores a policy. The function's revision covers it.
func savePolicy(ctx context.Context, tx kv.Tx, f *function, policy []statement) error {
	f.changed(cloud.CallOf(ctx).Now, false)
	if err := storeFunction(tx, f); err != nil {
		return err
	}
	return storePolicy(tx, f.Name, policy)
}

// RemovePermission implements the operation.
func (s *Service) RemovePermission(ctx context.Context, in *lambda.RemovePermissionInput) (*lambda.RemovePermissionOutput, error) {
	ref, err := s.find(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	err = s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		f, policy, err := loadWithPolicy(tx, ref)
		if err != nil {
			return err
		}
		if f == nil {
			return notFound("No policy found for: %s", ref.arn())
		}
		if ref.qualifier != latest {
			if err := ref.policyTarget(); err != nil {
				return err
			}
		}
		if policy == nil || ref.qualifier != "" {
			return notFound("No policy is associated with the given resource.")
		}
		i := slices.IndexFunc(policy, func(st statement) bool { return st.Sid == in.StatementId })
		if i < 0 {
			return notFound("Statement %s is not found in resource policy.", in.StatementId)
		}
		if in.RevisionId != nil && *in.RevisionId != f.Revision {
			return errPolicyRevision()
		}
		return savePolicy(ctx, tx, f, slices.Delete(policy, i, i+1))
	})
	if err != nil {
		return nil, err
	}
	return &lambda.RemovePermissionOutput{}, nil
}

// GetPolicy implements the operation.
func (s *Service) GetPolicy(ctx context.Context, in *lambda.GetPolicyInput) (*lambda.GetPolicyOutput, error) {
	ref, err := s.find(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	out := new(lambda.GetPolicyOutput)
	err = s.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) error {
		f, policy, err := loadWithPolicy(r, ref)
		if err != nil {
			return err
		}
		if len(policy) == 0 || ref.qualifier != "" {
			return notFound("The resource you requested does not exist.")
		}
		out.RevisionId = &f.Revision
		whole, err := text(newDocument(policy))
		out.Policy = &whole
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
