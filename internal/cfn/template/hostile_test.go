package template

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestHostile feeds templates that are meant to hurt: each must end in an error, quickly.
func TestHostile(t *testing.T) {
	deepSub := `x`
	for range 40 {
		deepSub = `{"Fn::Sub": ["${a}${a}${a}", {"a": ` + quote(deepSub) + `}]}`
	}
	bomb := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := 1; i < 12; i++ {
		bomb += fmt.Sprintf("a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 10), ", "))
	}
	cases := map[string]string{
		"too large":               strings.Repeat(" ", MaxSize+1),
		"not text":                "Resources: {A: {Type: \xff}}",
		"deep lists":              "Resources: " + strings.Repeat("[", 5000),
		"deep closed lists":       "Resources: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000),
		"deep json":               `{"Resources": ` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + "}",
		"deeper json":             `{"Resources": ` + strings.Repeat("[", 90000),
		"deep block":              "Resources:\n" + deepBlock(1000),
		"billion laughs":          bomb,
		"alias of itself":         "Resources: &a {A: *a}",
		"merge of itself":         "Resources: &a {<<: *a, A: {Type: T}}",
		"merge of a scalar":       "Resources: {<<: x}",
		"doubling Fn::Sub":        `{"Resources": {"A": {"Type": "T", "Properties": {"P": ` + deepSub + `}}}}`,
		"growing Fn::Join":        growing(30),
		"a Fn::Split of Fn::Join": "Resources: {A: {Type: T, Properties: {P: !Split [x, !Join ['', [" + strings.TrimSuffix(strings.Repeat("xxxxxxxxxxxxxxx,", 50000), ",") + "]]]}}}",
		"complex key":             "Resources: {[a, b]: 1}",
		"binary":                  "Resources: {A: {Type: !!binary aGk=}}",
		"two documents":           "Resources: {A: {Type: T}}\n---\nResources: {}",
		"nothing":                 "",
		"only a comment":          "# nothing",
		"a number":                "1",
		"many resources":          "Resources: {" + many(501, "R%d: {Type: T}") + "}",
		"many parameters":         "Resources: {A: {Type: T}}\nParameters: {" + many(201, "P%d: {Type: String}") + "}",
		"deep condition":          "Resources: {A: {Type: T}}\nConditions: {C: " + strings.Repeat("!Not [", 150) + "x" + strings.Repeat("]", 150) + "}",
		"large pattern":           "Resources: {A: {Type: T}}\nParameters: {P: {Type: String, AllowedPattern: '" + strings.Repeat("(a{1,1000})", 100) + "'}}",
	}
	for name, src := range cases {
		t.Run(name, func(t *testing.T) {
			got := evaluate(t, src, nil)
			if !strings.HasPrefix(got, "error ") {
				t.Errorf("accepted: %.200s", got)
			}
			if len(got) > 2000 {
				t.Errorf("an error of %d bytes", len(got))
			}
		})
	}
}

func quote(s string) string {
	if strings.HasPrefix(s, "{") {
		return s
	}
	return `"` + s + `"`
}

func deepBlock(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i+1) + "k:\n")
	}
	return b.String()
}

// growing makes a text of 3 to the power of n characters from nested joins through variables.
func growing(n int) string {
	v := `"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"`
	for range n {
		v = `{"Fn::Sub": ["${v}${v}", {"v": {"Fn::Join": ["${v}", [` + v + `]]}}]}`
	}
	return `{"Resources": {"A": {"Type": "T", "Properties": {"P": ` + v + `}}}}`
}

func many(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format+", ", i)
	}
	return b.String()
}

// TestManyVariables shows that size alone is no offence.
func TestManyVariables(t *testing.T) {
	var text, vars strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&text, "${v%d}", i)
		fmt.Fprintf(&vars, `"v%d": "%d",`, i, i)
	}
	got := evaluate(t, `{"Resources": {"A": {"Type": "T", "Properties": {"P": {"Fn::Sub": ["`+text.String()+`", {`+
		strings.TrimSuffix(vars.String(), ",")+`}]}}}}}`, nil)
	if !strings.HasPrefix(got, `A {"P":"0123456789101112`) {
		t.Errorf("%.200s", got)
	}
}

// TestRecordedTemplates reads every template that was deployed for the answers recorded on AWS.
func TestRecordedTemplates(t *testing.T) {
	root := os.Getenv("CROFT_SHARED")
	if root == "" {
		root = "../../../../shared"
	}
	files, err := filepath.Glob(filepath.Join(root, "fixtures/aws-recorded/templates/*"))
	if err != nil || len(files) == 0 {
		t.Skipf("SKIPPED: no recorded templates below %s; set CROFT_SHARED", root)
	}
	more, err := filepath.Glob(filepath.Join(root, "fixtures/aws-recorded/templates/*/*.y*ml"))
	if err != nil {
		t.Fatal(err)
	}
	var read, refused int
	for _, file := range append(files, more...) {
		raw, err := os.ReadFile(file)
		if err != nil || strings.Contains(string(raw), "{{") && strings.Contains(string(raw), "}}") {
			continue // a folder, or a template to be filled in first
		}
		if _, err := Parse(raw); err != nil {
			refused++
			t.Log(Located(filepath.Base(file), err))
			continue
		}
		read++
	}
	t.Logf("%d templates read, %d refused", read, refused)
}
