package iam

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	api "croft/internal/awsapi/iam"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

// Quotas of roles. Source: IAM User Guide, "IAM and AWS STS quotas".
const (
	maxTrustPolicy    = 2048
	maxInlinePolicies = 10240
	maxAttached       = 10
	maxTags           = 50
	defaultSession    = 3600
)

// role is a role as it is stored.
type role struct {
	Name        string    `json:"name"`
	Path        string    `json:"path"`
	ID          string    `json:"id"`
	Created     time.Time `json:"created"`
	Trust       string    `json:"trust"`
	Description string    `json:"description,omitempty"`
	// MaxSession is in seconds.
	MaxSession int32 `json:"maxSession"`
	// Inline are the inline policies' documents by name.
	Inline map[string]string `json:"inline,omitempty"`
	// Attached are the ARNs of managed policies in the order of attachment.
	Attached []string  `json:"attached,omitempty"`
	Tags     []api.Tag `json:"tags,omitempty"`
}

func (r *role) arn(account string) string {
	return cloud.ARN{Partition: cloud.Partition, Service: serviceName, Account: account, Resource: "role" + r.Path + r.Name}.String()
}

// describe returns what all operations answer of a role.
func (r *role) describe(account string) api.Role {
	out := api.Role{
		Path: r.Path, RoleName: r.Name, RoleId: r.ID, Arn: r.arn(account), CreateDate: r.Created,
		AssumeRolePolicyDocument: wire.Ptr(encodeDocument(r.Trust)),
	}
	if r.Description != "" {
		out.Description = wire.Ptr(r.Description)
	}
	return out
}

// readRole returns the role called name.
func readRole(reader kv.Reader, name string) (*role, error) {
	stored, err := reader.Get(roleKey(name))
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		return nil, err
	}
	r := new(role)
	if err == nil {
		if err := json.Unmarshal(stored, r); err != nil {
			return nil, fmt.Errorf("iam: role %s is damaged: %w", name, err)
		}
	}
	if r.Name != name {
		return nil, api.NewNoSuchEntityException("The role with name %s cannot be found.", name)
	}
	return r, nil
}

func writeRole(tx kv.Tx, r *role) error {
	stored, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("iam: role %s: %w", r.Name, err)
	}
	return tx.Put(roleKey(r.Name), stored)
}

// viewRole reads one role.
func (s *Service) viewRole(ctx context.Context, name string) (r *role, err error) {
	err = s.space(ctx).View(ctx, func(_ context.Context, reader kv.Reader) error {
		r, err = readRole(reader, name)
		return err
	})
	return r, err
}

// changeRole changes one role in a transaction.
func (s *Service) changeRole(ctx context.Context, name string, change func(*role) error) error {
	return s.space(ctx).Update(ctx, func(_ context.Context, tx kv.Tx) error {
		r, err := readRole(tx, name)
		if err != nil {
			return err
		}
		if err := change(r); err != nil {
			return err
		}
		return writeRole(tx, r)
	})
}

// CreateRole makes a role.
func (s *Service) CreateRole(ctx context.Context, in *api.CreateRoleInput) (*api.CreateRoleOutput, error) {
	if in.PermissionsBoundary != nil {
		return nil, notImplemented("CreateRole", "PermissionsBoundary")
	}
	if err := checkTrust(in.AssumeRolePolicyDocument); err != nil {
		return nil, err
	}
	tags, err := mergeTags(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	call := cloud.CallOf(ctx)
	r := &role{
		Name: in.RoleName, Path: "/", ID: "AROA" + cloud.RandomString(17, cloud.UpperAlnum), Created: call.Now.UTC().Truncate(time.Second),
		Trust: in.AssumeRolePolicyDocument, Description: wire.Value(in.Description), MaxSession: defaultSession, Tags: tags,
	}
	if in.Path != nil {
		r.Path = *in.Path
	}
	if in.MaxSessionDuration != nil {
		r.MaxSession = *in.MaxSessionDuration
	}
	err = s.space(ctx).Update(ctx, func(_ context.Context, tx kv.Tx) error {
		switch _, err := tx.Get(roleKey(r.Name)); {
		case err == nil:
			return api.NewEntityAlreadyExistsException("Role with name %s already exists.", r.Name)
		case !errors.Is(err, kv.ErrNotFound):
			return err
		}
		return writeRole(tx, r)
	})
	if err != nil {
		return nil, err
	}
	out := r.describe(call.Account)
	out.Tags, out.MaxSessionDuration = r.Tags, in.MaxSessionDuration
	return &api.CreateRoleOutput{Role: &out}, nil
}

func notImplemented(operation, parameter string) error {
	return cloud.Errorf("NotImplemented", "croft does not implement the parameter %s of iam:%s.", parameter, operation).WithStatus(501)
}

func checkTrust(document string) error {
	if err := checkDocument(document, trustPolicy()); err != nil {
		return err
	}
	if documentSize(document) > maxTrustPolicy {
		return api.NewLimitExceededException("Cannot exceed quota for ACLSizePerRole: %d", maxTrustPolicy)
	}
	return nil
}

// GetRole describes a role.
func (s *Service) GetRole(ctx context.Context, in *api.GetRoleInput) (*api.GetRoleOutput, error) {
	r, err := s.viewRole(ctx, in.RoleName)
	if err != nil {
		return nil, err
	}
	out := r.describe(cloud.CallOf(ctx).Account)
	out.MaxSessionDuration, out.Tags, out.RoleLastUsed = wire.Ptr(r.MaxSession), r.Tags, &api.RoleLastUsed{}
	return &api.GetRoleOutput{Role: &out}, nil
}

// ListRoles lists roles in the order of their names.
func (s *Service) ListRoles(ctx context.Context, in *api.ListRolesInput) (*api.ListRolesOutput, error) {
	after, limit, err := page(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &api.ListRolesOutput{Roles: []api.Role{}, IsTruncated: wire.Ptr(false)}
	last := ""
	err = s.space(ctx).View(ctx, func(ctx context.Context, reader kv.Reader) error {
		for e, err := range reader.Scan(roleRange(after), kv.ScanOptions{}) {
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return err
			}
			r := new(role)
			if err := json.Unmarshal(e.Value, r); err != nil {
				return fmt.Errorf("iam: a role is damaged: %w", err)
			}
			if !strings.HasPrefix(r.Path, wire.Value(in.PathPrefix)) {
				continue
			}
			if len(out.Roles) == limit {
				out.IsTruncated, out.Marker = wire.Ptr(true), marker(last)
				return nil
			}
			d := r.describe(cloud.CallOf(ctx).Account)
			d.MaxSessionDuration = wire.Ptr(r.MaxSession)
			out.Roles, last = append(out.Roles, d), r.Name
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// DeleteRole deletes a role that has no policies any more.
func (s *Service) DeleteRole(ctx context.Context, in *api.DeleteRoleInput) (*api.DeleteRoleOutput, error) {
	err := s.space(ctx).Update(ctx, func(_ context.Context, tx kv.Tx) error {
		r, err := readRole(tx, in.RoleName)
		switch {
		case err != nil:
			return err
		case len(r.Attached) > 0:
			return api.NewDeleteConflictException("Cannot delete entity, must detach all policies first.")
		case len(r.Inline) > 0:
			return api.NewDeleteConflictException("Cannot delete entity, must delete policies first.")
		}
		return tx.Delete(roleKey(r.Name))
	})
	if err != nil {
		return nil, err
	}
	return &api.DeleteRoleOutput{}, nil
}

// UpdateAssumeRolePolicy replaces a role's trust policy.
func (s *Service) UpdateAssumeRolePolicy(
	ctx context.Context, in *api.UpdateAssumeRolePolicyInput,
) (*api.UpdateAssumeRolePolicyOutput, error) {
	if err := checkTrust(in.PolicyDocument); err != nil {
		return nil, err
	}
	err := s.changeRole(ctx, in.RoleName, func(r *role) error {
		r.Trust = in.PolicyDocument
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &api.UpdateAssumeRolePolicyOutput{}, nil
}
