package cloudformation

import (
	"context"
	"slices"
	"strings"

	"croft/internal/awsapi/cloudformation"
	"croft/internal/cfn"
	"croft/internal/cfn/sam"
	"croft/internal/cfn/template"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

// maxBody is CloudFormation's limit on TemplateBody, in bytes. Croft's own deployer, which has no other way, may go up to
// template.MaxSize.
const maxBody = 51200

// text is a template's text. Processed is empty when no transform was applied.
type text struct {
	Original  string `json:"original"`
	Processed string `json:"processed,omitempty"`
}

func (t *text) processed() string {
	if t.Processed == "" {
		return t.Original
	}
	return t.Processed
}

// loadText returns a stored template.
func loadText(r kv.Reader, key string) (*text, error) {
	t := new(text)
	ok, err := get(r, textKey(key), t)
	if err != nil {
		return nil, cfn.Unavailable(err)
	}
	if !ok {
		return nil, validation("The template is not available.")
	}
	return t, nil
}

// given is what a caller gives for a stack to be made of.
type given struct {
	body, url     *string
	usePrevious   bool
	parameters    []cloudformation.Parameter
	tags          []cloudformation.Tag
	capabilities  []string
	resourceTypes []string
	roleARN       *string
	// expand says that transforms need no CAPABILITY_AUTO_EXPAND, because a change set shows what they do.
	expand bool
}

// prepared is what a caller gave, checked and evaluated as far as it can be.
type prepared struct {
	source cfn.Source
	text   text
	target *cfn.Target
	plan   *cfn.Plan
}

// body returns the template's text that the caller gave or refers to.
func (s *Service) body(ctx context.Context, r kv.Reader, g *given, previous *cfn.Source) (string, error) {
	n := 0
	for _, is := range []bool{g.body != nil, g.url != nil, g.usePrevious} {
		if is {
			n++
		}
	}
	switch {
	case n == 0:
		return "", validation("Either Template URL or Template Body must be specified.")
	case n > 1:
		return "", validation("You must specify only one of: TemplateBody, TemplateURL, UsePreviousTemplate.")
	case g.url != nil:
		return s.fetch(ctx, *g.url)
	case g.usePrevious:
		if previous == nil || previous.Template == "" {
			return "", validation("UsePreviousTemplate cannot be specified when there is no previous template.")
		}
		t, err := loadText(r, previous.Template)
		if err != nil {
			return "", err
		}
		return t.Original, nil
	}
	if len(*g.body) > maxBody && !isOwn(ctx) {
		return "", validation("1 validation error detected: Value '%s' at 'templateBody' failed to satisfy constraint: "+
			"Member must have length less than or equal to %d", *g.body, maxBody)
	}
	return *g.body, nil
}

// isOwn reports whether croft itself is the caller.
func isOwn(ctx context.Context) bool {
	return cloud.CallOf(ctx).Principal.Kind == cloud.ServicePrincipal
}

// parse reads a template as CloudFormation's API does, which takes no YAML aliases.
func parse(ctx context.Context, body string) (*template.Template, error) {
	t, err := template.Parse([]byte(body))
	if err != nil {
		return nil, err
	}
	if t.UsesAliases && !isOwn(ctx) {
		return nil, validation("Template error: YAML aliases are not allowed in CloudFormation templates")
	}
	return t, nil
}

// prepare checks everything that can be told before anything is made. st is the stack as it is: without records when it is to be
// created.
func (s *Service) prepare(ctx context.Context, tx kv.Tx, g *given, st *cfn.Stack, previous *cfn.Source) (*prepared, error) {
	body, err := s.body(ctx, tx, g, previous)
	if err != nil {
		return nil, err
	}
	t, err := parse(ctx, body)
	if err != nil {
		return nil, err
	}
	p := &prepared{text: text{Original: body}}
	values, err := merge(t, g.parameters, previous)
	if err != nil {
		return nil, err
	}
	transforms := t.Transforms
	if t, err = sam.Expand(t, sam.Options{Parameters: values, Region: cloud.CallOf(ctx).Region}); err != nil {
		return nil, err
	}
	if len(transforms) > 0 {
		p.text.Processed = t.Root().String()
	}
	p.source = cfn.Source{
		Template: cloud.NewRequestID(), Description: t.Description, Capabilities: g.capabilities, Parameters: parametersOf(t, values),
		Tags: tagsOf(g.tags),
	}
	if p.source.RoleARN, err = s.role(ctx, g, previous); err != nil {
		return nil, err
	}
	if g.tags == nil && previous != nil {
		p.source.Tags = previous.Tags
	}
	if p.target, err = bind(ctx, st, t, &p.source); err != nil {
		return nil, err
	}
	if err := allowed(p.target, g, len(transforms) > 0); err != nil {
		return nil, err
	}
	p.plan, err = s.plan(tx, st, previous, p)
	return p, err
}

// bind makes a target of a template with the source's parameters.
func bind(ctx context.Context, st *cfn.Stack, t *template.Template, source *cfn.Source) (*cfn.Target, error) {
	params, err := t.ResolveParameters(source.Given())
	if err != nil {
		return nil, err
	}
	call := cloud.CallOf(ctx)
	b, err := t.Bind(params, template.Pseudo{AccountID: call.Account, Region: call.Region, StackID: st.ID, StackName: st.Name})
	if err != nil {
		return nil, err
	}
	return cfn.NewTarget(b)
}

// plan compares the stack with what it is to become.
func (s *Service) plan(tx kv.Tx, st *cfn.Stack, previous *cfn.Source, p *prepared) (*cfn.Plan, error) {
	planner := cfn.Planner{
		Types: s.exec.Types, Exports: journalOf(tx, st), Stack: st, Records: map[string]*cfn.Record{},
		Source: &p.source, Target: p.target,
	}
	all, err := records(tx, uid(st.ID))
	if err != nil {
		return nil, err
	}
	for _, r := range all {
		planner.Records[r.LogicalID] = r
	}
	if previous != nil && previous.Template != "" {
		old, err := loadText(tx, previous.Template)
		if err != nil {
			return nil, err
		}
		// What could be parsed when the stack was made can be parsed now; if not, the plan names fewer causes.
		if planner.Before, err = template.Parse([]byte(old.processed())); err != nil {
			planner.Before = nil
		}
	}
	return planner.Plan()
}

// merge returns the parameters' values as given, with those that the caller leaves as they were.
func merge(t *template.Template, in []cloudformation.Parameter, previous *cfn.Source) (map[string]string, error) {
	var before map[string]string
	if previous != nil {
		before = previous.Given()
	}
	values := make(map[string]string, len(in))
	for _, p := range in {
		key := wire.Value(p.ParameterKey)
		if key == "" {
			return nil, validation("Parameters: a ParameterKey is missing")
		}
		if p.ResolvedValue != nil {
			return nil, unsupported("ResolvedValue")
		}
		if _, dup := values[key]; dup {
			return nil, validation("Parameters: [%s] is given more than once", key)
		}
		if !wire.Value(p.UsePreviousValue) {
			values[key] = wire.Value(p.ParameterValue)
			continue
		}
		if p.ParameterValue != nil {
			return nil, validation("Invalid input for parameter key %s. Cannot specify usePreviousValue as true and give a value", key)
		}
		old, ok := before[key]
		if !ok {
			return nil, validation("Invalid input for parameter key %s. Cannot specify usePreviousValue as true for a parameter key not in "+
				"the previous template", key)
		}
		values[key] = old
	}
	// The transform and the parameters' own checks come later; what is asked for and not there is said first.
	_, err := t.ResolveParameters(values)
	return values, err
}

// parametersOf returns the parameters in the template's order, defaults included.
func parametersOf(t *template.Template, values map[string]string) (out []cfn.Parameter) {
	for _, p := range t.Parameters {
		v, ok := values[p.Name]
		if !ok && p.Default != nil {
			v = *p.Default
		}
		out = append(out, cfn.Parameter{Name: p.Name, Value: v, NoEcho: p.NoEcho})
	}
	return out
}

func tagsOf(in []cloudformation.Tag) (out []cfn.Tag) {
	for _, t := range in {
		out = append(out, cfn.Tag{Key: t.Key, Value: t.Value})
	}
	return out
}

// allowed refuses a template that needs capabilities which the caller has not acknowledged, or has types that the caller excludes.
func allowed(t *cfn.Target, g *given, transformed bool) error {
	if needed, _ := capabilities(t.Bound.Resources()); needed != "" && !slices.Contains(g.capabilities, needed) &&
		!slices.Contains(g.capabilities, capabilityNamed) {
		return cloudformation.NewInsufficientCapabilitiesException("Requires capabilities : [%s]", needed)
	}
	if transformed && !g.expand && !slices.Contains(g.capabilities, capabilityExpand) {
		return cloudformation.NewInsufficientCapabilitiesException("Requires capabilities : [%s]", capabilityExpand)
	}
	if g.resourceTypes == nil {
		return nil
	}
	for _, r := range t.Bound.Resources() {
		if !slices.ContainsFunc(g.resourceTypes, func(pattern string) bool { return matches(pattern, r.Type) }) {
			return validation("Resource type %s is not allowed by parameter ResourceTypes [%s]", r.Type, strings.Join(g.resourceTypes, ", "))
		}
	}
	return nil
}

// matches reports whether a type is one of those that an element of ResourceTypes allows: a type's name, or the beginning of one up
// to "::" and a star.
func matches(pattern, typ string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasSuffix(prefix, "::") && strings.HasPrefix(typ, prefix)
	}
	return pattern == typ
}

const (
	capabilityIAM    = "CAPABILITY_IAM"
	capabilityNamed  = "CAPABILITY_NAMED_IAM"
	capabilityExpand = "CAPABILITY_AUTO_EXPAND"
)

// capabilities returns the capability that resources need, and the types that need it.
func capabilities(resources []*template.Resource) (needed string, types []string) {
	names := map[string]string{
		"AWS::IAM::AccessKey": "", "AWS::IAM::Group": "GroupName", "AWS::IAM::InstanceProfile": "InstanceProfileName",
		"AWS::IAM::ManagedPolicy": "ManagedPolicyName", "AWS::IAM::Policy": "", "AWS::IAM::Role": "RoleName",
		"AWS::IAM::User": "UserName", "AWS::IAM::UserToGroupAddition": "",
	}
	for _, r := range resources {
		property, is := names[r.Type]
		if !is {
			continue
		}
		if !slices.Contains(types, r.Type) {
			types = append(types, r.Type)
		}
		if property != "" && r.Properties.Get(property) != nil {
			needed = capabilityNamed
		} else if needed == "" {
			needed = capabilityIAM
		}
	}
	return needed, types
}
