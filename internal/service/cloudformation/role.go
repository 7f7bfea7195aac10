package cloudformation

import (
	"context"
	"strings"

	"croft/internal/awsapi/iam"
	"croft/internal/cfn"
	"croft/internal/cloud"
)

// role returns the role that the stack's operations assume: the one given, or else the one it has.
func (s *Service) role(ctx context.Context, g *given, previous *cfn.Source) (string, error) {
	if g.roleARN == nil {
		if previous == nil {
			return "", nil
		}
		return previous.RoleARN, nil
	}
	name, ok := roleName(*g.roleARN)
	if !ok {
		return "", validation("Role %s is invalid or cannot be assumed", *g.roleARN)
	}
	_, err := iam.NewClient(s.deps.Caller).GetRole(cloud.AsService(ctx, principal), &iam.GetRoleInput{RoleName: name})
	if cloud.Code(err) == "NoSuchEntity" {
		return "", validation("Role %s is invalid or cannot be assumed", *g.roleARN)
	}
	return *g.roleARN, err
}

func roleName(arn string) (string, bool) {
	a, err := cloud.ParseARN(arn)
	if err != nil || a.Service != "iam" || !strings.HasPrefix(a.Resource, "role/") {
		return "", false
	}
	return uid(a.Resource), true
}

// actor returns the principal in whose name an operation acts: the stack's role, or else the caller.
func actor(caller cloud.Principal, roleARN string) cloud.Principal {
	name, ok := roleName(roleARN)
	if !ok {
		return caller
	}
	return cloud.Principal{
		Kind: cloud.AssumedRole, Account: caller.Account, UserID: name + ":AWSCloudFormation",
		ARN: "arn:" + cloud.Partition + ":sts::" + caller.Account + ":assumed-role/" + name + "/AWSCloudFormation",
	}
}
