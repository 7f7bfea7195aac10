package sts

import (
	"context"
	"net/url"
	"strings"
	"time"

	"croft/internal/awsapi/iam"
	api "croft/internal/awsapi/sts"
	"croft/internal/cloud"
	"croft/internal/identity"
	"croft/internal/wire"
)

// Lifetimes of sessions in seconds. Source: API reference, AssumeRole.
const (
	defaultSession = 3600
	maxChained     = 3600
)

// AssumeRole issues temporary credentials of a role.
func (s *Service) AssumeRole(ctx context.Context, in *api.AssumeRoleInput) (*api.AssumeRoleOutput, error) {
	arn, err := s.roleARN(ctx, in.RoleArn)
	if err != nil {
		return nil, err
	}
	if err := refuse(in); err != nil {
		return nil, err
	}
	role, err := s.role(ctx, arn)
	if err != nil {
		return nil, err
	}
	if err := s.checkTrust(ctx, role, wire.Value(in.ExternalId)); err != nil {
		return nil, err
	}
	lifetime, err := sessionLength(ctx, in.DurationSeconds, role)
	if err != nil {
		return nil, err
	}
	user := api.AssumedRoleUser{
		AssumedRoleId: role.RoleId + ":" + in.RoleSessionName,
		Arn: cloud.ARN{
			Partition: cloud.Partition, Service: "sts", Account: arn.Account,
			Resource: "assumed-role/" + role.RoleName + "/" + in.RoleSessionName,
		}.String(),
	}
	c, err := s.keys.Issue(identity.Session{Account: arn.Account, ARN: user.Arn, UserID: user.AssumedRoleId}, lifetime)
	if err != nil {
		return nil, err
	}
	return &api.AssumeRoleOutput{
		AssumedRoleUser: &user,
		Credentials: &api.Credentials{
			AccessKeyId: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken, Expiration: c.Expires,
		},
	}, nil
}

func validation(format string, args ...any) error {
	return cloud.Errorf("ValidationError", format, args...)
}

// roleARN reads the ARN of a role.
func (s *Service) roleARN(ctx context.Context, text string) (cloud.ARN, error) {
	arn, err := cloud.ParseARN(text)
	if err != nil || arn.Service == "" {
		return cloud.ARN{}, validation("%s is invalid", text)
	}
	if arn.Service != "iam" || !strings.HasPrefix(arn.Resource, "role/") {
		return cloud.ARN{}, denied(ctx, text)
	}
	arn.Account = s.deps.Account(ctx, arn.Account, text)
	return arn, nil
}

// denied is the answer to all who may not assume a role, whether it exists or not.
func denied(ctx context.Context, role string) error {
	return cloud.Errorf("AccessDenied", "User: %s is not authorized to perform: sts:AssumeRole on resource: %s",
		cloud.CallOf(ctx).Principal.ARN, role).WithStatus(403)
}

// refuse names the first parameter that is given and not implemented.
func refuse(in *api.AssumeRoleInput) error {
	for _, p := range []struct {
		name  string
		given bool
	}{
		{"Policy", in.Policy != nil}, {"PolicyArns", in.PolicyArns != nil}, {"Tags", in.Tags != nil},
		{"TransitiveTagKeys", in.TransitiveTagKeys != nil}, {"SerialNumber", in.SerialNumber != nil},
		{"TokenCode", in.TokenCode != nil}, {"SourceIdentity", in.SourceIdentity != nil},
		{"ProvidedContexts", in.ProvidedContexts != nil},
	} {
		if p.given {
			return cloud.Errorf("NotImplemented", "croft does not implement the parameter %s of sts:AssumeRole.", p.name).WithStatus(501)
		}
	}
	return nil
}

// role returns the role that arn names.
func (s *Service) role(ctx context.Context, arn cloud.ARN) (*iam.Role, error) {
	name := arn.Resource[strings.LastIndexByte(arn.Resource, '/')+1:]
	in := cloud.AsService(cloud.In(ctx, arn.Account, cloud.CallOf(ctx).Region), "sts.amazonaws.com")
	out, err := s.roles.GetRole(in, &iam.GetRoleInput{RoleName: name})
	switch code := cloud.Code(err); {
	case code == "NoSuchEntity" || code == "ValidationError" || err == nil && out.Role.Arn != arn.String():
		return nil, denied(ctx, arn.String())
	case err != nil:
		return nil, err
	}
	return out.Role, nil
}

// checkTrust asks the role's trust policy whether the caller may assume it.
func (s *Service) checkTrust(ctx context.Context, role *iam.Role, externalID string) error {
	document, err := url.PathUnescape(wire.Value(role.AssumeRolePolicyDocument))
	if err != nil {
		return err
	}
	verdict, condition, err := decide([]byte(document), cloud.CallOf(ctx).Principal, externalID)
	switch {
	case err != nil:
		return err
	case verdict == granted:
		return nil
	case verdict == unknown:
		return cloud.Errorf("NotImplemented", "croft does not evaluate the condition %s, on which the trust policy of %s depends.",
			condition, role.Arn).WithStatus(501)
	default:
		return denied(ctx, role.Arn)
	}
}

func sessionLength(ctx context.Context, asked *int32, role *iam.Role) (time.Duration, error) {
	seconds, longest := int32(defaultSession), wire.Value(role.MaxSessionDuration)
	if asked != nil {
		seconds = *asked
	}
	if seconds > longest {
		return 0, validation("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	}
	if cloud.CallOf(ctx).Principal.Kind == cloud.AssumedRole && seconds > maxChained {
		return 0, validation("The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.")
	}
	return time.Duration(seconds) * time.Second, nil
}
