package template

// Conditions may hold Ref to parameters and pseudo parameters, Fn::FindInMap, Fn::Sub, Fn::Join, Fn::Select, Fn::Split, and the
// condition functions.

// asCondition returns the condition function that v is: one of Fn::And, Fn::Or, Fn::Not, Fn::Equals and Condition.
func asCondition(v *Value) (name string, arg *Value) {
	if !v.Is(Map) || len(v.fields) != 1 {
		return "", nil
	}
	switch f := v.fields[0]; f.Key {
	case fnAnd, fnOr, fnNot, fnEquals, fnCondition:
		return f.Key, f.Value
	}
	return "", nil
}

func (t *Template) checkCondition(v *Value, depth int) error {
	if depth > maxDepth {
		return errTooDeep(v.Pos())
	}
	name, arg := asCondition(v)
	switch name {
	case fnCondition:
		if s, ok := arg.Str(); !ok || t.condition[s] == nil {
			return errorAt(arg.Pos(), "Template format error: Unresolved condition dependency %s in the Conditions block of the template",
				clip(arg.String()))
		}
		return nil
	case fnEquals:
		if !arg.Is(List) || len(arg.items) != 2 {
			return errorAt(arg.Pos(), "%s", errEquals)
		}
		for _, item := range arg.items {
			if !stringOrCall(item) {
				return errorAt(item.Pos(), "%s", errEquals)
			}
			if err := t.checkOperand(item); err != nil {
				return err
			}
		}
		return nil
	case fnAnd, fnOr, fnNot:
		if err := checkArity(name, arg); err != nil {
			return err
		}
		for _, item := range arg.items {
			if err := t.checkCondition(item, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	if other, _ := Call(v); other != "" {
		return errorAt(v.Pos(), "Template error: %s is not a condition function", clip(other))
	}
	return errorAt(v.Pos(), "Template format error: Every Conditions member must be an object with a single condition function.")
}

func checkArity(name string, arg *Value) error {
	if name == fnNot {
		if !arg.Is(List) || len(arg.items) != 1 {
			return errorAt(arg.Pos(), "%s", errNot)
		}
		return nil
	}
	if !arg.Is(List) || len(arg.items) < 2 || len(arg.items) > 10 {
		return errorAt(arg.Pos(), "Template error: every %s object requires a list of at least 2 and at most 10 boolean parameters.", name)
	}
	return nil
}

// checkOperand checks a value that a condition compares.
func (t *Template) checkOperand(v *Value) error {
	c := &checker{t: t, unresolved: nameList{seen: keySet{}}}
	if err := c.value(v); err != nil {
		return err
	}
	for _, ref := range references(v, nil) {
		if t.resource[ref.Name] != nil {
			c.unresolved.add(ref.Name)
		}
	}
	if len(c.unresolved.names) > 0 {
		return errorAt(v.Pos(), "Template format error: Unresolved dependencies %s. Cannot reference resources in the Conditions block "+
			"of the template", quoteList(c.unresolved.names))
	}
	return nil
}

// checkConditionCycles finds conditions that depend on themselves, without recursion over their number.
func (t *Template) checkConditionCycles() error {
	nodes := make([]string, len(t.conditions))
	for i, f := range t.conditions {
		nodes[i] = f.Key
	}
	deps := make(map[string][]string, len(nodes))
	for _, f := range t.conditions {
		deps[f.Key] = conditionNames(f.Value, nil)
	}
	if _, cycle := topological(nodes, deps); len(cycle) > 0 {
		return errorAt(t.condition[cycle[0]].Pos(), "Template format error: Circular dependency between conditions: %s", quoteList(cycle))
	}
	return nil
}

// conditionNames appends the names of the conditions that v refers to.
func conditionNames(v *Value, names []string) []string {
	name, arg := asCondition(v)
	switch name {
	case fnCondition:
		if s, ok := arg.Str(); ok {
			names = append(names, s)
		}
	case fnAnd, fnOr, fnNot:
		for _, item := range arg.Items() {
			names = conditionNames(item, names)
		}
	case fnEquals:
		names = ifNames(arg, names)
	}
	return names
}

// ifNames appends the conditions that the Fn::If in v name.
func ifNames(v *Value, names []string) []string {
	if name, arg := Call(v); name == fnIf && arg.Is(List) && len(arg.items) > 0 && arg.items[0].Is(String) {
		names = append(names, arg.items[0].text)
	}
	for _, item := range v.Items() {
		names = ifNames(item, names)
	}
	for _, f := range v.Fields() {
		names = ifNames(f.Value, names)
	}
	return names
}
