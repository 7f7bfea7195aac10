package sam

import (
	"strings"

	"croft/internal/cfn/template"
)

// cors returns the CORS part of an API's definition, or nil.
func (x *expander) cors(id string, v *value) (*value, error) {
	v = x.resolve(v)
	if !truthy(v) {
		return nil, nil
	}
	if v.Is(template.Bool) {
		return object(f("allowOrigins", strs("*"))), nil
	}
	if intrinsic(v) {
		return lowerCORS(v), nil
	}
	if !v.Is(template.Map) {
		return nil, invalid(id, v.Pos(), "Invalid value for 'Cors' property.")
	}
	var out []template.Field
	for _, field := range v.Fields() {
		if !corsKey(field.Key) {
			return nil, invalid(id, field.Value.Pos(), "Invalid key '%s' for 'Cors' property.", clip(field.Key))
		}
		if field.Key == "AllowOrigins" && intrinsic(field.Value) {
			return nil, unsupported(id, field.Value.Pos(), "A function in place of CorsConfiguration.AllowOrigins")
		}
		keep := truthy(field.Value)
		switch field.Key {
		case "MaxAge":
			keep = !field.Value.Is(template.Null)
		case "AllowCredentials":
			keep = field.Value.IsTrue()
		}
		if keep {
			out = append(out, f(lowerFirst(field.Key), field.Value))
		}
	}
	origins := v.Get("AllowOrigins").Items()
	if v.Get("AllowCredentials").IsTrue() && len(origins) == 1 && origins[0].Equal(str("*")) {
		return nil, invalid(id, v.Pos(), "Unable to add Cors configuration because 'AllowCredentials' can not be true when 'AllowOrigin' is "+
			"\"'*'\" or not set.")
	}
	return object(out...), nil
}

func corsKey(key string) bool {
	for _, k := range corsKeys() {
		if k == key {
			return true
		}
	}
	return false
}

func corsKeys() []string {
	return []string{"AllowOrigins", "AllowHeaders", "AllowMethods", "ExposeHeaders", "MaxAge", "AllowCredentials"}
}

func lowerFirst(s string) string { return strings.ToLower(s[:1]) + s[1:] }

// lowerCORS writes CORS keys below a function the way OpenAPI has them. The translator replaces the words wherever they stand.
func lowerCORS(v *value) *value {
	var pairs []string
	for _, k := range corsKeys() {
		pairs = append(pairs, k, lowerFirst(k))
	}
	return replaceText(v, strings.NewReplacer(pairs...))
}

func replaceText(v *value, r *strings.Replacer) *value {
	switch v.Kind() {
	case template.String:
		text, _ := v.Str()
		return str(r.Replace(text)).WithPos(v.Pos())
	case template.List:
		items := make([]*value, v.Len())
		for i, item := range v.Items() {
			items[i] = replaceText(item, r)
		}
		return list(items...).WithPos(v.Pos())
	case template.Map:
		fields := make([]template.Field, v.Len())
		for i, field := range v.Fields() {
			fields[i] = f(r.Replace(field.Key), replaceText(field.Value, r))
		}
		return object(fields...).WithPos(v.Pos())
	}
	return v
}
