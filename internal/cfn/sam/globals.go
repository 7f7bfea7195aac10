package sam

import (
	"strconv"
	"strings"

	"croft/internal/cfn/template"
)

// readGlobals checks the Globals section.
func (x *expander) readGlobals() error {
	g := x.root.Get("Globals")
	if g == nil {
		return nil
	}
	if !g.Is(template.Map) {
		return &problem{message: "'Globals' section is invalid. It must be a non-empty dictionary", pos: g.Pos()}
	}
	if count(g) > maxGlobals {
		return &problem{message: "'Globals' section is invalid. It has more than " + strconv.Itoa(maxGlobals) + " values", pos: g.Pos()}
	}
	for _, section := range g.Fields() {
		allowed := globalProperties("AWS::Serverless::" + section.Key)
		if allowed == "" {
			return &problem{message: "'Globals' section is invalid. '" + clip(section.Key) + "' is not supported by croft.", pos: section.Value.Pos()}
		}
		if !section.Value.Is(template.Map) {
			return &problem{message: "'Globals' section is invalid. Value of " + section.Key + " must be a dictionary", pos: section.Value.Pos()}
		}
		for _, p := range section.Value.Fields() {
			if strings.Contains(p.Key, " ") || !strings.Contains(allowed, " "+p.Key+" ") {
				return &problem{message: "'Globals' section is invalid. '" + clip(p.Key) + "' of '" + section.Key + "' is not supported by croft.",
					pos: p.Value.Pos()}
			}
		}
		x.globals["AWS::Serverless::"+section.Key] = section.Value
	}
	return nil
}

// globalProperties returns the properties that Globals may hold for a type, each between spaces.
func globalProperties(typ string) string {
	switch typ {
	case functionType:
		return " Handler Runtime CodeUri Description MemorySize Timeout Environment Tags Architectures " +
			"AutoPublishAlias AutoPublishAliasAllProperties ReservedConcurrentExecutions ProvisionedConcurrencyConfig Tracing SnapStart " +
			"EphemeralStorage RuntimeManagementConfig LoggingConfig RecursiveLoop Layers DeadLetterQueue EventInvokeConfig "
	case httpAPIType:
		return " CorsConfiguration Tags StageVariables AccessLogSettings DefaultRouteSettings RouteSettings FailOnWarnings "
	case tableType:
		return " SSESpecification "
	}
	return ""
}

// mergeGlobals puts the globals of s's type below its own properties, but for those that its IgnoreGlobals names.
func (x *expander) mergeGlobals(s *source) error {
	global := x.globals[s.typ]
	if global == nil {
		return nil
	}
	ignore := s.value.Get("IgnoreGlobals")
	all, _ := ignore.Str()
	switch {
	case !truthy(ignore):
	case all == "*":
		return nil
	case ignore.Is(template.List):
		for _, item := range ignore.Items() {
			name, _ := item.Scalar()
			if global.Get(name) == nil {
				return invalid(s.id, item.Pos(), "Resource %s has invalid resource attribute 'IgnoreGlobals' on item '%s'.", s.id, clip(name))
			}
			global = global.Without(name)
		}
	default:
		return invalid(s.id, ignore.Pos(), "Resource %s has invalid resource attribute 'IgnoreGlobals'.", s.id)
	}
	s.properties = merge(global, s.properties)
	return nil
}

// merge puts local over global: maps merge key by key, lists are joined, and of anything else the local value wins. A function
// counts as a plain value.
func merge(global, local *value) *value {
	if global.Kind() != local.Kind() || intrinsic(global) || intrinsic(local) {
		return local
	}
	switch local.Kind() {
	case template.List:
		return list(append(append([]*value{}, global.Items()...), local.Items()...)...)
	case template.Map:
		place := make(map[string]int, global.Len())
		fields := append([]template.Field{}, global.Fields()...)
		for i, field := range fields {
			place[field.Key] = i
		}
		for _, field := range local.Fields() {
			if i, ok := place[field.Key]; ok {
				fields[i].Value = merge(fields[i].Value, field.Value)
			} else {
				fields = append(fields, field)
			}
		}
		return object(fields...).WithPos(local.Pos())
	}
	return local
}

// count returns the number of values in v.
func count(v *value) int {
	n := 1
	for _, item := range v.Items() {
		n += count(item)
	}
	for _, field := range v.Fields() {
		n += count(field.Value)
	}
	return n
}
