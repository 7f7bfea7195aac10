package sam

import (
	"croft/internal/cfn/template"
)

// functionURL expands a function's FunctionUrlConfig: the URL and, where nobody needs to sign, what lets everybody call it. target names the function
// or its alias.
func (x *expander) functionURL(s *source, config, target *value) ([]*resource, error) {
	if !truthy(config) {
		return nil, nil
	}
	if intrinsic(config) {
		return nil, unsupported(s.id, config.Pos(), "A function in place of FunctionUrlConfig")
	}
	for _, field := range config.Fields() {
		switch field.Key {
		case "AuthType", "Cors", "InvokeMode":
		default:
			return nil, unsupported(s.id, field.Value.Pos(), "Property FunctionUrlConfig."+clip(field.Key))
		}
	}
	authType, cors := config.Get("AuthType"), config.Get("Cors")
	kind, _ := authType.Str()
	if !intrinsic(authType) && kind != "AWS_IAM" && kind != "NONE" {
		return nil, invalid(s.id, config.Pos(), "AuthType is required to configure function property `FunctionUrlConfig`. "+
			"Please provide either AWS_IAM or NONE.")
	}
	if err := checkURLCors(s.id, cors); err != nil {
		return nil, err
	}
	if !truthy(cors) {
		cors = nil
	}
	out := []*resource{{id: s.id + "Url", typ: "AWS::Lambda::Url", attributes: s.inherited(), properties: present(
		f("Cors", cors), f("AuthType", authType), f("TargetFunctionArn", target), f("InvokeMode", config.Get("InvokeMode")))}}
	if kind != "NONE" {
		return out, nil
	}
	permission := func(id, action string, more template.Field) *resource {
		return &resource{id: s.id + id, typ: "AWS::Lambda::Permission", attributes: s.inherited(), properties: []template.Field{
			f("Action", str(action)), f("FunctionName", target), f("Principal", str("*")), more,
		}}
	}
	return append(out,
		permission("UrlPublicPermissions", "lambda:InvokeFunctionUrl", f("FunctionUrlAuthType", authType)),
		permission("URLInvokeAllowPublicAccess", "lambda:InvokeFunction", f("InvokedViaFunctionUrl", template.NewBool(true)))), nil
}

// checkURLCors checks the CORS configuration of a URL as the translator does.
func checkURLCors(id string, cors *value) error {
	if !truthy(cors) || intrinsic(cors) {
		return nil
	}
	if !cors.Is(template.Map) {
		return invalid(id, cors.Pos(), "Property 'FunctionUrlConfig.Cors' should be a map.")
	}
	for _, field := range cors.Fields() {
		want, name := template.List, "list"
		switch field.Key {
		case "AllowOrigins", "AllowMethods", "AllowHeaders", "ExposeHeaders":
		case "AllowCredentials":
			want, name = template.Bool, "bool"
		case "MaxAge":
			want, name = template.Number, "int"
		default:
			return invalid(id, field.Value.Pos(), "%s is not a valid property for configuring Cors.", clip(field.Key))
		}
		if !intrinsic(field.Value) && !field.Value.Is(want) {
			return invalid(id, field.Value.Pos(), "%s must be of type %s.", field.Key, name)
		}
	}
	return nil
}
