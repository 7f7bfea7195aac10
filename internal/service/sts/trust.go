package sts

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	"croft/internal/cloud"
)

// verdict is what a trust policy says of a caller.
type verdict int

const (
	refused verdict = iota
	// unknown: the answer hangs on a condition that cannot be evaluated.
	unknown
	granted
)

// trustDocument is a trust policy, whose form IAM has checked.
type trustDocument struct {
	Statement list[trustStatement]
}

type trustStatement struct {
	Effect                  string
	Action, NotAction       list[string]
	Principal, NotPrincipal principals
	Condition               map[string]map[string]list[string]
}

// list is a JSON list, or a single element in its place.
type list[T any] []T

// UnmarshalJSON reads either form.
func (l *list[T]) UnmarshalJSON(raw []byte) error {
	if len(raw) > 0 && raw[0] == '[' {
		return json.Unmarshal(raw, (*[]T)(l))
	}
	*l = make(list[T], 1)
	return json.Unmarshal(raw, &(*l)[0])
}

// principals are the principals of a statement by kind; "*" stands under "AWS".
type principals map[string]list[string]

// UnmarshalJSON reads an object, or "*".
func (p *principals) UnmarshalJSON(raw []byte) error {
	if len(raw) > 0 && raw[0] == '"' {
		*p = principals{"AWS": {"*"}}
		return nil
	}
	return json.Unmarshal(raw, (*map[string]list[string])(p))
}

const assumeAction = "sts:assumerole"

// decide evaluates a trust policy for caller. A statement that denies wins; a condition other than sts:ExternalId cannot be evaluated,
// and is named.
func decide(document []byte, caller cloud.Principal, externalID string) (verdict, string, error) {
	var doc trustDocument
	if err := json.Unmarshal(document, &doc); err != nil {
		return refused, "", fmt.Errorf("sts: a trust policy is damaged: %w", err)
	}
	answer, open := refused, ""
	for _, s := range doc.Statement {
		if !s.covers(caller) {
			continue
		}
		met, condition := s.conditionsMet(externalID)
		switch {
		case condition != "":
			open = condition
		case met && s.Effect == "Deny":
			return refused, "", nil
		case met && s.Effect == "Allow":
			answer = granted
		}
		if condition != "" && s.Effect == "Deny" {
			return unknown, condition, nil
		}
	}
	if answer == refused && open != "" {
		return unknown, open, nil
	}
	return answer, "", nil
}

// covers reports whether the statement speaks of caller assuming the role.
func (s *trustStatement) covers(caller cloud.Principal) bool {
	matches := func(pattern string) bool {
		ok, err := path.Match(strings.ToLower(pattern), assumeAction)
		return err == nil && ok
	}
	if s.NotAction != nil {
		if slices.ContainsFunc(s.NotAction, matches) {
			return false
		}
	} else if !slices.ContainsFunc(s.Action, matches) {
		return false
	}
	if s.NotPrincipal != nil {
		return !s.NotPrincipal.include(caller)
	}
	return s.Principal.include(caller)
}

func (p principals) include(caller cloud.Principal) bool {
	if caller.Kind == cloud.ServicePrincipal {
		return slices.Contains(p["Service"], caller.Service)
	}
	account := "arn:" + cloud.Partition + ":iam::" + caller.Account + ":root"
	return slices.ContainsFunc(p["AWS"], func(name string) bool {
		switch name {
		case "*", caller.Account, account, caller.ARN:
			return true
		}
		return sameRole(name, caller)
	})
}

// sameRole reports whether caller is a session of the role whose ARN is name. The ARN of a session does not have the role's path.
func sameRole(name string, caller cloud.Principal) bool {
	arn, err := cloud.ParseARN(name)
	if err != nil || caller.Kind != cloud.AssumedRole || arn.Account != caller.Account {
		return false
	}
	role := arn.Resource[strings.LastIndexByte(arn.Resource, '/')+1:]
	return strings.HasPrefix(arn.Resource, "role/") && strings.Contains(caller.ARN, ":assumed-role/"+role+"/")
}

// conditionsMet evaluates the statement's conditions, and names the first that cannot be.
func (s *trustStatement) conditionsMet(externalID string) (met bool, condition string) {
	met = true
	for operator, keys := range s.Condition {
		for key, values := range keys {
			if operator != "StringEquals" || !strings.EqualFold(key, "sts:ExternalId") {
				return false, operator + " " + key
			}
			met = met && slices.Contains(values, externalID)
		}
	}
	return met, ""
}
