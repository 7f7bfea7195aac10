package template

import "strings"

// subPart is a piece of a Fn::Sub string: literal text, or a variable's name.
type subPart struct {
	text     string
	variable bool
}

// parseSub splits a Fn::Sub string. ${!Name} stands for the literal ${Name}; a "${" that is never closed is literal too.
func parseSub(v *Value) ([]subPart, error) {
	var parts []subPart
	rest := v.text
	for {
		start := strings.Index(rest, "${")
		if start < 0 {
			break
		}
		length := strings.IndexByte(rest[start:], '}')
		if length < 0 {
			break
		}
		name := rest[start+2 : start+length]
		if start > 0 {
			parts = append(parts, subPart{text: rest[:start]})
		}
		rest = rest[start+length+1:]
		if literal, ok := strings.CutPrefix(name, "!"); ok {
			parts = append(parts, subPart{text: "${" + literal + "}"})
			continue
		}
		if !subName(name) {
			return nil, errorAt(v.pos, "Template error: variable names in Fn::Sub syntax must contain only alphanumeric characters, "+
				"underscores, periods, and colons")
		}
		parts = append(parts, subPart{text: name, variable: true})
	}
	if rest != "" {
		parts = append(parts, subPart{text: rest})
	}
	return parts, nil
}

func subName(s string) bool {
	for i := range len(s) {
		if c := s[i]; c != '_' && c != '.' && c != ':' && !alphanumeric(s[i:i+1]) {
			return false
		}
	}
	return s != ""
}

// subArgs returns the string and the variables (nil for none) of a Fn::Sub's argument.
func subArgs(arg *Value) (text, vars *Value, err error) {
	if arg.Is(String) {
		return arg, nil, nil
	}
	if arg.Is(List) && len(arg.items) == 2 && arg.items[0].Is(String) && arg.items[1].Is(Map) {
		if name, _ := Call(arg.items[1]); name == "" {
			return arg.items[0], arg.items[1], nil
		}
	}
	return nil, nil, errorAt(arg.Pos(), "Template error: One or more Fn::Sub intrinsic functions don't specify expected arguments. "+
		"Specify a string as first argument, and an optional second argument to specify a mapping of values to replace in the string")
}

// subReference returns what a variable of a Fn::Sub refers to: "Name" or "Resource.Attribute".
func subReference(name string) (id, attribute string) {
	if isPseudo(name) {
		return name, ""
	}
	id, attribute, _ = strings.Cut(name, ".")
	return id, attribute
}
