package template

import "strings"

// check finds what is wrong with a template that needs no transform (any more) before any parameter is known: malformed and
// unknown functions, references to nothing, null values.
func (t *Template) check() error {
	for _, f := range t.conditions {
		if err := t.checkCondition(f.Value, 0); err != nil {
			return err
		}
	}
	if err := t.checkConditionCycles(); err != nil {
		return err
	}
	if err := t.checkResources(); err != nil {
		return err
	}
	return t.checkOutputs()
}

func (t *Template) checkResources() error {
	c := &checker{t: t, unresolved: nameList{seen: keySet{}}}
	for _, r := range t.Resources {
		if r.Condition != "" && t.condition[r.Condition] == nil {
			return errorAt(r.Pos, "Template format error: Unresolved condition dependency %s in the Resources block of the template",
				clip(r.Condition))
		}
		if t.parameter[r.LogicalID] != nil {
			return errorAt(r.Pos, "Template format error: %s is both a parameter and a resource", r.LogicalID)
		}
		for _, d := range r.DependsOn {
			if t.resource[d] == nil {
				c.unresolved.add(d)
			}
		}
		if err := c.value(r.Properties); err != nil {
			return err
		}
		if err := c.value(r.Metadata); err != nil {
			return err
		}
		for _, p := range r.policies {
			if err := c.value(p.Value); err != nil {
				return err
			}
		}
	}
	return c.result(t.root.Get("Resources").Pos(), "Resources")
}

func (t *Template) checkOutputs() error {
	c := &checker{t: t, unresolved: nameList{seen: keySet{}}}
	for _, o := range t.Outputs {
		if o.Condition != "" && t.condition[o.Condition] == nil {
			return errorAt(o.Pos, "Template format error: Unresolved condition dependency %s in the Outputs block of the template",
				clip(o.Condition))
		}
		if err := c.value(o.Value); err != nil {
			return err
		}
		if o.ExportName != nil {
			if err := c.value(o.ExportName); err != nil {
				return err
			}
		}
	}
	return c.result(t.root.Get("Outputs").Pos(), "Outputs")
}

// checker walks values and collects the names that stand for nothing.
type checker struct {
	t          *Template
	unresolved nameList
}

type nameList struct {
	names []string
	seen  keySet
}

func (l *nameList) add(name string) {
	if len(l.names) < 100 && l.seen.add(name) {
		l.names = append(l.names, clip(name))
	}
}

func (c *checker) result(p Pos, section string) error {
	if len(c.unresolved.names) == 0 {
		return nil
	}
	return errorAt(p, "Template format error: Unresolved resource dependencies %s in the %s block of the template",
		quoteList(c.unresolved.names), section)
}

func (c *checker) value(v *Value) error {
	name, arg := Call(v)
	if name != "" {
		return c.call(name, arg)
	}
	switch v.Kind() {
	case List:
		for _, item := range v.items {
			if err := c.value(item); err != nil {
				return err
			}
		}
	case Map:
		for _, f := range v.fields {
			if f.Key == "Fn::Transform" {
				return errUnknownFunction(f.Key, f.Value.Pos())
			}
			if strings.HasPrefix(f.Key, "Fn::") {
				return errorAt(f.Value.Pos(), "Template error: %s must be the only member of its object", clip(f.Key))
			}
			if err := c.value(f.Value); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *checker) call(name string, arg *Value) error {
	if err := checkCall(name, arg); err != nil {
		return err
	}
	switch name {
	case fnRef:
		c.ref(arg.text)
		return nil
	case fnGetAtt:
		id, attribute, err := getAtt(arg)
		if err != nil {
			return err
		}
		if c.t.resource[id] == nil {
			return errorAt(arg.Pos(), "Template error: instance of Fn::GetAtt references undefined resource %s", clip(id))
		}
		return c.value(attribute)
	case fnSub:
		return c.sub(arg)
	case fnIf:
		if err := c.t.checkIf(arg); err != nil {
			return err
		}
		for _, branch := range arg.items[1:] {
			if err := c.value(branch); err != nil {
				return err
			}
		}
		return nil
	case fnFindInMap:
		if m := arg.items[0]; m.Is(String) && c.t.mappings[m.text] == nil {
			return errNoMapping(m)
		}
	}
	return c.value(arg)
}

// checkIf checks that the condition of a Fn::If is there.
func (t *Template) checkIf(arg *Value) error {
	if cond := arg.items[0]; t.condition[cond.text] == nil {
		return errorAt(cond.pos, "Template error: unresolved condition dependency %s in Fn::If", clip(cond.text))
	}
	return nil
}

func errNoMapping(m *Value) error {
	return errorAt(m.Pos(), "Template error: Mapping named '%s' is not present in the 'Mappings' section of template.", clip(m.text))
}

func (c *checker) ref(name string) {
	if !isPseudo(name) && c.t.parameter[name] == nil && c.t.resource[name] == nil {
		c.unresolved.add(name)
	}
}

func (c *checker) sub(arg *Value) error {
	text, vars, err := subArgs(arg)
	if err != nil {
		return err
	}
	for _, f := range vars.Fields() {
		if err := c.value(f.Value); err != nil {
			return err
		}
	}
	parts, err := parseSub(text)
	if err != nil {
		return err
	}
	local := vars.index()
	for _, part := range parts {
		if !part.variable || local[part.text] != nil {
			continue
		}
		id, attribute := subReference(part.text)
		if attribute == "" {
			c.ref(id)
		} else if c.t.resource[id] == nil {
			c.unresolved.add(id)
		}
	}
	return nil
}
