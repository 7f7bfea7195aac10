package s3

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"croft/internal/cloud"
)

// postPolicy is what whoever signed a form allows of it. Source: S3 API Reference, "Browser-based uploads using POST", "Creating a POST policy".
type postPolicy struct {
	expires    time.Time
	conditions []postCondition
	// smallest and largest bound the file, in bytes.
	smallest, largest int64
}

// postCondition is one thing that must be true of a form. Field is in lower case and without its dollar sign.
type postCondition struct {
	op, field, value string
}

// maxConditions bounds a policy. Every field is compared with every condition.
const maxConditions = 1000

func invalidPolicy(what string) *cloud.Error {
	return cloud.Errorf("InvalidPolicyDocument", "Invalid Policy: %s", what)
}

func againstPolicy(what string) *cloud.Error {
	return cloud.Errorf("AccessDenied", "Invalid according to Policy: %s", what).WithStatus(http.StatusForbidden)
}

// parsePostPolicy reads a policy as forms carry it, in base64.
func parsePostPolicy(encoded string) (*postPolicy, error) {
	text, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, invalidPolicy("Invalid Base64 Encoding.")
	}
	var raw struct {
		Expiration *string           `json:"expiration"`
		Conditions []json.RawMessage `json:"conditions"`
	}
	if err := json.Unmarshal(text, &raw); err != nil {
		return nil, invalidPolicy("Invalid JSON.")
	}
	p := &postPolicy{largest: math.MaxInt64}
	switch {
	case raw.Expiration == nil:
		return nil, invalidPolicy("Policy missing expiration.")
	case raw.Conditions == nil:
		return nil, invalidPolicy("Policy missing conditions.")
	case len(raw.Conditions) > maxConditions:
		return nil, invalidPolicy("Too many conditions.")
	}
	if p.expires, err = time.Parse(time.RFC3339, *raw.Expiration); err != nil {
		return nil, invalidPolicy("Invalid 'expiration' value: '" + shortText(*raw.Expiration) + "'")
	}
	for _, c := range raw.Conditions {
		if err := p.add(c); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// add reads a condition: {"FIELD": "VALUE"}, [OPERATOR, "$FIELD", "VALUE"] or ["content-length-range", MIN, MAX].
func (p *postPolicy) add(raw json.RawMessage) error {
	var simple map[string]string
	if json.Unmarshal(raw, &simple) == nil && simple != nil {
		if len(simple) != 1 {
			return invalidPolicy("Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.")
		}
		for field, value := range simple {
			p.conditions = append(p.conditions, postCondition{"eq", strings.ToLower(field), value})
		}
		return nil
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil || len(list) != 3 {
		return invalidPolicy("Invalid condition: a condition is an object or a list of three elements.")
	}
	op := strings.ToLower(policyText(list[0]))
	switch op {
	case "eq", "starts-with":
		field, dollar := strings.CutPrefix(policyText(list[1]), "$")
		if !dollar || field == "" {
			// A condition of nothing that a form has can never be true.
			return againstPolicy("Policy Condition failed: " + compact(raw))
		}
		p.conditions = append(p.conditions, postCondition{op, strings.ToLower(field), policyText(list[2])})
		return nil
	case "content-length-range":
		from, err := strconv.ParseInt(policyText(list[1]), 10, 64)
		to, errTo := strconv.ParseInt(policyText(list[2]), 10, 64)
		if err != nil || errTo != nil || from < 0 || to < from {
			return invalidPolicy("Invalid content-length-range: its bounds are two numbers of bytes.")
		}
		p.smallest, p.largest = max(p.smallest, from), min(p.largest, to)
		return nil
	}
	return invalidPolicy("Invalid condition: unknown operation '" + shortText(op) + "'.")
}

// policyText returns a JSON text, or a number as it is written.
func policyText(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}

func compact(raw json.RawMessage) string {
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return ""
	}
	out, _ := json.Marshal(v) // of what has just been JSON
	return string(out)
}

// check compares a form with the policy. bucket is the one that it was posted to.
func (p *postPolicy) check(f *postForm, bucket string, now time.Time) error {
	if !now.Before(p.expires) {
		return againstPolicy("Policy expired.")
	}
	covered := map[string]bool{}
	for _, c := range p.conditions {
		covered[c.field] = true
		value := f.get(c.field)
		if c.field == "bucket" {
			value = bucket
		}
		if !c.holds(value) {
			text, _ := json.Marshal([]string{c.op, "$" + c.field, c.value}) // texts always can be
			return againstPolicy("Policy Condition failed: " + string(text))
		}
	}
	for _, field := range f.order {
		if !covered[field] && !uncovered(field) {
			return againstPolicy("Extra input fields: " + shortText(field))
		}
	}
	return nil
}

func (c *postCondition) holds(value string) bool {
	switch {
	case c.op == "eq":
		return value == c.value
	case c.field == "content-type" && c.value != "":
		for one := range strings.SplitSeq(value, ",") {
			if !strings.HasPrefix(strings.TrimSpace(one), c.value) {
				return false
			}
		}
		return true
	}
	return strings.HasPrefix(value, c.value)
}

// uncovered reports whether a field needs no condition: what makes the signature, and what is said to be ignored.
func uncovered(field string) bool {
	switch field {
	case "policy", "x-amz-signature", "signature", "awsaccesskeyid", "file", "bucket":
		return true
	}
	return strings.HasPrefix(field, "x-ignore-")
}

// sized reads a file of which the policy says how large it may be.
type sized struct {
	r                 io.Reader
	smallest, largest int64
	size              int64
}

// Read implements io.Reader. The file's end is io.EOF only if it is large enough.
func (s *sized) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	s.size += int64(n)
	if s.size > s.largest {
		e := cloud.Errorf("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
		return 0, with(e, "ProposedSize", strconv.FormatInt(s.size, 10), "MaxSizeAllowed", strconv.FormatInt(s.largest, 10))
	}
	if err == io.EOF && s.size < s.smallest {
		e := cloud.Errorf("EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size")
		return 0, with(e, "ProposedSize", strconv.FormatInt(s.size, 10), "MinSizeAllowed", strconv.FormatInt(s.smallest, 10))
	}
	return n, err
}
