package lambda

import (
	"encoding/json"
	"strings"

	"croft/internal/awsapi/lambda"
	"croft/internal/cloud"
)

// The actions that a function URL's caller needs. Source: Lambda Developer Guide, "Control access to Lambda function URLs": since October 2025 both.
const (
	actionInvoke    = "lambda:InvokeFunction"
	actionInvokeURL = "lambda:InvokeFunctionUrl"
)

// urlAllows reports whether the policy of a function or alias, which account owns, lets somebody call its URL. who is nil for a URL that asks for no
// signature, which the policy must open to everybody. Whoever is of the owner's account needs no leave of the function: what their own policies say
// is for the enforcement of policies, as with every other operation.
func urlAllows(policy []statement, authType, account string, who *cloud.Principal) bool {
	if authType == lambda.FunctionUrlAuthTypeAWSIAM && who != nil && who.Account == account {
		return true
	}
	for _, action := range []string{actionInvokeURL, actionInvoke} {
		allowed := false
		for i := range policy {
			allowed = allowed || policy[i].allowsURL(action, authType, who)
		}
		if !allowed {
			return false
		}
	}
	return true
}

// allowsURL reports whether the statement gives who leave for one of the actions that calling a URL takes. A condition on what such a call does not
// tell is not met.
func (st *statement) allowsURL(action, authType string, who *cloud.Principal) bool {
	if st.Action != action && st.Action != "lambda:*" && st.Action != "*" || !trustedCaller(st.Principal, who) {
		return false
	}
	c := st.Condition
	if c == nil {
		return true
	}
	if e := c.StringEquals; e != nil {
		rest := *e
		rest.URLAuthType = ""
		if rest != (stringConditions{}) || e.URLAuthType != "" && e.URLAuthType != authType {
			return false
		}
	}
	return c.ArnLike == nil && (c.Bool == nil || c.Bool.ViaURL == "true")
}

// trustedCaller reports whether a statement's principal is everybody, or who, or who's role or account.
func trustedCaller(principal json.RawMessage, who *cloud.Principal) bool {
	if string(principal) == `"*"` {
		return true
	}
	var p struct{ AWS string }
	if who == nil || json.Unmarshal(principal, &p) != nil || p.AWS == "" {
		return false
	}
	arn, err := cloud.ParseARN(p.AWS)
	if err != nil || arn.Account != who.Account {
		return false
	}
	return arn.Resource == "root" || p.AWS == who.ARN || p.AWS == roleOf(who.ARN)
}

// roleOf returns the ARN of the role without a path that a session's ARN names, or "".
func roleOf(session string) string {
	arn, err := cloud.ParseARN(session)
	if err != nil || arn.Service != "sts" {
		return ""
	}
	parts := strings.Split(arn.Resource, "/")
	if len(parts) != 3 || parts[0] != "assumed-role" {
		return ""
	}
	return cloud.ARN{Partition: arn.Partition, Service: "iam", Account: arn.Account, Resource: "role/" + parts[1]}.String()
}
