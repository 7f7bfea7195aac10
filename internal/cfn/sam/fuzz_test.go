package sam

import (
	"testing"

	"croft/internal/cfn/template"
)

// FuzzExpand: whatever the template, it is expanded or refused, and what is expanded is plain CloudFormation.
func FuzzExpand(f *testing.F) {
	// Small seeds: the fuzzer spends its time on making what it finds smaller, and gets nowhere with large ones.
	for _, seed := range []string{
		"Resources: {F: {Type: AWS::Serverless::Function, Properties: {InlineCode: x, Handler: a.b, Runtime: r, Events: {E: {Type: HttpApi}}}}}",
		"Resources: {F: {Type: AWS::Serverless::Function, Properties: {CodeUri: 's3://a/b', Handler: a.b, Runtime: r, Events: {E: {Type: SNS, " +
			"Properties: {Topic: t, SqsSubscription: true}}}}}}",
		"Globals: {Function: {Runtime: r, Handler: h}}\nResources: {F: {Type: AWS::Serverless::Function, Condition: C, Properties: {InlineCode: x, " +
			"Role: !If [C, a, !Ref AWS::NoValue], Policies: [!If [C, a, b], S3ReadPolicy: {BucketName: b}, {Statement: []}], Events: {E: {Type: " +
			"SQS, Properties: {Queue: q}}}}}}\nConditions: {C: !Equals [a, b]}",
		"Resources: {A: {Type: AWS::Serverless::HttpApi, Properties: {StageName: x-y, CorsConfiguration: {AllowOrigins: [a]}, Tags: {a: b}}}}\n" +
			"Outputs: {O: {Value: !Sub '${A.Stage}'}}",
		"Resources: {T: {Type: AWS::Serverless::SimpleTable, IgnoreGlobals: '*', Properties: {PrimaryKey: {Name: a, Type: Number}}}}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		root, _, err := template.ParseValue(src)
		if err != nil || root.Kind() != template.Map {
			return
		}
		tmpl, err := template.Build(root.Set("Transform", template.NewString(Transform)))
		if err != nil {
			return
		}
		out, err := Expand(tmpl, Options{Region: "eu-central-1", Parameters: map[string]string{"P": "x"}})
		if err != nil {
			return
		}
		for _, r := range out.Resources {
			switch r.Type {
			case functionType, httpAPIType, tableType:
				t.Fatalf("%s is still %s", r.LogicalID, r.Type)
			}
		}
		if len(out.Transforms) != 0 || out.Root().Get("Globals") != nil {
			t.Fatal("the transform is still there")
		}
	})
}
