// Package filter is the language of SNS's subscription filter policies: it reads a policy, or says what is wrong with it in the service's
// words, and decides whether a message satisfies it.
//
// A policy is read once into alternatives (its "$or" multiplied out), each a list of paths with the patterns that a value there may satisfy.
// Reading is bounded by the size of the policy, its nesting and the number of combinations that the service allows, so that the
// alternatives are few. A Policy does not change after Parse and is safe for concurrent use.
//
// Sources of the rules: the Amazon SNS developer guide, "Filter policy constraints", "String value matching", "Numeric value matching" and
// "Key matching".
package filter

import "fmt"

// Scope says what a policy looks at.
type Scope string

// The scopes, as the attribute FilterPolicyScope names them.
const (
	MessageAttributes Scope = "MessageAttributes"
	MessageBody       Scope = "MessageBody"
)

// The limits of a policy.
const (
	maxBytes        = 256 << 10
	maxKeys         = 5
	maxCombinations = 150
	// maxDepth bounds nesting: each level of a nested key multiplies the combinations, so that no policy that is deeper could be allowed.
	maxDepth = maxCombinations
	// maxNumber bounds numbers in numeric patterns, on both sides of zero.
	maxNumber = 1e9
)

// Policy is a filter policy that was read.
type Policy struct {
	scope        Scope
	alternatives []alternative
}

// alternative is a list of leaves that all have to be satisfied.
type alternative []leaf

// leaf is a path, its keys joined by dots, with the patterns of which a value there must satisfy one.
type leaf struct {
	path     string
	depth    int
	patterns []pattern
}

// Error is what is wrong with a policy, in the service's words.
type Error struct{ Reason string }

func (e *Error) Error() string { return e.Reason }

func refuse(format string, args ...any) error { return &Error{fmt.Sprintf(format, args...)} }
