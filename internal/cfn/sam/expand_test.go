package sam

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"croft/internal/cfn/template"
)

func expandText(src string, opts Options) (*template.Template, error) {
	t, err := template.Parse([]byte(src))
	if err != nil {
		return nil, err
	}
	return Expand(t, opts)
}

const inline = "Type: AWS::Serverless::Function, Properties: {InlineCode: x, Handler: a.b, Runtime: r"

func TestRefusals(t *testing.T) {
	for _, c := range []struct{ name, src, want string }{
		{"another transform", "Transform: AWS::Include\nResources: {A: {Type: T}}", "The transform AWS::Include is not supported by croft"},
		{"two transforms", "Transform: [AWS::LanguageExtensions, AWS::Serverless-2016-10-31]\nResources: {A: {Type: T}}",
			"The transform AWS::LanguageExtensions is not supported by croft"},
		{"property", sam("F: {" + inline + ", VpcConfig: {}}}"), "Resource with id [F] is invalid. Property VpcConfig is not supported by croft."},
		{"event type", sam("F: {" + inline + ", Events: {E: {Type: Cognito}}}}"),
			"Resource with id [F] is invalid. Event with id [E] is invalid. The event type Cognito is not supported by croft."},
		{"event property", sam("F: {" + inline + ", Events: {E: {Type: HttpApi, Properties: {Auth: {}}}}}}"),
			"Resource with id [F] is invalid. Event with id [E] is invalid. Property Auth is not supported by croft."},
		{"resource type", sam("F: {Type: AWS::Serverless::StateMachine}"),
			"Resource with id [F] is invalid. The resource type AWS::Serverless::StateMachine is not supported by croft."},
		{"connectors", sam("F: {Type: AWS::SQS::Queue, Connectors: {}}"), "Resource with id [F] is invalid. The attribute Connectors is not supported by croft."},
		{"attribute", sam("F: {Nope: 1, " + inline + "}}"), "Resource with id [F] is invalid. The attribute Nope is not supported by croft."},
		{"globals", "Globals: {Api: {}}\n" + sam("F: {"+inline+"}}"), "'Globals' section is invalid. 'Api' is not supported by croft."},
		{"global property", "Globals: {Function: {VpcConfig: {}}}\n" + sam("F: {"+inline+"}}"),
			"'Globals' section is invalid. 'VpcConfig' of 'Function' is not supported by croft."},
		{"policy template", sam("F: {" + inline + ", Policies: [KMSDecryptPolicy: {KeyId: k}]}}"), "the policy template KMSDecryptPolicy is not supported by croft."},
		{"definition", sam("A: {Type: AWS::Serverless::HttpApi, Properties: {DefinitionBody: {}}}"),
			"Resource with id [A] is invalid. Property DefinitionBody is not supported by croft."},
		{"undefined reference after expansion", sam("F: {" + inline + ", Description: !Ref Nope}}"),
			"Template format error: Unresolved resource dependencies [Nope] in the Resources block of the template"},
		{"id that is taken", sam("F: {" + inline + "}}, FRole: {Type: T}"), "attempts to create a new resource with id [FRole] and type \"AWS::IAM::Role\""},
		{"several", sam("F: {" + inline + ", VpcConfig: {}}}, G: {" + inline + ", VpcConfig: {}}}"), "Number of errors found: 2. Resource with id [F]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := expandText(c.src, Options{}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

// sam returns a template with the resources given in flow style.
func sam(resources string) string {
	return "Transform: " + Transform + "\nResources: {" + resources + "}\n"
}

func TestPlace(t *testing.T) {
	_, err := expandText("Transform: "+Transform+"\nResources:\n  F:\n    Type: AWS::Serverless::Function\n    Properties:\n      VpcConfig: {}\n", Options{})
	if got := template.Located("t.yaml", err); !strings.HasPrefix(got, "t.yaml:6:18: Transform ") {
		t.Errorf("got %s", got)
	}
}

// TestGrowth shows that a template cannot make the expansion grow beyond measure.
func TestGrowth(t *testing.T) {
	var functions, tags, events, policies strings.Builder
	for i := range 400 {
		fmt.Fprintf(&functions, "F%d: {%s}},", i, inline)
	}
	for i := range 4000 {
		fmt.Fprintf(&tags, "t%d: x,", i)
		fmt.Fprintf(&events, "E%d: {Type: SQS, Properties: {Queue: q}},", i)
	}
	for i := range 100_000 {
		fmt.Fprintf(&policies, "p%d,", i)
	}
	for name, src := range map[string]string{
		"tags in globals":      "Globals: {Function: {Tags: {" + tags.String() + "}}}\n" + sam(functions.String()),
		"variables in globals": "Globals: {Function: {Environment: {Variables: {" + tags.String() + "}}}}\n" + sam(functions.String()),
		"large globals":        "Globals: {Function: {Environment: {Variables: {a: {" + tags.String() + "}, b: {" + tags.String() + "}}}}}\n" + sam(functions.String()),
		"events":               sam("F: {" + inline + ", Events: {" + events.String() + "}}}"),
		"policies":             sam("F: {" + inline + ", Policies: [" + policies.String() + "]}}"),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := expandText(src, Options{}); err == nil || len(err.Error()) > 20_000 {
				t.Errorf("got %.200v", err)
			}
		})
	}
}

func TestLargeParameterStaysAReference(t *testing.T) {
	_, err := expandText("Parameters: {P: {Type: String, Default: "+strings.Repeat("x", 100_000)+"}}\n"+
		sam("A: {Type: AWS::Serverless::HttpApi, Properties: {CorsConfiguration: !Sub '"+strings.Repeat("${P}", 10_000)+"'}}"), Options{})
	if err != nil {
		t.Error(err)
	}
}

// TestExpandedHolds shows that what comes out is a template that binds and has an order.
func TestExpandedHolds(t *testing.T) {
	for _, file := range []string{"testdata/orders.yaml", "testdata/conditions.yaml", "testdata/manyconditions.yaml", "testdata/stages.yaml"} {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		out, err := expandText(string(src), Options{})
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		params, err := out.ResolveParameters(nil)
		if err != nil {
			t.Fatal(err)
		}
		b, err := out.Bind(params, template.Pseudo{AccountID: "123456789012", Region: "eu-central-1", StackName: "s"})
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if g, err := b.Graph(); err != nil || len(g.Order) != len(b.Resources()) {
			t.Errorf("%s: %v", file, err)
		}
	}
}
