package gen

import (
	"fmt"
	"strings"
	"unicode"

	"croft/tools/apigen/model"
)

func types(w *writer, svc *model.Service) {
	names := map[string]bool{}
	for _, s := range svc.Shapes {
		if (s.Type == "structure" || s.Type == "eventStream") && s.Error == nil {
			names[s.GoName] = true
			structure(w, s)
		}
	}
	for _, op := range svc.Operations {
		if !names[inputName(op)] {
			w.f("// %s is the input of %s.\ntype %s %s\n\n", inputName(op), op.Name, inputName(op), definition(op.Input))
		}
		if !names[outputName(op)] {
			w.f("// %s is the output of %s.\ntype %s %s\n\n", outputName(op), op.Name, outputName(op), definition(op.Output))
		}
	}
}

// definition is what an operation's own name for its input or output stands for: a structure without members where the model has
// none, so that every method has the same form.
func definition(s *model.Shape) string {
	if s == nil {
		return "struct{}"
	}
	return "= " + s.GoName
}

func structure(w *writer, s *model.Shape) {
	w.f("// %s is the model's %s.\ntype %s struct {\n", s.GoName, s.Name, s.GoName)
	for _, m := range s.Members {
		note := ""
		if m.Required && !scalar(m.Shape) {
			note = " // required"
		}
		w.f("%s %s%s\n", m.GoName, memberType(m), note)
	}
	w.f("}\n\n")
}

func scalar(s *model.Shape) bool {
	switch s.Type {
	case "string", "boolean", "integer", "long", "float", "double", "timestamp":
		return true
	}
	return false
}

func memberType(m model.Member) string {
	t := goType(m.Shape)
	if m.Shape.Type == "structure" || (scalar(m.Shape) && !m.Required) {
		return "*" + t
	}
	return t
}

func goType(s *model.Shape) string {
	switch s.Type {
	case "boolean":
		return "bool"
	case "integer":
		return "int32"
	case "long":
		return "int64"
	case "float":
		return "float32"
	case "double":
		return "float64"
	case "timestamp":
		return "time.Time"
	case "blob":
		return "[]byte"
	case "document":
		return "wire.RawDocument"
	case "eventStream":
		return "wire.Events[" + s.GoName + "]"
	case "streamed":
		return "*wire.Stream"
	case "list":
		return "[]" + goType(s.Elem)
	case "map":
		return "map[string]" + goType(s.Elem)
	case "structure":
		return s.GoName
	}
	return "string"
}

func enums(w *writer, svc *model.Service) {
	for _, s := range svc.Shapes {
		if len(s.Enum) == 0 {
			continue
		}
		seen := map[string]bool{}
		w.f("// The values of %s.\nconst (\n", s.Name)
		for _, value := range s.Enum {
			name := model.Export(s.Name) + identifier(value)
			for seen[name] {
				name += "_"
			}
			seen[name] = true
			w.f("%s = %q\n", name, value)
		}
		w.f(")\n\n")
	}
}

// identifier turns an enumeration's value into the end of a Go name: each run of letters and digits begins in upper case, and
// two runs that would join digit to digit keep an underscore between them.
func identifier(value string) string {
	var b strings.Builder
	start, last := true, rune(0)
	for _, r := range value {
		if r > unicode.MaxASCII || !(unicode.IsLetter(r) || unicode.IsDigit(r)) {
			start = true
			continue
		}
		if start {
			if unicode.IsDigit(r) && unicode.IsDigit(last) {
				b.WriteByte('_')
			}
			r = unicode.ToUpper(r)
		}
		b.WriteRune(r)
		start, last = false, r
	}
	if b.Len() == 0 {
		return fmt.Sprintf("Value%x", value)
	}
	return b.String()
}

func errorsFile(w *writer, svc *model.Service) {
	for _, s := range svc.Errors {
		w.f("var error%s = wire.ErrorTrait{Code: %q, QueryCode: %q, Status: %d}\n\n", s.GoName, s.Error.Code, s.Error.QueryCode, s.Error.Status)
		w.f("// New%s returns the error %s, of HTTP status %d.\nfunc New%s(format string, args ...any) *cloud.Error {\nreturn wire.NewError(&error%s, format, args)\n}\n\n",
			s.GoName, s.Error.Code, s.Error.Status, s.GoName, s.GoName)
	}
}
