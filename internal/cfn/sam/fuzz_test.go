package sam

import (
	"os"
	"path/filepath"
	"testing"

	"croft/internal/cfn/template"
)

// FuzzExpand: whatever the template, it is expanded or refused, and what is expanded is plain CloudFormation.
func FuzzExpand(f *testing.F) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
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
