package lambda

import (
	"context"
	"strings"

	"croft/internal/cloud"
)

const (
	latest        = "$LATEST"
	maxNameLength = 64
)

// reference is a function as a caller names it: by name, ARN or part of one, with or without a qualifier. The model's pattern has been
// checked before.
type reference struct {
	account, region, name string
	// qualifier is empty when none was given.
	qualifier string
}

// arn returns the function's ARN without a qualifier.
func (r reference) arn() string {
	return cloud.ARN{
		Partition: cloud.Partition, Service: "lambda", Region: r.region, Account: r.account, Resource: "function:" + r.name,
	}.String()
}

// qualified returns the function's ARN with the qualifier that the caller gave, if any.
func (r reference) qualified() string {
	if r.qualifier == "" {
		return r.arn()
	}
	return r.arn() + ":" + r.qualifier
}

// parseReference takes a function's name apart. Parts that it does not have are the caller's.
func parseReference(text, account, region string) reference {
	r := reference{account: account, region: region}
	if rest, ok := strings.CutPrefix(text, "arn:"); ok {
		// What follows is PARTITION:lambda:, as the pattern has it.
		if f := strings.SplitN(rest, ":", 3); len(f) == 3 {
			text = f[2]
		}
	}
	parts := strings.Split(text, ":")
	if len(parts) > 1 && isRegion(parts[0]) {
		r.region, parts = parts[0], parts[1:]
	}
	if len(parts) > 1 && isDigits(parts[0]) && (len(parts[0]) == 12 || parts[1] == "function") {
		r.account, parts = parts[0], parts[1:]
	}
	if len(parts) > 1 && parts[0] == "function" {
		parts = parts[1:]
	}
	r.name = parts[0]
	if len(parts) > 1 {
		r.qualifier = parts[1]
	}
	return r
}

// isRegion reports whether s has the form of a region, such as us-gov-west-1.
func isRegion(s string) bool {
	p := strings.Split(s, "-")
	last := p[len(p)-1]
	return len(p) >= 3 && len(p[0]) == 2 && len(last) == 1 && isDigits(last)
}

func isDigits(s string) bool {
	for _, r := range s {
		if r < '0' || r > '9' {
			return false
		}
	}
	return s != ""
}

// find resolves a function's name and a qualifier given beside it. Functions of other accounts and regions are refused: nothing
// can be shared between accounts.
func (s *Service) find(ctx context.Context, text string, qualifier *string) (reference, error) {
	call := cloud.CallOf(ctx)
	r := parseReference(text, call.Account, call.Region)
	r.account = s.deps.Account(ctx, r.account, text)
	if r.region != call.Region {
		return r, notFound("Functions from '%s' are not reachable in this region ('%s')", r.region, call.Region)
	}
	if r.account != call.Account {
		return r, denied(ctx, "lambda:GetFunction", r.arn())
	}
	if qualifier != nil {
		if r.qualifier != "" && r.qualifier != *qualifier {
			return r, invalid("The derived qualifier from the function name does not match the specified qualifier.")
		}
		r.qualifier = *qualifier
	}
	return r, nil
}

// longARN returns an ARN whose account, if it is a short one, is replaced by the caller's.
func (s *Service) longARN(ctx context.Context, arn string) string {
	a, err := cloud.ParseARN(arn)
	if err != nil {
		return arn
	}
	a.Account = s.deps.Account(ctx, a.Account, arn)
	return a.String()
}

// onlyLatest refuses the qualifiers of versions and aliases, for what can be done to $LATEST alone.
func (r reference) onlyLatest() error {
	if r.qualifier != "" && r.qualifier != latest {
		return invalid("Please provide a function name or an unqualified function ARN: %s names a version or an alias.", r.qualified())
	}
	return nil
}

// isAlias reports whether a qualifier has the form of an alias's name.
func isAlias(qualifier string) bool {
	return qualifier != "" && !isDigits(qualifier) && !strings.Contains(qualifier, "$")
}
