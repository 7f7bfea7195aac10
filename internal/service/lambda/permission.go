package lambda

import (
	"context"
	"slices"
	"strconv"

	"croft/internal/awsapi/lambda"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

// maxPolicy bounds a resource policy, in bytes. Source: Lambda quotas.
const maxPolicy = 20480

// policyQualifier is the qualifier under which the policy lies that governs a call: $LATEST shares the function's own.
func (r reference) policyQualifier() string {
	if r.qualifier == latest {
		return ""
	}
	return r.qualifier
}

// governed is a function, version or alias with its resource policy.
type governed struct {
	*resolved
	policy []statement
}

// loadGoverned returns what a request about permissions is about. none is the error for a function that is not there.
func loadGoverned(r kv.Reader, ref reference, none error) (*governed, error) {
	f, err := loadFunction(r, ref.name)
	if err != nil {
		return nil, err
	}
	if f == nil {
		return nil, none
	}
	t, err := resolve(r, ref)
	if cloud.Code(err) == "ResourceNotFoundException" && isAlias(ref.qualifier) {
		return nil, notFound("Cannot find alias arn: %s", ref.qualified())
	}
	if err != nil {
		return nil, err
	}
	policy, err := loadPolicy(r, ref.name, ref.qualifier)
	return &governed{t, policy}, err
}

// revision returns the revision that covers the policy.
func (g *governed) revision() string {
	if g.alias != nil {
		return g.alias.Revision
	}
	return g.fn.Revision
}

// save stores the policy. The revision of what it belongs to covers it.
func (g *governed) save(ctx context.Context, tx kv.Tx) error {
	if err := storePolicy(tx, g.ref.name, g.ref.qualifier, g.policy); err != nil {
		return err
	}
	if g.alias != nil {
		return storeAlias(tx, g.ref.name, g.alias)
	}
	g.fn.changed(cloud.CallOf(ctx).Now, false)
	return storeFunction(tx, g.fn)
}

// AddPermission implements the operation.
func (s *Service) AddPermission(ctx context.Context, in *lambda.AddPermissionInput) (*lambda.AddPermissionOutput, error) {
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
		g, err := loadGoverned(tx, ref, notFound("Function not found: %s", ref.arn()))
		if err != nil {
			return err
		}
		if ref.qualifier == latest {
			return invalid("We currently do not support adding policies for $LATEST.")
		}
		if in.RevisionId != nil && *in.RevisionId != g.revision() {
			return errPolicyRevision()
		}
		if slices.ContainsFunc(g.policy, func(old statement) bool { return old.Sid == st.Sid }) {
			return conflict("The statement id (%s) provided already exists. Please provide a new statement id, or remove the existing statement.", st.Sid)
		}
		g.policy = append(g.policy, st)
		whole, err := text(newDocument(g.policy))
		if err != nil {
			return err
		}
		if len(whole) > maxPolicy {
			return user(lambda.NewPolicyLengthExceededException("The final policy size (%d) is bigger than the limit (%d).", len(whole), maxPolicy))
		}
		return g.save(ctx, tx)
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
	if equals == (stringConditions{}) && in.SourceArn == nil && in.InvokedViaFunctionUrl == nil {
		return st, nil
	}
	st.Condition = new(condition)
	if equals != (stringConditions{}) {
		st.Condition.StringEquals = &equals
	}
	if in.InvokedViaFunctionUrl != nil {
		st.Condition.Bool = &boolConditions{strconv.FormatBool(*in.InvokedViaFunctionUrl)}
	}
	if in.SourceArn != nil {
		st.Condition.ArnLike = &arnConditions{s.longARN(ctx, *in.SourceArn)}
	}
	return st, nil
}

// RemovePermission implements the operation.
func (s *Service) RemovePermission(ctx context.Context, in *lambda.RemovePermissionInput) (*lambda.RemovePermissionOutput, error) {
	ref, err := s.find(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	err = s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		g, err := loadGoverned(tx, ref, notFound("No policy found for: %s", ref.arn()))
		if err != nil {
			return err
		}
		if g.policy == nil {
			return notFound("No policy is associated with the given resource.")
		}
		i := slices.IndexFunc(g.policy, func(st statement) bool { return st.Sid == in.StatementId })
		if i < 0 {
			return notFound("Statement %s is not found in resource policy.", in.StatementId)
		}
		if in.RevisionId != nil && *in.RevisionId != g.revision() {
			return errPolicyRevision()
		}
		g.policy = slices.Delete(g.policy, i, i+1)
		return g.save(ctx, tx)
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
		none := notFound("The resource you requested does not exist.")
		g, err := loadGoverned(r, ref, none)
		if cloud.Code(err) == none.Code || err == nil && len(g.policy) == 0 {
			return none
		}
		if err != nil {
			return err
		}
		out.RevisionId = wire.Ptr(g.revision())
		whole, err := text(newDocument(g.policy))
		out.Policy = &whole
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
