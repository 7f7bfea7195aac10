package template

// Bound is a template with its parameters: the conditions are decided, and with them which resources and outputs there are.
type Bound struct {
	Template   *Template
	Parameters Parameters
	Pseudo     Pseudo

	conditions map[string]bool
	resources  []*Resource
	exists     map[string]*Resource
	outputs    []*Output
	references map[string][]Reference
}

// Reference is one mention of a parameter or a resource in a resource's properties or metadata, in a branch that is taken.
type Reference struct {
	// Name is the parameter's name or the resource's logical id.
	Name string
	// Attribute is set for Fn::GetAtt and for a variable with a dot in Fn::Sub; it is "*" when only evaluating would tell.
	Attribute string
	// Property is the top-level property in which it stands, and empty when it stands in the resource's Metadata.
	Property string
	Pos      Pos
}

// Bind evaluates the conditions. It refuses a resource or output that refers to a resource which its conditions leave out, and
// a look-up in the mappings that finds nothing.
func (t *Template) Bind(params Parameters, pseudo Pseudo) (*Bound, error) {
	if len(t.Transforms) > 0 {
		return nil, Unsupported(t.root.Get("Transform").Pos(), "The transform "+clip(t.Transforms[0]))
	}
	b := &Bound{Template: t, Parameters: params, Pseudo: pseudo, exists: map[string]*Resource{}, references: map[string][]Reference{}}
	if err := b.decide(); err != nil {
		return nil, err
	}
	for _, r := range t.Resources {
		if r.Condition == "" || b.conditions[r.Condition] {
			r, err := b.decidePolicies(r)
			if err != nil {
				return nil, err
			}
			b.resources = append(b.resources, r)
			b.exists[r.LogicalID] = r
		}
	}
	for _, o := range t.Outputs {
		if o.Condition == "" || b.conditions[o.Condition] {
			b.outputs = append(b.outputs, o)
		}
	}
	return b, b.resolve()
}

// Resources returns the resources that exist under the conditions, in the template's order. The caller does not change the slice.
func (b *Bound) Resources() []*Resource { return b.resources }

// Resource returns the resource of that logical id if it exists under the conditions, or nil.
func (b *Bound) Resource(id string) *Resource { return b.exists[id] }

// Outputs returns the outputs that exist under the conditions, in the template's order. The caller does not change the slice.
func (b *Bound) Outputs() []*Output { return b.outputs }

// Condition reports how the condition of that name was decided.
func (b *Bound) Condition(name string) bool { return b.conditions[name] }

// References returns what the properties and the metadata of a resource refer to: parameters, pseudo parameters and resources, in the order of the text.
func (b *Bound) References(id string) []Reference { return b.references[id] }

// resolve collects every resource's references and checks that what is referred to exists.
func (b *Bound) resolve() error {
	unresolved := nameList{seen: keySet{}}
	for _, r := range b.resources {
		for _, f := range r.Properties.Fields() {
			for _, ref := range references(f.Value, b.conditions) {
				ref.Property = f.Key
				b.references[r.LogicalID] = append(b.references[r.LogicalID], ref)
				b.note(&unresolved, ref)
			}
			if err := b.checkLookups(f.Value); err != nil {
				return err
			}
		}
		for _, ref := range references(r.Metadata, b.conditions) {
			b.references[r.LogicalID] = append(b.references[r.LogicalID], ref)
			b.note(&unresolved, ref)
		}
	}
	const message = "Template format error: Unresolved resource dependencies %s in the %s block of the template"
	if len(unresolved.names) > 0 {
		return errorAt(b.Template.root.Get("Resources").Pos(), message, quoteList(unresolved.names), "Resources")
	}
	for _, o := range b.outputs {
		for _, ref := range append(references(o.Value, b.conditions), references(o.ExportName, b.conditions)...) {
			b.note(&unresolved, ref)
		}
	}
	if len(unresolved.names) > 0 {
		return errorAt(b.Template.root.Get("Outputs").Pos(), message, quoteList(unresolved.names), "Outputs")
	}
	return nil
}

func (b *Bound) note(unresolved *nameList, ref Reference) {
	if b.Template.resource[ref.Name] != nil && b.exists[ref.Name] == nil {
		unresolved.add(ref.Name)
	}
}

// checkLookups evaluates each Fn::FindInMap whose keys do not depend on resources.
func (b *Bound) checkLookups(v *Value) error {
	name, arg := Call(v)
	if name == fnIf {
		return b.checkLookups(b.branch(arg))
	}
	if name == fnFindInMap {
		for _, ref := range references(arg, b.conditions) {
			if b.Template.resource[ref.Name] != nil {
				return nil
			}
		}
		_, err := b.evaluator(noResources{}).value(v, 0)
		return err
	}
	for _, item := range v.Items() {
		if err := b.checkLookups(item); err != nil {
			return err
		}
	}
	for _, f := range v.Fields() {
		if err := b.checkLookups(f.Value); err != nil {
			return err
		}
	}
	return nil
}

// branch returns the branch of a Fn::If that is taken.
func (b *Bound) branch(arg *Value) *Value {
	if b.conditions[arg.items[0].text] {
		return arg.items[1]
	}
	return arg.items[2]
}

// references returns what v refers to; in a Fn::If it follows the branch that decided picks, or both when decided is nil. v has
// been checked.
func references(v *Value, decided map[string]bool) []Reference {
	c := collector{decided: decided}
	c.value(v)
	return c.found
}

type collector struct {
	decided map[string]bool
	found   []Reference
}

func (c *collector) value(v *Value) {
	name, arg := Call(v)
	switch name {
	case fnRef:
		c.found = append(c.found, Reference{Name: arg.text, Pos: v.pos})
	case fnGetAtt:
		c.getAtt(v, arg)
	case fnSub:
		c.sub(arg)
	case fnIf:
		if c.decided == nil || c.decided[arg.items[0].text] {
			c.value(arg.items[1])
		}
		if c.decided == nil || !c.decided[arg.items[0].text] {
			c.value(arg.items[2])
		}
	default:
		for _, item := range v.Items() {
			c.value(item)
		}
		for _, f := range v.Fields() {
			c.value(f.Value)
		}
	}
}

func (c *collector) getAtt(v, arg *Value) {
	id, attribute, err := getAtt(arg)
	if err != nil {
		return
	}
	text, ok := attribute.Str()
	if !ok {
		text = "*"
		c.value(attribute)
	}
	c.found = append(c.found, Reference{Name: id, Attribute: text, Pos: v.pos})
}

func (c *collector) sub(arg *Value) {
	text, vars, err := subArgs(arg)
	if err != nil {
		return
	}
	for _, f := range vars.Fields() {
		c.value(f.Value)
	}
	parts, err := parseSub(text)
	if err != nil {
		return
	}
	local := vars.index()
	for _, part := range parts {
		if part.variable && local[part.text] == nil {
			id, attribute := subReference(part.text)
			c.found = append(c.found, Reference{Name: id, Attribute: attribute, Pos: text.pos})
		}
	}
}
