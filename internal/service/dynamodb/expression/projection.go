package expression

import (
	"maps"
	"slices"

	api "croft/internal/awsapi/dynamodb"
)

// Projection is the set of document paths that a projection names.
type Projection struct {
	root  branch
	paths []*node
	// columns, where there are any, are what is given in the place of root.
	columns []column
}

// branch is what is wanted below one place of a document: all of it, or some names or indexes.
type branch struct {
	whole   bool
	names   map[string]*branch
	indexes map[int]*branch
}

// Projection parses a ProjectionExpression.
func (s *Set) Projection(text string) (*Projection, error) {
	p, err := s.projection(text)
	if err != nil {
		return nil, prefixed("ProjectionExpression", err)
	}
	return p, nil
}

func noWords(string) bool { return false }

func (s *Set) projection(text string) (*Projection, error) {
	p, err := newParser(text)
	if err != nil {
		return nil, err
	}
	var paths []*node
	for {
		n, err := p.path(noWords)
		if err != nil {
			return nil, err
		}
		paths = append(paths, n)
		if !p.symbol(",") {
			break
		}
	}
	if err := p.end(); err != nil {
		return nil, err
	}
	for _, check := range []func(*node) error{checkReserved, s.resolveNames} {
		for _, n := range paths {
			if err := check(n); err != nil {
				return nil, err
			}
		}
	}
	if err := checkOverlap(paths); err != nil {
		return nil, err
	}
	return newProjection(paths), nil
}

func newProjection(paths []*node) *Projection {
	out := &Projection{paths: paths}
	for _, n := range paths {
		out.root.add(n.path)
	}
	return out
}

func (b *branch) add(p path) {
	if len(p) == 0 {
		b.whole = true
		return
	}
	var next *branch
	if p[0].name != "" {
		if b.names == nil {
			b.names = make(map[string]*branch)
		}
		if next = b.names[p[0].name]; next == nil {
			next = new(branch)
			b.names[p[0].name] = next
		}
	} else {
		if b.indexes == nil {
			b.indexes = make(map[int]*branch)
		}
		if next = b.indexes[p[0].index]; next == nil {
			next = new(branch)
			b.indexes[p[0].index] = next
		}
	}
	next.add(p[1:])
}

// checkOverlap refuses paths of which one contains the other and, after all of those, paths that cannot both exist.
func checkOverlap(paths []*node) error {
	for _, looked := range []struct {
		relation relation
		verb     string
	}{{overlap, "overlap"}, {conflict, "conflict"}} {
		for i, b := range paths {
			for _, a := range paths[:i] {
				if relate(a.path, b.path) == looked.relation {
					return invalid("Two document paths %s with each other; must remove or rewrite one of these paths; "+
						"path one: %s, path two: %s", looked.verb, a.path, b.path)
				}
			}
		}
	}
	return nil
}

type relation byte

const (
	apart relation = iota
	overlap
	conflict
)

func relate(a, b path) relation {
	for i := range min(len(a), len(b)) {
		if a[i] == b[i] {
			continue
		}
		if (a[i].name == "") != (b[i].name == "") {
			return conflict
		}
		return apart
	}
	return overlap
}

// Heads calls f for the first name of each path, and whether the path goes on.
func (p *Projection) Heads(f func(name string, nested bool)) { heads(f, p.paths...) }

// Apply returns the part of item that p names. It shares memory with item. A nil projection names everything.
func (p *Projection) Apply(item map[string]api.AttributeValue) map[string]api.AttributeValue {
	if p == nil {
		return item
	}
	if p.columns != nil {
		return pick(p.columns, item)
	}
	out, _ := p.root.attributes(item)
	return out
}

func (b *branch) attributes(m map[string]api.AttributeValue) (map[string]api.AttributeValue, bool) {
	out := make(map[string]api.AttributeValue, len(b.names))
	for name, below := range b.names {
		v, ok := m[name]
		if !ok {
			continue
		}
		if v, ok = below.value(v); ok {
			out[name] = v
		}
	}
	return out, len(out) > 0
}

func (b *branch) value(v api.AttributeValue) (out api.AttributeValue, ok bool) {
	switch {
	case b.whole:
		return v, true
	case v.M != nil && b.names != nil:
		out.M, ok = b.attributes(v.M)
	case v.L != nil:
		for _, i := range slices.Sorted(maps.Keys(b.indexes)) {
			if i >= len(v.L) {
				break
			}
			if e, found := b.indexes[i].value(v.L[i]); found {
				out.L = append(out.L, e)
			}
		}
		ok = len(out.L) > 0
	}
	return out, ok
}
