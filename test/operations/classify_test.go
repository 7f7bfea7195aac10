package operations

import (
	"testing"

	"croft/internal/service"
	"croft/internal/wire"
	"croft/tools/apigen/pages"
)

func TestClassify(t *testing.T) {
	base := outcome{answer: "{}", state: "1"}
	refused := func(code, message string) outcome { return outcome{state: "0", code: code, message: message} }
	a := &audit{
		desc:  service.Descriptor{API: &wire.Service{Name: "x"}},
		notes: "# X\n\n## Kept without effect\n\n| `Hint` | why |\n\n## Limits\n\n`Size`\n",
		rules: []*rule{
			{op: "Put", member: "ReturnValues", verb: "answer", text: "asked for"},
			{op: "Put", member: "Slow", verb: "real", text: "shown elsewhere"},
			{op: "*", member: "Stack", verb: "effect", text: "NoSuchStack"},
			{op: "*", member: "Fifo", verb: "aws", text: "NotFifo"},
			{op: "*", member: "Header", verb: "refused", text: "NotImplemented"},
		},
	}
	for _, c := range []struct {
		name, path string
		tried      []outcome
		class      string // empty for a finding
	}{
		{"stored", "Size", []outcome{{answer: "{}", state: "2"}}, pages.ClassReal},
		{"told back and not stored", "Size", []outcome{{answer: "{1}", state: "1"}}, ""},
		{"asked for", "ReturnValues", []outcome{{answer: "{1}", state: "1"}}, pages.ClassReal},
		{"ignored", "Size", []outcome{base, base}, ""},
		{"ignored, and named in another section", "Size", []outcome{base}, ""},
		{"documented", "Hint", []outcome{base, base}, pages.ClassNone},
		{"one value is the default", "Mode", []outcome{base, refused("No", "croft does not support Mode")}, pages.ClassRefused},
		{"two values make no difference", "Mode", []outcome{base, base, refused("No", "croft does not support Mode")}, ""},
		{"refused without its name", "Mode", []outcome{refused("No", "croft does not support this")}, ""},
		{"refused for another reason", "Mode", []outcome{refused("No", "Mode must be X")}, ""},
		{"a value of the wrong form", "Mode", []outcome{refused("No", "croft: 'mode' failed to satisfy constraint")}, ""},
		{"a part of what is refused", "Config.Size", []outcome{refused("No", "croft does not support the parameter Config")}, pages.ClassRefused},
		{"a token that the cloud did not give", "NextToken", []outcome{refused("No", "Invalid token")}, pages.ClassReal},
		{"a token of the wrong form", "NextToken", []outcome{refused("No", "'nextToken' failed to satisfy constraint")}, ""},
		{"a rule for what cannot be seen", "Slow", []outcome{base}, pages.ClassReal},
		{"a rule for what is looked at", "Stack", []outcome{refused("NoSuchStack", "")}, pages.ClassReal},
		{"a rule for what AWS refuses", "Fifo", []outcome{refused("NotFifo", "")}, pages.ClassAsAWS},
		{"a rule for what has another name", "Header", []outcome{refused("NotImplemented", "")}, pages.ClassRefused},
	} {
		class, _, problem := a.classify("Put", c.path, base, c.tried)
		if class != c.class || (problem == "") != (c.class != "") {
			t.Errorf("%s: %q, %q", c.name, class, problem)
		}
	}
}
