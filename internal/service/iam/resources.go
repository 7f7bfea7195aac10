package iam

import (
	"context"
	"maps"
	"slices"

	api "croft/internal/awsapi/iam"
	"croft/internal/cfn"
	"croft/internal/cloud"
	"croft/internal/wire"
)

// roleResource are the properties of AWS::IAM::Role.
type roleResource struct {
	RoleName                 string           `cfn:"RoleName,replace"`
	Path                     *string          `cfn:"Path,replace"`
	AssumeRolePolicyDocument cfn.JSON         `cfn:"AssumeRolePolicyDocument,required"`
	Description              *string          `cfn:"Description"`
	MaxSessionDuration       *int32           `cfn:"MaxSessionDuration"`
	ManagedPolicyArns        []string         `cfn:"ManagedPolicyArns"`
	Policies                 []policyProperty `cfn:"Policies"`
	Tags                     []cfn.Tag        `cfn:"Tags"`
}

type policyProperty struct {
	PolicyName     string   `cfn:"PolicyName,required"`
	PolicyDocument cfn.JSON `cfn:"PolicyDocument,required"`
}

// policyResource are the properties of AWS::IAM::Policy: one inline policy on several roles.
type policyResource struct {
	PolicyName     string   `cfn:"PolicyName,required"`
	PolicyDocument cfn.JSON `cfn:"PolicyDocument,required"`
	Roles          []string `cfn:"Roles,required"`
}

func (s *Service) resources() []cfn.ResourceType {
	return []cfn.ResourceType{
		cfn.Resource("AWS::IAM::Role", cfn.Spec[roleResource]{
			Create: s.createRoleResource, Update: s.updateRoleResource, Delete: s.deleteRoleResource,
		}),
		cfn.Resource("AWS::IAM::Policy", cfn.Spec[policyResource]{
			Create: s.createPolicyResource, Update: s.updatePolicyResource, Delete: s.deletePolicyResource,
		}),
	}
}

func (s *Service) client() api.Client { return api.NewClient(s.deps.Caller) }

// tags returns the tags of the stack and of the resource as the API has them.
func tags(r *cfn.Request, given []cfn.Tag) (out []api.Tag) {
	m := cfn.TagMap(r.Tags, given)
	for _, key := range slices.Sorted(maps.Keys(m)) {
		out = append(out, api.Tag{Key: key, Value: m[key]})
	}
	return out
}

func (s *Service) createRoleResource(ctx context.Context, r *cfn.Request, p *roleResource) (*cfn.Result, error) {
	name := p.RoleName
	if name == "" {
		name = r.GeneratedName
	}
	out, err := s.client().CreateRole(ctx, &api.CreateRoleInput{
		RoleName: name, Path: p.Path, AssumeRolePolicyDocument: string(p.AssumeRolePolicyDocument),
		Description: p.Description, MaxSessionDuration: p.MaxSessionDuration, Tags: tags(r, p.Tags),
	})
	if err != nil {
		return nil, err
	}
	if err := s.setPolicies(ctx, name, &roleResource{}, p); err != nil {
		return nil, err
	}
	return roleResult(out.Role), nil
}

func roleResult(r *api.Role) *cfn.Result {
	return &cfn.Result{PhysicalID: r.RoleName, Attributes: map[string]any{"Arn": r.Arn, "RoleId": r.RoleId}}
}

// setPolicies brings a role's policies from those of old to those of p. What others have given the role stays.
func (s *Service) setPolicies(ctx context.Context, role string, old, p *roleResource) error {
	c := s.client()
	for _, arn := range old.ManagedPolicyArns {
		if slices.Contains(p.ManagedPolicyArns, arn) {
			continue
		}
		_, err := c.DetachRolePolicy(ctx, &api.DetachRolePolicyInput{RoleName: role, PolicyArn: arn})
		if err := unlessGone(err); err != nil {
			return err
		}
	}
	for _, arn := range p.ManagedPolicyArns {
		if _, err := c.AttachRolePolicy(ctx, &api.AttachRolePolicyInput{RoleName: role, PolicyArn: arn}); err != nil {
			return err
		}
	}
	for _, policy := range old.Policies {
		if slices.ContainsFunc(p.Policies, func(q policyProperty) bool { return q.PolicyName == policy.PolicyName }) {
			continue
		}
		_, err := c.DeleteRolePolicy(ctx, &api.DeleteRolePolicyInput{RoleName: role, PolicyName: policy.PolicyName})
		if err := unlessGone(err); err != nil {
			return err
		}
	}
	for _, policy := range p.Policies {
		_, err := c.PutRolePolicy(ctx, &api.PutRolePolicyInput{
			RoleName: role, PolicyName: policy.PolicyName, PolicyDocument: string(policy.PolicyDocument),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// unlessGone returns err unless it says that what is to be removed is not there.
func unlessGone(err error) error {
	if cloud.Code(err) == "NoSuchEntity" {
		return nil
	}
	return err
}

func (s *Service) updateRoleResource(ctx context.Context, r *cfn.Request, old, p *roleResource) (*cfn.Result, error) {
	_, err := s.client().UpdateAssumeRolePolicy(ctx, &api.UpdateAssumeRolePolicyInput{
		RoleName: r.PhysicalID, PolicyDocument: string(p.AssumeRolePolicyDocument),
	})
	if err != nil {
		return nil, err
	}
	session := int32(defaultSession)
	if p.MaxSessionDuration != nil {
		session = *p.MaxSessionDuration
	}
	const shortest, longest = 3600, 43200
	if session < shortest || session > longest {
		return nil, validation("MaxSessionDuration must be from %d to %d seconds", shortest, longest)
	}
	err = s.changeRole(ctx, r.PhysicalID, func(stored *role) (err error) {
		stored.Description, stored.MaxSession = wire.Value(p.Description), session
		stored.Tags, err = mergeTags(nil, tags(r, p.Tags))
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := s.setPolicies(ctx, r.PhysicalID, old, p); err != nil {
		return nil, err
	}
	out, err := s.client().GetRole(ctx, &api.GetRoleInput{RoleName: r.PhysicalID})
	if err != nil {
		return nil, err
	}
	return roleResult(out.Role), nil
}

func (s *Service) deleteRoleResource(ctx context.Context, r *cfn.Request, p *roleResource) error {
	if err := unlessGone(s.setPolicies(ctx, r.PhysicalID, p, &roleResource{})); err != nil {
		return err
	}
	_, err := s.client().DeleteRole(ctx, &api.DeleteRoleInput{RoleName: r.PhysicalID})
	return unlessGone(err)
}

func (s *Service) createPolicyResource(ctx context.Context, r *cfn.Request, p *policyResource) (*cfn.Result, error) {
	return s.putPolicyResource(ctx, r.GeneratedName, p)
}

// putPolicyResource sets the policy on its roles. Its physical id names nothing in IAM.
func (s *Service) putPolicyResource(ctx context.Context, id string, p *policyResource) (*cfn.Result, error) {
	for _, role := range p.Roles {
		_, err := s.client().PutRolePolicy(ctx, &api.PutRolePolicyInput{
			RoleName: role, PolicyName: p.PolicyName, PolicyDocument: string(p.PolicyDocument),
		})
		if err != nil {
			return nil, err
		}
	}
	return &cfn.Result{PhysicalID: id, Attributes: map[string]any{"Id": id}}, nil
}

func (s *Service) updatePolicyResource(ctx context.Context, r *cfn.Request, old, p *policyResource) (*cfn.Result, error) {
	for _, role := range old.Roles {
		if old.PolicyName == p.PolicyName && slices.Contains(p.Roles, role) {
			continue
		}
		_, err := s.client().DeleteRolePolicy(ctx, &api.DeleteRolePolicyInput{RoleName: role, PolicyName: old.PolicyName})
		if err := unlessGone(err); err != nil {
			return nil, err
		}
	}
	return s.putPolicyResource(ctx, r.PhysicalID, p)
}

func (s *Service) deletePolicyResource(ctx context.Context, _ *cfn.Request, p *policyResource) error {
	for _, role := range p.Roles {
		_, err := s.client().DeleteRolePolicy(ctx, &api.DeleteRolePolicyInput{RoleName: role, PolicyName: p.PolicyName})
		if err := unlessGone(err); err != nil {
			return err
		}
	}
	return nil
}
