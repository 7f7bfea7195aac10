package expression

import (
	"maps"
	"slices"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/service/dynamodb/decimal"
)

func sum(op, a, b string) (*api.AttributeValue, error) {
	x, err := decimal.Parse(a)
	if err != nil {
		return nil, err
	}
	y, err := decimal.Parse(b)
	if err != nil {
		return nil, err
	}
	f := decimal.Add
	if op == "-" {
		f = decimal.Subtract
	}
	z, err := f(x, y)
	if err != nil {
		return nil, err
	}
	text := string(z.Append(nil))
	return &api.AttributeValue{N: &text}, nil
}

// Apply returns item as u changes it. Every operand is read from item as it was. The result shares what did not change with item and with
// the values of the expression, none of which changes.
func (u *Update) Apply(item map[string]api.AttributeValue) (map[string]api.AttributeValue, error) {
	root := api.AttributeValue{M: item}
	changes := make([]change, 0, len(u.actions))
	for _, a := range u.actions {
		c, err := a.change(item)
		if err != nil {
			return nil, err
		}
		changes = append(changes, c)
	}
	// Indexes mean places in the list as it was: what is there is replaced first, then what lies beyond the end is appended in the order of
	// indexes, and what is removed goes last and from the end.
	slices.SortStableFunc(changes, func(a, b change) int {
		switch {
		case (a.value == nil) != (b.value == nil):
			if a.value != nil {
				return -1
			}
			return 1
		case a.value == nil:
			return slices.CompareFunc(b.path, a.path, compareElements)
		default:
			return slices.CompareFunc(a.path, b.path, compareElements)
		}
	})
	for _, c := range changes {
		if c.value == nil && find(item, c.path) == nil && len(c.path) == 1 {
			continue
		}
		var err error
		if root, err = put(root, c.path, c.value, c.there); err != nil {
			return nil, err
		}
	}
	return root.M, nil
}

func compareElements(a, b element) int {
	if a.name != b.name {
		if a.name < b.name {
			return -1
		}
		return 1
	}
	return a.index - b.index
}

// change is what an action comes to: a path gets a value, or loses the one it has.
type change struct {
	path  path
	value *api.AttributeValue
	// there is whether the path had a value.
	there bool
}

func (a action) change(item map[string]api.AttributeValue) (change, error) {
	old := find(item, a.target.path)
	c := change{path: a.target.path, there: old != nil}
	if a.legacy && a.value != nil && a.op != actionSet && old != nil && typeOf(old) != typeOf(a.value.value) {
		return c, invalid("Type mismatch for attribute to update")
	}
	var err error
	switch a.op {
	case actionSet:
		c.value, err = value(a.value, item)
	case actionAdd:
		c.value, err = add(old, a.value.value)
	case actionDelete:
		if old == nil {
			// Nothing changes, but the place must be a possible one.
			return c, nil
		}
		c.value, err = without(old, a.value.value)
	}
	return c, err
}

// add returns the number, set or list old with v added.
func add(old, v *api.AttributeValue) (*api.AttributeValue, error) {
	switch {
	case old == nil:
		return v, nil
	case typeOf(old) != typeOf(v):
		return nil, errOperand()
	case v.N != nil:
		return sum("+", *old.N, *v.N)
	case v.SS != nil:
		return &api.AttributeValue{SS: union(old.SS, v.SS, textMember)}, nil
	case v.NS != nil:
		return &api.AttributeValue{NS: union(old.NS, v.NS, numberMember)}, nil
	case v.L != nil:
		return &api.AttributeValue{L: slices.Concat(old.L, v.L)}, nil
	}
	return &api.AttributeValue{BS: union(old.BS, v.BS, binaryMember)}, nil
}

func union[T any](a, b []T, member func(T) string) []T {
	out, in := slices.Clone(a), table(a, member)
	for _, x := range b {
		if !in[member(x)] {
			out = append(out, x)
		}
	}
	return out
}

// without returns the set old without the members of v, nil when none is left.
func without(old, v *api.AttributeValue) (*api.AttributeValue, error) {
	out := new(api.AttributeValue)
	switch {
	case typeOf(old) != typeOf(v):
		return nil, errOperand()
	case v.SS != nil:
		out.SS = minus(old.SS, v.SS, textMember)
	case v.NS != nil:
		out.NS = minus(old.NS, v.NS, numberMember)
	default:
		out.BS = minus(old.BS, v.BS, binaryMember)
	}
	if len(out.SS)+len(out.NS)+len(out.BS) == 0 {
		return nil, nil
	}
	return out, nil
}

func minus[T any](a, b []T, member func(T) string) []T {
	var out []T
	in := table(b, member)
	for _, x := range a {
		if !in[member(x)] {
			out = append(out, x)
		}
	}
	return out
}

// put returns v with value at p, or without anything at p where value is nil. It copies what it changes. there is whether p had a value.
func put(v api.AttributeValue, p path, value *api.AttributeValue, there bool) (api.AttributeValue, error) {
	bad := invalid("The document path provided in the update expression is invalid for update")
	e := p[0]
	if e.name == "" {
		if v.L == nil {
			return v, bad
		}
		return putIndex(v, p, value, there)
	}
	if v.M == nil {
		return v, bad
	}
	below, ok := v.M[e.name]
	if len(p) > 1 {
		if !ok {
			return v, bad
		}
		changed, err := put(below, p[1:], value, there)
		if err != nil {
			return v, err
		}
		value = &changed
	}
	m := maps.Clone(v.M)
	if value == nil {
		delete(m, e.name)
	} else {
		m[e.name] = *value
	}
	return api.AttributeValue{M: m}, nil
}

func putIndex(v api.AttributeValue, p path, value *api.AttributeValue, there bool) (api.AttributeValue, error) {
	i := p[0].index
	if len(p) > 1 {
		if i >= len(v.L) {
			return v, invalid("The document path provided in the update expression is invalid for update")
		}
		changed, err := put(v.L[i], p[1:], value, there)
		if err != nil {
			return v, err
		}
		value = &changed
	} else if !there {
		if value == nil {
			return v, nil
		}
		return api.AttributeValue{L: append(slices.Clone(v.L), *value)}, nil
	}
	list := slices.Clone(v.L)
	if value == nil {
		// The list stays one when it is empty.
		return api.AttributeValue{L: append([]api.AttributeValue{}, slices.Delete(list, i, i+1)...)}, nil
	}
	list[i] = *value
	return api.AttributeValue{L: list}, nil
}
