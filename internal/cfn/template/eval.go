package template

import (
	"encoding/base64"
	"strings"
)

// Resolver knows what only created resources and other stacks know. Its errors are returned as they are.
type Resolver interface {
	// Ref returns what Ref yields for a resource, as a rule its physical id.
	Ref(logicalID string) (*Value, error)
	// GetAtt returns an attribute of a resource.
	GetAtt(logicalID, attribute string) (*Value, error)
	// Import returns the value that another stack exports under name.
	Import(name string) (*Value, error)
}

// OutputValue is an evaluated output.
type OutputValue struct {
	Name        string
	Description string
	Value       string
	// ExportName is empty for an output that is not exported.
	ExportName string
}

// Eval returns the properties of a resource with every function evaluated: always a Map. Members that evaluate to AWS::NoValue
// are gone.
func (b *Bound) Eval(id string, r Resolver) (*Value, error) {
	res := b.exists[id]
	if res == nil {
		return nil, errorAt(Pos{}, "Resource %s does not exist in the template", clip(id))
	}
	if res.Properties == nil {
		return NewMap(), nil
	}
	v, err := b.EvalValue(res.Properties, r)
	if err != nil {
		return nil, err
	}
	if !v.Is(Map) {
		return nil, errorAt(res.Pos, "Template format error: [/Resources/%s/Properties] must be an object", id)
	}
	return v, nil
}

// EvalValue evaluates any value of the template. It returns nil for AWS::NoValue.
func (b *Bound) EvalValue(v *Value, r Resolver) (*Value, error) {
	out, err := b.evaluator(r).value(v, 0)
	if err != nil {
		return nil, err
	}
	return out, refuseDynamic(out)
}

// EvalOutputs evaluates the outputs that exist under the conditions.
func (b *Bound) EvalOutputs(r Resolver) ([]OutputValue, error) {
	var all []OutputValue
	for _, o := range b.outputs {
		out := OutputValue{Name: o.Name, Description: o.Description}
		var err error
		if out.Value, err = b.outputText(o, o.Value, r, "Value"); err != nil {
			return nil, err
		}
		if o.ExportName != nil {
			if out.ExportName, err = b.outputText(o, o.ExportName, r, "Export/Name"); err != nil {
				return nil, err
			}
		}
		all = append(all, out)
	}
	return all, nil
}

func (b *Bound) outputText(o *Output, v *Value, r Resolver, member string) (string, error) {
	x, err := b.EvalValue(v, r)
	if err != nil {
		return "", err
	}
	s, ok := x.Scalar()
	if !ok {
		return "", errorAt(v.Pos(), "Template format error: Output %s is malformed. The %s field of every Outputs member must evaluate to a String.",
			o.Name, member)
	}
	return s, nil
}

// refuseDynamic refuses dynamic references, which croft does not resolve.
func refuseDynamic(v *Value) error {
	if s, ok := v.Str(); ok {
		if i := strings.Index(s, "{{resolve:"); i >= 0 {
			reference, _, _ := strings.Cut(s[i:], "}}")
			return Unsupported(v.pos, "The dynamic reference "+clip(reference)+"}}")
		}
	}
	for _, item := range v.Items() {
		if err := refuseDynamic(item); err != nil {
			return err
		}
	}
	for _, f := range v.Fields() {
		if err := refuseDynamic(f.Value); err != nil {
			return err
		}
	}
	return nil
}

func (b *Bound) evaluator(r Resolver) *evaluator { return &evaluator{b: b, r: r, left: maxEvaluated} }

// evaluator is one evaluation. left is what its result, and everything on the way to it, may still grow by.
type evaluator struct {
	b    *Bound
	r    Resolver
	left int
}

func (e *evaluator) spend(n int, p Pos) error {
	if e.left -= n; e.left < 0 {
		return errorAt(p, "Template error: evaluating the template yields more than %d bytes", maxEvaluated)
	}
	return nil
}

// yield charges for a value that comes from outside the template's text, or from a place of it that is used again.
func (e *evaluator) yield(v *Value, p Pos) (*Value, error) {
	if v == nil {
		return nil, nil
	}
	if err := e.charge(v, p); err != nil {
		return nil, err
	}
	return v, nil
}

func (e *evaluator) charge(v *Value, p Pos) error {
	n := 8
	if v != nil {
		n += len(v.text)
	}
	if err := e.spend(n, p); err != nil {
		return err
	}
	for _, item := range v.Items() {
		if err := e.charge(item, p); err != nil {
			return err
		}
	}
	for _, f := range v.Fields() {
		if err := e.spend(len(f.Key), p); err != nil {
			return err
		}
		if err := e.charge(f.Value, p); err != nil {
			return err
		}
	}
	return nil
}

// value evaluates v; nil stands for AWS::NoValue.
func (e *evaluator) value(v *Value, depth int) (*Value, error) {
	if depth > maxDepth {
		return nil, errTooDeep(v.Pos())
	}
	if err := e.spend(8, v.Pos()); err != nil {
		return nil, err
	}
	if name, arg := Call(v); name != "" {
		return e.call(name, arg, depth+1)
	}
	switch v.Kind() {
	case List:
		items, err := e.list(v, depth)
		if err != nil {
			return nil, err
		}
		return &Value{kind: List, pos: v.pos, items: items}, nil
	case Map:
		out := &Value{kind: Map, pos: v.pos, fields: make([]Field, 0, len(v.fields))}
		for _, f := range v.fields {
			x, err := e.value(f.Value, depth+1)
			if err != nil {
				return nil, err
			}
			if x != nil {
				out.fields = append(out.fields, Field{f.Key, x})
			}
		}
		return out, nil
	}
	return v, nil
}

// list evaluates the items of a list and leaves out those without a value.
func (e *evaluator) list(v *Value, depth int) ([]*Value, error) {
	items := make([]*Value, 0, len(v.items))
	for _, item := range v.items {
		x, err := e.value(item, depth+1)
		if err != nil {
			return nil, err
		}
		if x != nil {
			items = append(items, x)
		}
	}
	return items, nil
}

func (e *evaluator) call(name string, arg *Value, depth int) (*Value, error) {
	// EvalValue takes any value, so that it is not enough that Build has checked the template's.
	if err := checkCall(name, arg); err != nil {
		return nil, err
	}
	switch name {
	case fnRef:
		return e.ref(arg.text, arg.pos)
	case fnGetAtt:
		return e.getAtt(arg, depth)
	case fnSub:
		return e.sub(arg, depth)
	case fnIf:
		if err := e.b.Template.checkIf(arg); err != nil {
			return nil, err
		}
		return e.value(e.b.branch(arg), depth)
	case fnJoin:
		return e.join(arg, depth)
	case fnSelect:
		return e.sel(arg, depth)
	case fnSplit:
		return e.split(arg, depth)
	case fnFindInMap:
		return e.find(arg, depth)
	}
	s, err := e.text(arg, depth, "Template error: every "+name+" object must have a String-typed value.")
	if err != nil {
		return nil, err
	}
	switch name {
	case fnBase64:
		if err := e.spend(2*len(s), arg.pos); err != nil {
			return nil, err
		}
		return NewString(base64.StdEncoding.EncodeToString([]byte(s))).WithPos(arg.pos), nil
	case fnGetAZs:
		return e.b.Pseudo.zones(s, arg.pos)
	case fnImportValue:
		v, err := e.r.Import(s)
		if err != nil {
			return nil, err
		}
		return e.yield(v, arg.pos)
	}
	return nil, errUnknownFunction(name, arg.pos)
}

func (e *evaluator) ref(name string, p Pos) (*Value, error) {
	if isPseudo(name) {
		return e.yield(e.b.Pseudo.value(name), p)
	}
	if v, ok := e.b.Parameters[name]; ok {
		return e.yield(v, p)
	}
	v, err := e.r.Ref(name)
	if err != nil {
		return nil, err
	}
	return e.yield(v, p)
}

func (e *evaluator) getAtt(arg *Value, depth int) (*Value, error) {
	id, attribute, err := getAtt(arg)
	if err != nil {
		return nil, err
	}
	name, err := e.text(attribute, depth, "Template error: every Fn::GetAtt object requires two non-empty parameters, the resource name "+
		"and the resource attribute")
	if err != nil {
		return nil, err
	}
	v, err := e.r.GetAtt(id, name)
	if err != nil {
		return nil, err
	}
	return e.yield(v, arg.pos)
}

// text evaluates v to a scalar's text, with message as the error when it is none.
func (e *evaluator) text(v *Value, depth int, message string) (string, error) {
	x, err := e.value(v, depth+1)
	if err != nil {
		return "", err
	}
	s, ok := x.Scalar()
	if !ok {
		return "", errorAt(v.Pos(), "%s", message)
	}
	return s, nil
}
