package sam

import (
	"strconv"

	"croft/internal/cfn/template"
)

// executionRole is the role that a function gets when it names none.
type executionRole struct {
	id         string
	tags       *value
	attributes []template.Field
	managed    []*value
	has        map[string]bool // the managed ones, as JSON
	policies   []*value
}

func (r *executionRole) setCondition(name string) {
	var kept []template.Field
	for _, a := range r.attributes {
		if a.Key != "Condition" {
			kept = append(kept, a)
		}
	}
	r.attributes = append(kept, f("Condition", str(name)))
}

// addManaged adds a managed policy's ARN once.
func (r *executionRole) addManaged(arn *value) {
	key := arn.String()
	if r.has[key] {
		return
	}
	r.has[key] = true
	r.managed = append(r.managed, arn)
}

func (r *executionRole) resource() *resource {
	statement := object(f("Action", strs("sts:AssumeRole")), f("Effect", str("Allow")),
		f("Principal", object(f("Service", strs("lambda.amazonaws.com")))))
	out := []template.Field{
		f("AssumeRolePolicyDocument", policyDocument(statement)),
		f("ManagedPolicyArns", list(r.managed...)),
	}
	if len(r.policies) > 0 {
		out = append(out, f("Policies", list(r.policies...)))
	}
	return &resource{id: r.id, typ: "AWS::IAM::Role", attributes: r.attributes, properties: append(out, f("Tags", r.tags))}
}

func policyDocument(statement *value) *value {
	return object(f("Version", str("2012-10-17")), f("Statement", list(statement)))
}

// policyKind is what an entry of Policies is.
type policyKind int

const (
	unknownPolicy policyKind = iota
	managedPolicyName
	policyStatement
	policyTemplateUse
	nothing
)

// addPolicies fills the role from a function's Policies.
func (r *executionRole) addPolicies(function string, policies *value) error {
	r.addManaged(str(managedPolicy("AWSLambdaBasicExecutionRole")))
	if !truthy(policies) {
		return nil
	}
	entries := policies.Items()
	if !policies.Is(template.List) {
		entries = []*value{policies}
	}
	for i, entry := range entries {
		if err := r.addPolicy(function, i, entry); err != nil {
			return err
		}
	}
	return nil
}

func (r *executionRole) addPolicy(function string, index int, entry *value) error {
	arg := isIf(entry)
	if arg == nil {
		v, kind, err := r.convert(function, index, entry)
		if err != nil {
			return err
		}
		r.add(v, kind)
		return nil
	}
	if !arg.Is(template.List) || arg.Len() != 3 {
		return structure(entry.Pos(), "Fn::If requires 3 arguments")
	}
	yes, yesKind, err := r.convert(function, index, arg.Items()[1])
	if err != nil {
		return err
	}
	no, noKind, err := r.convert(function, index, arg.Items()[2])
	if err != nil {
		return err
	}
	if yesKind == nothing {
		yesKind = noKind
	}
	if noKind != nothing && noKind != yesKind {
		return structure(entry.Pos(), "Different policy types within the same Fn::If statement is unsupported. Separate different policy "+
			"types into different Fn::If statements")
	}
	r.add(object(f("Fn::If", list(arg.Items()[0], yes, no))), yesKind)
	return nil
}

func (r *executionRole) add(v *value, kind policyKind) {
	if kind == policyStatement || kind == policyTemplateUse {
		r.policies = append(r.policies, v)
		return
	}
	r.addManaged(v)
}

// convert returns an entry as it goes into the role: an ARN, or a named policy document.
func (r *executionRole) convert(function string, index int, entry *value) (*value, policyKind, error) {
	switch kind := kindOfPolicy(entry); kind {
	case managedPolicyName:
		if name, ok := entry.Str(); ok {
			return str(managedPolicy(name)), kind, nil
		}
		return entry, kind, nil
	case nothing:
		return entry, kind, nil
	case policyStatement:
		return r.named(index, entry), kind, nil
	case policyTemplateUse:
		document, err := fromPolicyTemplate(function, index, entry)
		if err != nil {
			return nil, kind, err
		}
		return r.named(index, document), kind, nil
	}
	return nil, unknownPolicy, invalid(function, entry.Pos(), "Policy at index %d in the 'Policies' property is not valid", index)
}

func (r *executionRole) named(index int, document *value) *value {
	return object(f("PolicyName", str(r.id+"Policy"+strconv.Itoa(index))), f("PolicyDocument", document))
}

func kindOfPolicy(v *value) policyKind {
	switch {
	case v.Is(template.String):
		return managedPolicyName
	case isNoValue(v):
		return nothing
	case isIf(v) != nil:
		return unknownPolicy // one Fn::If inside another
	case intrinsic(v):
		return managedPolicyName
	case v.Is(template.Map) && v.Get("Statement") != nil:
		return policyStatement
	case v.Is(template.Map) && v.Len() == 1:
		return policyTemplateUse
	}
	return unknownPolicy
}
