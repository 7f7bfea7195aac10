package lambda

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"

	"croft/internal/awsapi/iam"
	"croft/internal/cloud"
	"croft/internal/wire"
)

// servicePrincipal is who Lambda is to others.
const servicePrincipal = "lambda.amazonaws.com"

// role checks that the execution role exists and that Lambda may assume it, and returns its ARN.
func (s *Service) role(ctx context.Context, arn string) (string, error) {
	call := cloud.CallOf(ctx)
	a, err := cloud.ParseARN(arn)
	if err != nil {
		return "", invalid("The role defined for the function cannot be assumed by Lambda.")
	}
	a.Account = s.deps.Account(ctx, a.Account, arn)
	if a.Account != call.Account {
		return "", cloud.Errorf("AccessDeniedException", "Cross-account pass role is not allowed.").WithStatus(403)
	}
	name := a.Resource[strings.LastIndex(a.Resource, "/")+1:]
	out, err := iam.NewClient(s.deps.Caller).GetRole(cloud.AsService(ctx, servicePrincipal), &iam.GetRoleInput{RoleName: name})
	if err != nil && cloud.Code(err) != "NoSuchEntity" && cloud.Code(err) != "ValidationError" {
		return "", err
	}
	if err != nil || out.Role.Arn != a.String() || !trusts(wire.Value(out.Role.AssumeRolePolicyDocument)) {
		return "", invalid("The role defined for the function cannot be assumed by Lambda.")
	}
	return out.Role.Arn, nil
}

// trusts reports whether a role's trust policy lets Lambda assume the role. Conditions are not looked at.
func trusts(document string) bool {
	if strings.HasPrefix(document, "%") {
		// IAM answers with documents in the encoding of URLs.
		plain, err := url.QueryUnescape(document)
		if err != nil {
			return false
		}
		document = plain
	}
	var policy struct{ Statement json.RawMessage }
	if err := json.Unmarshal([]byte(document), &policy); err != nil {
		return false
	}
	type statement struct {
		Effect    string
		Principal json.RawMessage
		Action    json.RawMessage
	}
	var statements []statement
	if err := json.Unmarshal(policy.Statement, &statements); err != nil {
		var one statement
		if err := json.Unmarshal(policy.Statement, &one); err != nil {
			return false
		}
		statements = []statement{one}
	}
	for _, st := range statements {
		if st.Effect == "Allow" && names(st.Action, "sts:AssumeRole", "sts:*", "*") && trustsService(st.Principal) {
			return true
		}
	}
	return false
}

func trustsService(principal json.RawMessage) bool {
	var kinds struct{ Service json.RawMessage }
	if json.Unmarshal(principal, &kinds) == nil {
		return names(kinds.Service, servicePrincipal, "*")
	}
	return names(principal, "*")
}

// names reports whether a policy element, one string or a list of them, holds one of the wanted strings.
func names(element json.RawMessage, wanted ...string) bool {
	var list []string
	if json.Unmarshal(element, &list) != nil {
		var one string
		if json.Unmarshal(element, &one) != nil {
			return false
		}
		list = []string{one}
	}
	for _, e := range list {
		for _, w := range wanted {
			if strings.EqualFold(e, w) {
				return true
			}
		}
	}
	return false
}
