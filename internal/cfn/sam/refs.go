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
			if name, ok := field.Value.Str(); ok && x.stages[name] != "" {
				return object(f("Ref", str(x.stages[name]).WithPos(field.Value.Pos()))).WithPos(v.Pos())
			}
		case "Fn::Sub":
			return object(f("Fn::Sub", x.rewriteSub(field.Value))).WithPos(v.Pos())
		}
		return v
	})
}

func (x *expander) rewriteSub(arg *value) *value {
	if text, ok := arg.Str(); ok {
		return str(replaceVariables(text, func(name string) (string, bool) {
			id := x.stages[name]
			return "${" + id + "}", id != ""
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
