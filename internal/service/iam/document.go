package iam

import (
	"encoding/json"
	"net/url"
	"strings"
	"unicode"

	api "croft/internal/awsapi/iam"
)

// documentKind says which elements a policy document may have.
type documentKind struct {
	// forbidden elements, with the message for each.
	forbidden map[string]string
	// required lists alternatives, one of which each statement must have, with the message when none is there.
	required []alternatives
}

type alternatives struct {
	elements []string
	message  string
}

// trustPolicy is the document that says who may assume a role.
func trustPolicy() documentKind {
	return documentKind{
		forbidden: map[string]string{"Resource": "Has prohibited field Resource", "NotResource": "Has prohibited field NotResource"},
		required: []alternatives{
			{[]string{"Principal", "NotPrincipal"}, "Missing required field Principal"},
			{[]string{"Action", "NotAction"}, "Policy statement must contain actions."},
		},
	}
}

// identityPolicy is the document that says what a role may do.
func identityPolicy() documentKind {
	const principal = "Policy document should not specify a principal."
	return documentKind{
		forbidden: map[string]string{"Principal": principal, "NotPrincipal": principal},
		required: []alternatives{
			{[]string{"Action", "NotAction"}, "Policy statement must contain actions."},
			{[]string{"Resource", "NotResource"}, "Policy statement must contain resources."},
		},
	}
}

const syntaxErrors = "Syntax errors in policy."

func malformed(message string) error { return api.NewMalformedPolicyDocumentException("%s", message) }

// checkDocument checks the form of a policy document. What its actions, resources and conditions mean is not looked at.
func checkDocument(text string, kind documentKind) error {
	if !json.Valid([]byte(text)) {
		return malformed("This policy contains invalid Json")
	}
	var doc map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &doc) != nil || doc == nil {
		return malformed(syntaxErrors)
	}
	for name := range doc {
		switch name {
		case "Version", "Id", "Statement":
		default:
			return malformed(syntaxErrors)
		}
	}
	if version, given := doc["Version"]; given && string(version) != `"2012-10-17"` && string(version) != `"2008-10-17"` {
		return malformed("The policy must contain a valid version string")
	}
	statements, ok := listOf[map[string]json.RawMessage](doc["Statement"])
	if !ok || len(statements) == 0 {
		return malformed(syntaxErrors)
	}
	for _, s := range statements {
		if err := checkStatement(s, kind); err != nil {
			return err
		}
	}
	return nil
}

// listOf reads a list, or a single element in its place.
func listOf[T any](raw json.RawMessage) ([]T, bool) {
	var list []T
	if json.Unmarshal(raw, &list) == nil {
		return list, true
	}
	var one T
	if json.Unmarshal(raw, &one) != nil {
		return nil, false
	}
	return []T{one}, true
}

func checkStatement(s map[string]json.RawMessage, kind documentKind) error {
	for name := range s {
		switch name {
		case "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition":
		default:
			return malformed(syntaxErrors)
		}
		if message, bad := kind.forbidden[name]; bad {
			return malformed(message)
		}
	}
	if effect := string(s["Effect"]); effect != `"Allow"` && effect != `"Deny"` {
		return malformed(syntaxErrors)
	}
	for _, want := range kind.required {
		found := false
		for _, name := range want.elements {
			_, given := s[name]
			found = found || given
		}
		if !found {
			return malformed(want.message)
		}
	}
	return checkElements(s)
}

// checkElements checks the types of a statement's elements.
func checkElements(s map[string]json.RawMessage) error {
	for _, name := range []string{"Action", "NotAction", "Resource", "NotResource"} {
		if raw, given := s[name]; given {
			if list, ok := listOf[string](raw); !ok || len(list) == 0 {
				return malformed(syntaxErrors)
			}
		}
	}
	for _, name := range []string{"Principal", "NotPrincipal"} {
		if raw, given := s[name]; given && !isPrincipal(raw) {
			return malformed(syntaxErrors)
		}
	}
	if raw, given := s["Condition"]; given {
		var operators map[string]map[string]any
		if json.Unmarshal(raw, &operators) != nil {
			return malformed(syntaxErrors)
		}
	}
	return nil
}

func isPrincipal(raw json.RawMessage) bool {
	if string(raw) == `"*"` {
		return true
	}
	var byKind map[string]json.RawMessage
	if json.Unmarshal(raw, &byKind) != nil || len(byKind) == 0 {
		return false
	}
	for _, names := range byKind {
		if list, ok := listOf[string](names); !ok || len(list) == 0 {
			return false
		}
	}
	return true
}

// documentSize returns what a document counts for against its quota: its characters other than white space.
func documentSize(text string) (n int) {
	for _, r := range text {
		if !unicode.IsSpace(r) {
			n++
		}
	}
	return n
}

// encodeDocument writes a document as IAM answers it: percent-encoded (RFC 3986).
func encodeDocument(text string) string {
	return strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
}
