package gen

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"croft/tools/apigen/model"
)

func ref(s *model.Shape) int {
	if s == nil {
		return 0
	}
	return s.Index
}

func service(w *writer, svc *model.Service) {
	m := svc.Meta
	w.f("// Service returns the service's description. It is shared: do not change it.\nfunc Service() *wire.Service { return &service }\n\n")
	w.f("var service = wire.Service{\nName: %q, ServiceID: %q, SigningName: %q, EndpointPrefix: %q, TargetPrefix: %q,\n",
		svc.Name, m.ServiceID, m.SigningName, m.EndpointPrefix, m.TargetPrefix)
	w.f("JSONVersion: %q, XMLNamespace: %q, APIVersion: %q, ErrorPrefix: %q,\n", m.JSONVersion, m.XMLNamespace, m.APIVersion, m.ErrorPrefix)
	w.f("Protocols: []wire.Protocol{")
	for _, p := range m.Protocols {
		w.f("wire.%s,", protocolName(p))
	}
	w.f("},\nQueryCompatible: %t, CRC32: %t, PathMember: %q,\nSchema: &schema,\n", m.QueryCompatible, m.CRC32, m.PathMember)
	if m.S3Rules {
		w.f("S3Rules: true,\n")
	}
	w.f("Errors: []wire.Ref{")
	for _, s := range svc.Errors {
		w.f("%d,", ref(s))
	}
	w.f("},\nOperations: []*wire.Operation{\n")
	for _, op := range svc.Operations {
		w.f("&op%s,\n", op.Name)
	}
	w.f("},\nOthers: []wire.OtherOperation{\n")
	for _, op := range svc.Others {
		w.f("{Name: %q, Route: %s", op.Name, route(svc, op))
		if op.HostPrefix != "" {
			w.f(", HostPrefix: %q", op.HostPrefix)
		}
		w.f("},\n")
	}
	w.f("},\n}\n")
}

func protocolName(p string) string {
	switch p {
	case "json":
		return "AWSJSON"
	case "query":
		return "Query"
	case "ec2":
		return "EC2Query"
	case "rest-json":
		return "RESTJSON"
	case "rest-xml":
		return "RESTXML"
	case "smithy-rpc-v2-cbor":
		return "RPCv2CBOR"
	}
	return "Unknown_" + p
}

// route returns the literal of an operation's route; RPC protocols have none.
func route(svc *model.Service, op *model.Operation) string {
	if !strings.HasPrefix(svc.Meta.Protocols[0], "rest-") {
		return "wire.Route{}"
	}
	path, query, _ := strings.Cut(op.URI, "?")
	segments := strings.Split(strings.Trim(path, "/"), "/")
	out := fmt.Sprintf("wire.Route{Method: %q, Segments: %s", op.Method, stringSlice(segments))
	if query != "" {
		out += ", Query: " + stringSlice(strings.Split(query, "&"))
	}
	if len(op.Headers) > 0 {
		out += ", Headers: " + stringSlice(op.Headers)
	}
	return out + "}"
}

func stringSlice(list []string) string {
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = fmt.Sprintf("%q", s)
	}
	return "[]string{" + strings.Join(quoted, ", ") + "}"
}

func operations(w *writer, svc *model.Service) {
	for _, op := range svc.Operations {
		w.f("var op%s = wire.Operation{\nName: %q, Status: %d, Route: %s,\nInput: %d, Output: %d, Schema: &schema,\n",
			op.Name, op.Name, op.Status, route(svc, op), ref(op.Input), ref(op.Output))
		if op.HostPrefix != "" {
			w.f("HostPrefix: %q,\n", op.HostPrefix)
		}
		if op.ContentType != "" {
			w.f("ContentType: %q,\n", op.ContentType)
		}
		if op.Root != "" {
			w.f("Root: %q,\n", op.Root)
		}
		if op.Unwrapped {
			w.f("Unwrapped: true,\n")
		}
		w.f("New: func() any { return new(%s) },\n", inputName(op))
		w.f("Invoke: func(ctx context.Context, api, in any) (any, error) {\n"+
			"out, err := api.(API).%s(ctx, in.(*%s))\nif err != nil {\nreturn nil, err\n}\nreturn out, nil\n},\n}\n\n", op.Name, inputName(op))
	}
}

func schema(w *writer, svc *model.Service) {
	v := svc.Meta.Validation
	w.f("var schema = wire.Schema{\n")
	if svc.Meta.Wording != "" {
		w.f("Wording: wire.%s,\n", svc.Meta.Wording)
	}
	w.f("Validation: wire.Validation{Code: %q, QueryCode: %q, HideValues: %t", v.Code, v.QueryCode, v.HideValues)
	if v.Missing != "" {
		w.f(", Missing: %q, MissingQuery: %q, MissingFormat: %q", v.Missing, v.MissingQuery, v.MissingFormat)
	}
	if len(v.Off) > 0 {
		w.f(", Off: %s", stringSlice(v.Off))
	}
	w.f("},\nShapes: []wire.Shape{\n{},\n")
	for _, s := range svc.Shapes {
		shape(w, s)
	}
	w.f("},\n}\n")
}

func shape(w *writer, s *model.Shape) {
	w.f("%d: {Name: %q, Kind: wire.%s", s.Index, s.Name, strings.ToUpper(s.Type[:1])+s.Type[1:])
	if s.Elem != nil {
		w.f(", Elem: %d, ElemName: %q", s.Elem.Index, s.ElemName)
	}
	if s.Key != nil {
		w.f(", Key: %d, KeyName: %q", s.Key.Index, s.KeyName)
	}
	if s.Flat {
		w.f(", Flat: true")
	}
	if s.Checked {
		w.f(", Checked: true")
	}
	if s.Sensitive {
		w.f(", Sensitive: true")
	}
	if s.HasMin || s.HasMax {
		w.f(", Limits: &wire.Limits{Min: %d, Max: %d, HasMin: %t, HasMax: %t}", s.Min, s.Max, s.HasMin, s.HasMax)
	}
	if s.Pattern != "" {
		w.f(", Pattern: &wire.Pattern{Source: %q%s}", s.Pattern, goPattern(s))
	}
	if s.OrARN {
		w.f(", OrARN: true")
	}
	if len(s.Enum) > 0 {
		w.f(", Enum: %s", stringSlice(s.Enum))
	}
	if s.TimeFormat != "" {
		w.f(", Time: wire.%s", timeFormat(s.TimeFormat))
	}
	if s.Error != nil {
		w.f(", Error: &error%s", s.GoName)
	}
	members(w, s)
	w.f("},\n")
}

func members(w *writer, s *model.Shape) {
	if len(s.Members) == 0 {
		return
	}
	for i, m := range s.Members {
		if s.Payload != "" && m.Name == s.Payload {
			w.f(", Payload: %d", i+1)
		}
	}
	for i, m := range s.Members {
		if s.First != "" && m.Name == s.First {
			w.f(", First: %d", i+1)
		}
	}
	for i, m := range s.Members {
		if s.Events != "" && m.Name == s.Events {
			w.f(", Events: %d", i+1)
		}
	}
	memberList(w, "Members", s.Members)
	if len(s.Exceptions) > 0 {
		memberList(w, "Exceptions", s.Exceptions)
	}
}

func memberList(w *writer, field string, list []model.Member) {
	w.f(", %s: []wire.Member{\n", field)
	for _, m := range list {
		w.f("{Name: %q, Wire: %q, Shape: %d", m.Name, m.Wire, m.Shape.Index)
		if m.Required {
			w.f(", Required: true")
		}
		if m.Flat {
			w.f(", Flat: true")
		}
		if m.Location != "" {
			w.f(", In: wire.%s", location(m.Location))
		}
		if m.Attribute {
			w.f(", Attribute: true")
		}
		w.f("},\n")
	}
	w.f("}")
}

func location(l string) string {
	switch l {
	case "header":
		return "InHeader"
	case "headers":
		return "InHeaders"
	case "querystring":
		return "InQuery"
	case "uri":
		return "InURI"
	case "statusCode":
		return "InStatus"
	case "eventHeader":
		return "InEventHeader"
	}
	return "Unknown_" + l
}

func timeFormat(f string) string {
	switch f {
	case "unixTimestamp":
		return "UnixTime"
	case "iso8601":
		return "ISOTime"
	case "rfc822":
		return "HTTPTime"
	}
	return "Unknown_" + f
}

var unicodeEscape = regexp.MustCompile(`\\u([0-9a-fA-F]{4})`)

// goPattern returns the table's Go field for a pattern whose Go form differs from the model's.
func goPattern(s *model.Shape) string {
	if g := translate(s); g != s.Pattern {
		return fmt.Sprintf(", Go: %q", g)
	}
	return ""
}

func translate(s *model.Shape) string {
	if s.GoPattern != "" {
		return s.GoPattern
	}
	return unicodeEscape.ReplaceAllString(s.Pattern, `\x{$1}`)
}

// CheckPatterns reports the patterns of svc that Go cannot compile: they need a patch.
func CheckPatterns(svc *model.Service) error {
	var all []error
	for _, s := range svc.Shapes {
		if _, err := regexp.Compile(translate(s)); err != nil {
			all = append(all, fmt.Errorf("pattern of %s, %s: %w", s.Name, s.Pattern, err))
		}
	}
	return errors.Join(all...)
}
