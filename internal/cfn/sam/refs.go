package sam

import (
	"strings"

	"croft/internal/cfn/template"
)

// parameter returns the value of a parameter where SAM has to know it: what was given, or else the default as it is written.
func (x *expander) parameter(name string) *value {
	if s, ok := x.opts.Parameters[name]; ok {
		return str(s)
	}
	if name == "AWS::Region" && x.opts.Region != "" {
		return str(x.opts.Region)
	}
	return x.defaults[name]
}

// resolve replaces the references to parameters in v by their values, and leaves everything else.
func (x *expander) resolve(v *value) *value {
	return rewrite(v, func(v *value) *value {
		if v.Len() != 1 {
			return v
		}
		if name, ok := v.Get("Ref").Str(); ok {
			if p := x.parameter(name); p != nil {
				return p
			}
		}
		if text, ok := v.Get("Fn::Sub").Str(); ok {
			size := 0
			return sub(replaceVariables(text, func(name string) (string, bool) {
				s, ok := x.parameter(name).Scalar()
				size += len(s)
				return s, ok && size <= maxSubstitute
			}))
		}
		return v
	})
}

// rewriteRefs turns references to what a SAM resource generates, such as MyApi.Stage, into references to the generated resource.
func (x *expander) rewriteRefs(root *value) *value {
	if len(x.stages) == 0 {
		return root
	}
	return rewrite(root, func(v *value) *value {
		if v.Len() != 1 {
			return v
		}
		field := v.Fields()[0]
		switch field.Key {
		case "Ref":
			name, _ := field.Value.Str()
			if id, ok := x.generated(name); ok {
				return object(f("Ref", str(id).WithPos(field.Value.Pos()))).WithPos(v.Pos())
			}
		case "Fn::GetAtt":
			return x.rewriteGetAtt(v, field.Value)
		case "Fn::Sub":
			return object(f("Fn::Sub", x.rewriteSub(field.Value))).WithPos(v.Pos())
		}
		return v
	})
}

// generated returns the resource that a name such as MyApi.Stage means, with what follows it, an attribute.
func (x *expander) generated(name string) (string, bool) {
	parts := strings.SplitN(name, ".", 3)
	if id := x.stages[parts[0]]; id != "" {
		return id + strings.TrimPrefix(name, parts[0]), true
	}
	if len(parts) < 2 {
		return "", false
	}
	id := x.stages[parts[0]+"."+parts[1]]
	if len(parts) == 3 {
		return id + "." + parts[2], id != ""
	}
	return id, id != ""
}

// rewriteDepends does for the DependsOn of a resource what rewriteRefs does for references.
func (x *expander) rewriteDepends(r *value) *value {
	depends := r.Get("DependsOn")
	rename := func(v *value) *value {
		name, _ := v.Str()
		if id := x.stages[name]; id != "" {
			return str(id).WithPos(v.Pos())
		}
		return v
	}
	switch depends.Kind() {
	case template.String:
		return r.Set("DependsOn", rename(depends))
	case template.List:
		items := make([]*value, depends.Len())
		for i, item := range depends.Items() {
			items[i] = rename(item)
		}
		return r.Set("DependsOn", list(items...).WithPos(depends.Pos()))
	}
	return r
}

// rewriteGetAtt rewrites v, a Fn::GetAtt with the argument arg.
func (x *expander) rewriteGetAtt(v, arg *value) *value {
	items := arg.Items()
	if len(items) != 2 {
		return v
	}
	resource, _ := items[0].Str()
	attribute, _ := items[1].Str()
	name, ok := x.generated(resource + "." + attribute)
	id, rest, more := strings.Cut(name, ".")
	if !ok || !more {
		return v
	}
	return object(f("Fn::GetAtt", list(str(id), str(rest)).WithPos(arg.Pos()))).WithPos(v.Pos())
}

func (x *expander) rewriteSub(arg *value) *value {
	if text, ok := arg.Str(); ok {
		return str(replaceVariables(text, func(name string) (string, bool) {
			id, ok := x.generated(name)
			return "${" + id + "}", ok
		})).WithPos(arg.Pos())
	}
	if items := arg.Items(); len(items) == 2 {
		return list(x.rewriteSub(items[0]), items[1]).WithPos(arg.Pos())
	}
	return arg
}

// replaceVariables replaces the ${Name} of a Fn::Sub string for which there is a replacement.
func replaceVariables(text string, replacement func(name string) (string, bool)) string {
	var b strings.Builder
	for {
		start := strings.Index(text, "${")
		end := strings.IndexByte(text[max(start, 0):], '}')
		if start < 0 || end < 0 {
			b.WriteString(text)
			return b.String()
		}
		end += start
		b.WriteString(text[:start])
		if s, ok := replacement(text[start+2 : end]); ok {
			b.WriteString(s)
		} else {
			b.WriteString(text[start : end+1])
		}
		text = text[end+1:]
	}
}

// rewrite applies change to every map in v, from the leaves up.
func rewrite(v *value, change func(*value) *value) *value {
	switch v.Kind() {
	case template.List:
		items := make([]*value, v.Len())
		for i, item := range v.Items() {
			items[i] = rewrite(item, change)
		}
		return list(items...).WithPos(v.Pos())
	case template.Map:
		fields := make([]template.Field, v.Len())
		for i, field := range v.Fields() {
			fields[i] = f(field.Key, rewrite(field.Value, change))
		}
		return change(object(fields...).WithPos(v.Pos()))
	}
	return v
}
