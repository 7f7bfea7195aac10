package lambda

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"croft/internal/cloud"
	"croft/internal/kv"
)

// statement is one statement of a function's resource policy, in the order of members that the service writes.
type statement struct {
	Sid       string          `json:"Sid"`
	Effect    string          `json:"Effect"`
	Principal json.RawMessage `json:"Principal"`
	Action    string          `json:"Action"`
	Resource  string          `json:"Resource"`
	Condition *condition      `json:"Condition,omitempty"`
}

type condition struct {
	StringEquals *stringConditions `json:"StringEquals,omitempty"`
	Bool         *boolConditions   `json:"Bool,omitempty"`
	ArnLike      *arnConditions    `json:"ArnLike,omitempty"`
}

type boolConditions struct {
	ViaURL string `json:"lambda:InvokedViaFunctionUrl"`
}

type stringConditions struct {
	SourceAccount    string `json:"AWS:SourceAccount,omitempty"`
	URLAuthType      string `json:"lambda:FunctionUrlAuthType,omitempty"`
	PrincipalOrg     string `json:"aws:PrincipalOrgID,omitempty"`
	EventSourceToken string `json:"lambda:EventSourceToken,omitempty"`
}

type arnConditions struct {
	SourceARN string `json:"AWS:SourceArn"`
}

// document is a whole resource policy.
type document struct {
	Version   string      `json:"Version"`
	ID        string      `json:"Id"`
	Statement []statement `json:"Statement"`
}

func newDocument(statements []statement) document {
	return document{"2012-10-17", "default", statements}
}

// text writes a policy or statement. Ampersands and the like stay as they are.
func text(v any) (string, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "", fmt.Errorf("lambda: %w", err)
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

func loadPolicy(r kv.Reader, name, qualifier string) ([]statement, error) {
	v, err := r.Get(policyKey(name, qualifier))
	if errors.Is(err, kv.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []statement
	if err := json.Unmarshal(v, &out); err != nil {
		return nil, fmt.Errorf("lambda: damaged policy: %w", err)
	}
	return out, nil
}

func storePolicy(w kv.Writer, name, qualifier string, statements []statement) error {
	if len(statements) == 0 {
		return w.Delete(policyKey(name, qualifier))
	}
	v, err := text(statements)
	if err != nil {
		return err
	}
	return w.Put(policyKey(name, qualifier), []byte(v))
}

// principal returns how a policy writes who was given as Principal.
func principal(given string) (json.RawMessage, error) {
	kind, who := "", given
	switch {
	case given == "*":
		return json.RawMessage(`"*"`), nil
	case len(given) == 12 && isDigits(given):
		kind, who = "AWS", "arn:aws:iam::"+given+":root"
	case strings.HasPrefix(given, "arn:"):
		if a, err := cloud.ParseARN(given); err == nil && (a.Service == "iam" || a.Service == "sts") {
			kind = "AWS"
		}
	case strings.HasSuffix(given, ".amazonaws.com") || strings.HasSuffix(given, ".amazon.com"):
		kind = "Service"
	}
	if kind == "" {
		return nil, invalid("The provided principal was invalid. Please check the principal and try again.")
	}
	out, err := text(map[string]string{kind: who})
	return json.RawMessage(out), err
}

// allows reports whether the statement lets the service principal of call invoke the function. A condition on something that the call
// does not tell is not met.
func (st *statement) allows(call *cloud.Call) bool {
	if !trustedService(st.Principal, call.Principal.Service) {
		return false
	}
	switch st.Action {
	case "lambda:InvokeFunction", "lambda:*", "*":
	default:
		return false
	}
	c := st.Condition
	if c == nil {
		return true
	}
	if e := c.StringEquals; e != nil {
		if e.URLAuthType != "" || e.PrincipalOrg != "" || e.EventSourceToken != "" {
			return false
		}
		if e.SourceAccount != "" && e.SourceAccount != call.Principal.Account {
			return false
		}
	}
	if c.Bool != nil && c.Bool.ViaURL == "true" {
		return false // a service does not come by way of a URL
	}
	return c.ArnLike == nil || arnLike(c.ArnLike.SourceARN, call.SourceARN)
}

func trustedService(principal json.RawMessage, service string) bool {
	if string(principal) == `"*"` {
		return true
	}
	var p struct{ Service string }
	return json.Unmarshal(principal, &p) == nil && p.Service == service
}

// arnLike is the condition operator ArnLike: the six parts of both ARNs are compared one by one, and * and ? stand for any text and any
// character within a part. Source: IAM User Guide, "IAM JSON policy elements: Condition operators".
func arnLike(pattern, arn string) bool {
	p, a := strings.SplitN(pattern, ":", 6), strings.SplitN(arn, ":", 6)
	if len(p) != 6 || len(a) != 6 {
		return false
	}
	for i := range p {
		if !glob(p[i], a[i]) {
			return false
		}
	}
	return true
}

// glob matches s against a pattern with * and ?, in time of the product of their lengths at most.
func glob(pattern, s string) bool {
	p, i, star, mark := 0, 0, -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}
