package template

import "strings"

func (e *evaluator) sub(arg *Value, depth int) (*Value, error) {
	text, vars, err := subArgs(arg)
	if err != nil {
		return nil, err
	}
	parts, err := parseSub(text)
	if err != nil {
		return nil, err
	}
	local := vars.index()
	var b strings.Builder
	for _, part := range parts {
		s := part.text
		if part.variable {
			if s, err = e.variable(part.text, local, text.pos, depth); err != nil {
				return nil, err
			}
		}
		if err := e.spend(len(s), text.pos); err != nil {
			return nil, err
		}
		b.WriteString(s)
	}
	return NewString(b.String()).WithPos(text.pos), nil
}

// variable returns the text that a variable of a Fn::Sub stands for.
func (e *evaluator) variable(name string, local map[string]*Value, p Pos, depth int) (string, error) {
	var v *Value
	var err error
	if own, ok := local[name]; ok {
		v, err = e.value(own, depth+1)
	} else if id, attribute := subReference(name); attribute == "" {
		v, err = e.ref(id, p)
	} else {
		v, err = e.r.GetAtt(id, attribute)
	}
	if err != nil {
		return "", err
	}
	s, ok := v.Scalar()
	if !ok {
		return "", errorAt(p, "Template error: variable %s in Fn::Sub expression does not resolve to a string", clip(name))
	}
	return s, nil
}

func (e *evaluator) join(arg *Value, depth int) (*Value, error) {
	list, err := e.value(arg.items[1], depth+1)
	if err != nil {
		return nil, err
	}
	if !list.Is(List) {
		return nil, errorAt(arg.pos, "%s", errJoin)
	}
	delimiter := arg.items[0].text
	var b strings.Builder
	for i, item := range list.items {
		s, ok := item.Scalar()
		if !ok {
			return nil, errorAt(arg.pos, "%s", errJoin)
		}
		if i > 0 {
			s = delimiter + s
		}
		if err := e.spend(len(s), arg.pos); err != nil {
			return nil, err
		}
		b.WriteString(s)
	}
	return NewString(b.String()).WithPos(arg.pos), nil
}

func (e *evaluator) sel(arg *Value, depth int) (*Value, error) {
	text, err := e.text(arg.items[0], depth, errSelect)
	if err != nil {
		return nil, err
	}
	list, err := e.value(arg.items[1], depth+1)
	if err != nil {
		return nil, err
	}
	n, ok := index(text)
	if !ok || !list.Is(List) || n >= len(list.items) {
		return nil, errorAt(arg.pos, "%s", errSelect)
	}
	return list.items[n], nil
}

func (e *evaluator) split(arg *Value, depth int) (*Value, error) {
	s, err := e.text(arg.items[1], depth, errSplit)
	if err != nil {
		return nil, err
	}
	delimiter := arg.items[0].text
	// Each item costs more than its text; the count is charged before the items are made.
	if err := e.spend(len(s)+64*strings.Count(s, delimiter), arg.pos); err != nil {
		return nil, err
	}
	list := NewList().WithPos(arg.pos)
	for _, item := range strings.Split(s, delimiter) {
		list.items = append(list.items, NewString(item).WithPos(arg.pos))
	}
	return list, nil
}

func (e *evaluator) find(arg *Value, depth int) (*Value, error) {
	var keys [3]string
	for i := range keys {
		var err error
		if keys[i], err = e.text(arg.items[i], depth, errFindInMap); err != nil {
			return nil, err
		}
	}
	mapping, ok := e.b.Template.mappings[keys[0]]
	if !ok {
		return nil, errNoMapping(NewString(keys[0]).WithPos(arg.pos))
	}
	v := mapping[keys[1]].Get(keys[2])
	if v == nil {
		return nil, errorAt(arg.pos, "Template error: Unable to get mapping for %s::%s::%s", clip(keys[0]), clip(keys[1]), clip(keys[2]))
	}
	return e.yield(v, arg.pos)
}

// noResources answers where no resource may be referred to.
type noResources struct{}

func (noResources) Ref(id string) (*Value, error) { return nil, errNoResource(id) }

func (noResources) GetAtt(id, _ string) (*Value, error) { return nil, errNoResource(id) }

func (noResources) Import(string) (*Value, error) {
	return nil, errorAt(Pos{}, "Template error: Fn::ImportValue is not allowed in the Conditions block or in the keys of Fn::FindInMap")
}

func errNoResource(id string) error {
	return errorAt(Pos{}, "Template format error: Unresolved dependencies [%s]. Cannot reference resources in the Conditions block of the template",
		clip(id))
}

// decide evaluates every condition once, dependencies first.
func (b *Bound) decide() error {
	t := b.Template
	nodes := make([]string, len(t.conditions))
	deps := make(map[string][]string, len(nodes))
	for i, f := range t.conditions {
		nodes[i] = f.Key
		deps[f.Key] = conditionNames(f.Value, nil)
	}
	order, _ := topological(nodes, deps) // check has found that there are no cycles
	b.conditions = make(map[string]bool, len(nodes))
	e := b.evaluator(noResources{})
	for _, name := range order {
		yes, err := e.condition(t.condition[name])
		if err != nil {
			return err
		}
		b.conditions[name] = yes
	}
	return nil
}

func (e *evaluator) condition(v *Value) (bool, error) {
	name, arg := asCondition(v)
	switch name {
	case fnCondition:
		return e.b.conditions[arg.text], nil
	case fnEquals:
		left, err := e.text(arg.items[0], 0, errEquals)
		if err != nil {
			return false, err
		}
		right, err := e.text(arg.items[1], 0, errEquals)
		return left == right, err
	case fnNot:
		yes, err := e.condition(arg.items[0])
		return !yes, err
	}
	result := name == fnAnd
	for _, item := range arg.items {
		yes, err := e.condition(item)
		if err != nil {
			return false, err
		}
		if name == fnAnd {
			result = result && yes
		} else {
			result = result || yes
		}
	}
	return result, nil
}
