package wire

// Validation says how a service reports input that breaks its model's constraints.
type Validation struct {
	// Code is the error's code: "ValidationException", "ValidationError", "InvalidParameterValue".
	Code string
	// Missing, when set, is the code for a missing member, with MissingFormat (one %s: the member) as its message; only the first
	// missing member is reported then.
	Missing, MissingFormat string
	// Off lists the constraints that the service's own code checks in its own words: "length", "range", "pattern", "enum".
	Off []string
}
