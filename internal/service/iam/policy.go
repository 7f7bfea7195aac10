package iam

import (
	"context"
	"maps"
	"slices"
	"strings"

	api "croft/internal/awsapi/iam"
	"croft/internal/cloud"
	"croft/internal/wire"
)

// PutRolePolicy sets an inline policy of a role.
func (s *Service) PutRolePolicy(ctx context.Context, in *api.PutRolePolicyInput) (*api.PutRolePolicyOutput, error) {
	if err := checkDocument(in.PolicyDocument, identityPolicy()); err != nil {
		return nil, err
	}
	err := s.changeRole(ctx, in.RoleName, func(r *role) error {
		if r.Inline == nil {
			r.Inline = map[string]string{}
		}
		r.Inline[in.PolicyName] = in.PolicyDocument
		size := 0
		for _, document := range r.Inline {
			size += documentSize(document)
		}
		if size > maxInlinePolicies {
			return api.NewLimitExceededException("Maximum policy size of %d bytes exceeded for role %s", maxInlinePolicies, r.Name)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &api.PutRolePolicyOutput{}, nil
}

func noSuchPolicy(name string) error {
	return api.NewNoSuchEntityException("The role policy with name %s cannot be found.", name)
}

// GetRolePolicy answers an inline policy of a role.
func (s *Service) GetRolePolicy(ctx context.Context, in *api.GetRolePolicyInput) (*api.GetRolePolicyOutput, error) {
	r, err := s.viewRole(ctx, in.RoleName)
	if err != nil {
		return nil, err
	}
	document, ok := r.Inline[in.PolicyName]
	if !ok {
		return nil, noSuchPolicy(in.PolicyName)
	}
	return &api.GetRolePolicyOutput{RoleName: r.Name, PolicyName: in.PolicyName, PolicyDocument: encodeDocument(document)}, nil
}

// DeleteRolePolicy removes an inline policy of a role.
func (s *Service) DeleteRolePolicy(ctx context.Context, in *api.DeleteRolePolicyInput) (*api.DeleteRolePolicyOutput, error) {
	err := s.changeRole(ctx, in.RoleName, func(r *role) error {
		if _, ok := r.Inline[in.PolicyName]; !ok {
			return noSuchPolicy(in.PolicyName)
		}
		delete(r.Inline, in.PolicyName)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &api.DeleteRolePolicyOutput{}, nil
}

// ListRolePolicies lists the inline policies of a role by name.
func (s *Service) ListRolePolicies(ctx context.Context, in *api.ListRolePoliciesInput) (*api.ListRolePoliciesOutput, error) {
	after, limit, err := page(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	r, err := s.viewRole(ctx, in.RoleName)
	if err != nil {
		return nil, err
	}
	names, next := slicePage(slices.Sorted(maps.Keys(r.Inline)), after, limit)
	if names == nil {
		names = []string{}
	}
	return &api.ListRolePoliciesOutput{PolicyNames: names, IsTruncated: wire.Ptr(next != nil), Marker: next}, nil
}

// managedAccount stands in the place of the account in the ARNs of AWS managed policies.
const managedAccount = "aws"

// checkPolicyARN refuses what is not the ARN of an AWS managed policy. Whether AWS has a policy of that name is not known here;
// customer-managed policies cannot exist.
func checkPolicyARN(text string) error {
	arn, err := cloud.ParseARN(text)
	if err != nil || arn.Service != serviceName {
		return validation("Invalid ARN:  Could not be parsed!")
	}
	if name, isPolicy := strings.CutPrefix(arn.Resource, "policy/"); !isPolicy || name == "" || arn.Account != managedAccount {
		return api.NewNoSuchEntityException("Policy %s does not exist or is not attachable.", text)
	}
	return nil
}

// AttachRolePolicy attaches an AWS managed policy to a role; one that is attached already is no error.
func (s *Service) AttachRolePolicy(ctx context.Context, in *api.AttachRolePolicyInput) (*api.AttachRolePolicyOutput, error) {
	err := s.changeRole(ctx, in.RoleName, func(r *role) error {
		if err := checkPolicyARN(in.PolicyArn); err != nil {
			return err
		}
		if slices.Contains(r.Attached, in.PolicyArn) {
			return nil
		}
		if len(r.Attached) >= maxAttached {
			return api.NewLimitExceededException("Cannot exceed quota for PoliciesPerRole: %d", maxAttached)
		}
		r.Attached = append(r.Attached, in.PolicyArn)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &api.AttachRolePolicyOutput{}, nil
}

// DetachRolePolicy takes a managed policy off a role.
func (s *Service) DetachRolePolicy(ctx context.Context, in *api.DetachRolePolicyInput) (*api.DetachRolePolicyOutput, error) {
	err := s.changeRole(ctx, in.RoleName, func(r *role) error {
		i := slices.Index(r.Attached, in.PolicyArn)
		if i < 0 {
			return api.NewNoSuchEntityException("Policy %s was not found.", in.PolicyArn)
		}
		r.Attached = slices.Delete(r.Attached, i, i+1)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &api.DetachRolePolicyOutput{}, nil
}

// ListAttachedRolePolicies lists the managed policies of a role by ARN.
func (s *Service) ListAttachedRolePolicies(
	ctx context.Context, in *api.ListAttachedRolePoliciesInput,
) (*api.ListAttachedRolePoliciesOutput, error) {
	after, limit, err := page(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	r, err := s.viewRole(ctx, in.RoleName)
	if err != nil {
		return nil, err
	}
	arns := slices.DeleteFunc(slices.Sorted(slices.Values(r.Attached)), func(arn string) bool {
		path, _ := splitPolicy(arn)
		return !strings.HasPrefix(path, wire.Value(in.PathPrefix))
	})
	arns, next := slicePage(arns, after, limit)
	out := &api.ListAttachedRolePoliciesOutput{
		AttachedPolicies: []api.AttachedPolicy{}, IsTruncated: wire.Ptr(next != nil), Marker: next,
	}
	for _, arn := range arns {
		_, name := splitPolicy(arn)
		out.AttachedPolicies = append(out.AttachedPolicies, api.AttachedPolicy{PolicyName: wire.Ptr(name), PolicyArn: wire.Ptr(arn)})
	}
	return out, nil
}

// splitPolicy returns the path and the name in a policy's ARN.
func splitPolicy(arn string) (path, name string) {
	_, resource, _ := strings.Cut(arn, ":policy")
	i := strings.LastIndexByte(resource, '/')
	return resource[:i+1], resource[i+1:]
}
