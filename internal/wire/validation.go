package wire

// Validation says how a service reports input that breaks its model's constraints.
type Validation struct {
	// Code is the error's code: "ValidationException", "ValidationError"; QueryCode is the code that older clients know, if another.
	Code, QueryCode string
	// Missing, when set, is the code for a missing member, with MissingFormat (one %s: the member) as its message. Only the
	// first missing member is reported then.
	Missing, MissingQuery, MissingFormat string
	// Off lists the constraints that the service's own code checks in its own words: "length", "range", "pattern", "enum".
	Off []string
	// HideValues services do not repeat the offending value.
	HideValues bool
}
