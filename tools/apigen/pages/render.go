package pages

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"croft/internal/cfn"
	"croft/internal/wire"
)

const warning = "<!-- Made by \"make generate\". Change notes/%s.md, not this file. -->\n\n"

type text struct{ bytes.Buffer }

func (t *text) f(format string, args ...any) { fmt.Fprintf(t, format, args...) }

func (t *text) paragraph(s string) {
	if s != "" {
		t.f("\n%s\n", s)
	}
}

func (p *page) render() []byte {
	t := &text{}
	t.f(warning, p.desc.API.Name)
	t.f("# %s\n", p.notes.title)
	t.paragraph(p.notes.intro)
	p.glance(t)
	p.operationTable(t)
	p.resources(t)
	for _, s := range p.notes.sections {
		if s.title != operationsTitle && s.title != resourcesTitle {
			t.f("\n## %s\n", s.title)
			t.paragraph(s.text)
		}
	}
	p.handlers(t)
	return t.Bytes()
}

func (p *page) glance(t *text) {
	s := p.desc.API
	t.f("\n## The API\n\n| | |\n| --- | --- |\n")
	t.f("| model | %s, version %s |\n", s.ServiceID, s.APIVersion)
	for i, proto := range s.Protocols {
		t.f("| %s | %s |\n", map[bool]string{true: "protocol", false: "also"}[i == 0], protocol(s, proto))
	}
	t.f("| signed for | `%s` |\n", s.SigningName)
	t.f("| endpoint | croft's own address, such as `http://127.0.0.1:4566`; in SDKs and the CLI `AWS_ENDPOINT_URL` or `%s` |\n", variable(s.ServiceID))
	t.f("| operations | %d of %d |\n", p.real, len(p.ops))
}

// variable returns the environment variable that points SDKs at an endpoint for one service.
func variable(serviceID string) string {
	return "AWS_ENDPOINT_URL_" + strings.ToUpper(strings.ReplaceAll(serviceID, " ", "_"))
}

// protocol names a protocol and says how a request of it names its operation.
func protocol(s *wire.Service, p wire.Protocol) string {
	switch p {
	case wire.AWSJSON:
		return fmt.Sprintf("AWS JSON %s: `X-Amz-Target: %s.OPERATION`", s.JSONVersion, s.TargetPrefix)
	case wire.Query:
		return fmt.Sprintf("query: `Action=OPERATION&Version=%s` in a form", s.APIVersion)
	case wire.RESTJSON:
		return "REST JSON: method and path"
	case wire.RESTXML:
		return "REST XML: method and path"
	case wire.RPCv2CBOR:
		return fmt.Sprintf("RPC v2 CBOR: `/service/%s/operation/OPERATION`", s.TargetPrefix)
	default:
		return "not served"
	}
}

func (p *page) operationTable(t *text) {
	code, status := refusal()
	t.f("\n## Operations\n\n%d of %d are real. The others answer `%s` (HTTP %d) with their name.\n", p.real, len(p.ops), code, status)
	t.paragraph(p.notes.section(operationsTitle))
	t.f("\n| operation | | notes |\n| --- | --- | --- |\n")
	for _, o := range p.ops {
		state := "refused: `" + code + "`"
		if o.real {
			state = "real"
		}
		t.f("| %s | %s | %s |\n", o.name, state, strings.Join(p.remarks(o), ". "))
	}
}

// remarks are what there is to say of an operation: its note, the parameters that are refused, those without effect.
func (p *page) remarks(o operation) (out []string) {
	if o.note != "" {
		out = append(out, strings.TrimSuffix(o.note, "."))
	}
	for _, c := range []struct{ class, words string }{{ClassRefused, "Refused: "}, {ClassNone, "Without effect: "}} {
		if names := p.members[o.name].short(c.class); len(names) > 0 {
			out = append(out, c.words+code(names))
		}
	}
	return out
}

// short returns the parameters of a class, and in the place of the parts of a parameter that are all of that class the parameter.
func (m members) short(class string) (out []string) {
	mixed := map[string]bool{}
	for other, paths := range m {
		for _, path := range paths {
			top, _, _ := strings.Cut(path, ".")
			mixed[top] = mixed[top] || other != class
		}
	}
	for _, path := range m[class] {
		top, _, _ := strings.Cut(path, ".")
		if mixed[top] {
			top = path
		}
		if !slices.Contains(out, top) {
			out = append(out, top)
		}
	}
	return out
}

func code(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return "`" + strings.Join(names, "`, `") + "`"
}

func (p *page) resources(t *text) {
	said := p.notes.section(resourcesTitle)
	if len(p.desc.Resources) == 0 && said == "" {
		return
	}
	t.f("\n## CloudFormation\n")
	if len(p.desc.Resources) > 0 {
		t.f("\n| type | properties |\n| --- | --- |\n")
		list := slices.Clone(p.desc.Resources)
		slices.SortFunc(list, func(a, b cfn.ResourceType) int { return strings.Compare(a.Type, b.Type) })
		for _, r := range list {
			t.f("| `%s` | %s |\n", r.Type, strings.Join(properties(r.Properties()), ", "))
		}
		t.f("\nProperties in bold are required. A change of one with ↻ makes a new resource. Any other property is refused by name.\n")
	}
	t.paragraph(said)
}

func properties(list []cfn.Property) (out []string) {
	for _, p := range list {
		name := p.Name
		if p.Required {
			name = "**" + name + "**"
		}
		if p.Replaces {
			name += "↻"
		}
		if len(p.Parts) > 0 {
			name += " (" + strings.Join(properties(p.Parts), ", ") + ")"
		}
		out = append(out, name)
	}
	return out
}

// handlers lists what the service does besides answering calls.
func (p *page) handlers(t *text) {
	messages := slices.Sorted(maps.Keys(p.desc.Outbox))
	timers := slices.Sorted(maps.Keys(p.desc.Timers))
	if len(messages)+len(timers) == 0 && p.desc.Run == nil && len(p.desc.Fronts) == 0 {
		return
	}
	t.f("\n## Beside the API\n\n| what | |\n| --- | --- |\n")
	if len(messages) > 0 {
		t.f("| messages that commit with what causes them | %s |\n", code(messages))
	}
	if len(timers) > 0 {
		t.f("| timers that survive a restart | %s |\n", code(timers))
	}
	if p.desc.Run != nil {
		t.f("| work in the background | yes |\n")
	}
	for _, f := range p.desc.Fronts {
		t.f("| requests from outside | `/_aws/%s/ID/…` and the host `ID.%s.…` |\n", f.Label, f.Label)
	}
}

func renderIndex(list []*page) []byte {
	t := &text{}
	t.f(warning, "SERVICE")
	t.f("# The services\n\nA page each. What is not implemented is refused by name; what is accepted without effect is listed.\n")
	t.f("\n| service | operations | CloudFormation types |\n| --- | --- | --- |\n")
	var real, all, types int
	for _, p := range list {
		t.f("| [%s](%s.md) | %d of %d | %d |\n", p.notes.title, p.desc.API.Name, p.real, len(p.ops), len(p.desc.Resources))
		real, all, types = real+p.real, all+len(p.ops), types+len(p.desc.Resources)
	}
	t.f("| **%d services** | **%d of %d** | **%d** |\n", len(list), real, all, types)
	t.f("\n## Every CloudFormation type\n\n")
	for _, p := range list {
		for _, r := range p.desc.Resources {
			t.f("- `%s` ([%s](%s.md#cloudformation))\n", r.Type, p.notes.title, p.desc.API.Name)
		}
	}
	return t.Bytes()
}
