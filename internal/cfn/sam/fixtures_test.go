package sam

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"croft/internal/cfn/template"
)

// fixtures returns the folder of the published translations, or skips.
func fixtures(t *testing.T) string {
	t.Helper()
	root := os.Getenv("CROFT_SHARED")
	if root == "" {
		root = "../../../../shared"
	}
	dir := filepath.Join(root, "fixtures", "sam")
	if _, err := os.Stat(filepath.Join(dir, "input")); err != nil {
		t.Skipf("SKIPPED: no translations at %s; set CROFT_SHARED", dir)
	}
	return dir
}

// supportedPairs is how many of the published translations are known to come out equal. It only grows.
const supportedPairs = 87

// withOption was translated with the translator's option to copy Metadata to all of a function's resources, which is off otherwise.
const withOption = "translate_convert_metadata"

// TestPublishedTranslations expands every published template: what is expanded must equal the published translation, and the rest
// must be refused by name.
func TestPublishedTranslations(t *testing.T) {
	dir := fixtures(t)
	inputs, err := filepath.Glob(filepath.Join(dir, "input", "*.y*ml"))
	if err != nil || len(inputs) == 0 {
		t.Fatal("no inputs", err)
	}
	var equal, refused, invalid, sameError int
	for _, input := range inputs {
		name := strings.TrimSuffix(filepath.Base(input), filepath.Ext(input))
		want := readJSON(t, filepath.Join(dir, "output", name+".json"))
		got, err := expandFile(t, input)
		message, wantError := want["errorMessage"].(string)
		switch {
		case err != nil && wantError:
			invalid++
			if strings.HasSuffix(err.Error(), message) {
				sameError++
			}
		case err != nil:
			// A few published templates are none that CloudFormation would take.
			if !strings.Contains(err.Error(), "not supported by croft") && !strings.HasPrefix(err.Error(), "Template format error") {
				t.Errorf("%s: refused, but not for what croft lacks: %v", name, err)
			}
			refused++
		case wantError:
			t.Errorf("%s: expanded, want error %s", name, message)
		default:
			if name == withOption {
				t.Logf("NOT COMPARED: %s", name)
				continue
			}
			if diff := difference("", normal(got), normal(want)); diff != "" {
				t.Errorf("%s: %s", name, diff)
				continue
			}
			equal++
			t.Logf("equal: %s", name)
		}
	}
	t.Logf("%d templates: %d equal, %d refused by name, %d invalid and refused (%d with the translator's own words)",
		len(inputs), equal, refused, invalid, sameError)
	if equal < supportedPairs {
		t.Errorf("%d translations are equal, there were %d", equal, supportedPairs)
	}
}

func readJSON(t *testing.T, file string) map[string]any {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		return map[string]any{}
	}
	var v map[string]any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(file, err)
	}
	return v
}

// expandFile expands a template that may lack its Transform, as many published ones do, and returns the tree before it is checked
// as plain CloudFormation, because some of them do not hold up to that.
func expandFile(t *testing.T, file string) (map[string]any, error) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	root, _, err := template.ParseValue(raw)
	if err != nil {
		return nil, err
	}
	tmpl, err := template.Build(root.Set("Transform", template.NewString(Transform)))
	if err != nil {
		return nil, err
	}
	out, err := expandRoot(tmpl.Root(), Options{Region: "ap-southeast-1"})
	if err != nil {
		return nil, err
	}
	text, err := out.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var v map[string]any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v, nil
}

// normal sorts lists: the published translations were compared that way, and some have entries in an older order.
func normal(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, x := range v {
			out[k] = normal(x)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = normal(x)
		}
		slices.SortFunc(out, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		return out
	}
	return v
}

// difference returns where got and want first differ, or "".
func difference(path string, got, want any) string {
	g, ok1 := got.(map[string]any)
	w, ok2 := want.(map[string]any)
	if ok1 && ok2 {
		for k, x := range w {
			if _, ok := g[k]; !ok {
				return path + "/" + k + " is missing"
			}
			if d := difference(path+"/"+k, g[k], x); d != "" {
				return d
			}
		}
		for k := range g {
			if _, ok := w[k]; !ok {
				return path + "/" + k + " is too much"
			}
		}
		return ""
	}
	if reflect.DeepEqual(got, want) {
		return ""
	}
	a, errA := json.Marshal(got)
	b, errB := json.Marshal(want)
	if err := errors.Join(errA, errB); err != nil {
		return err.Error()
	}
	return path + ": got " + string(a) + ", want " + string(b)
}

// TestGolden compares with what the translator made of the templates in testdata; see translate.py there.
func TestGolden(t *testing.T) {
	inputs, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(inputs) == 0 {
		t.Fatal("no golden files", err)
	}
	for _, input := range inputs {
		t.Run(filepath.Base(input), func(t *testing.T) {
			want := readJSON(t, strings.TrimSuffix(input, ".yaml")+".json")
			got, err := expandFile(t, input)
			message, wantError := want["errorMessage"].(string)
			switch {
			case wantError && (err == nil || !strings.HasSuffix(err.Error(), message)):
				t.Errorf("got error %v\nwant      %s", err, message)
			case wantError:
			case err != nil:
				t.Error(err)
			default:
				if diff := difference("", normal(got), normal(want)); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}
