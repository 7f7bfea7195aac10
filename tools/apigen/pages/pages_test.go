package pages

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"croft/internal/app"
	"croft/internal/awsapi/sts"
	"croft/internal/service"
	"croft/internal/service/lambda"
)

// TestPagesAreCurrent renders anew and compares: what is in the tree is what services and notes say.
func TestPagesAreCurrent(t *testing.T) {
	dir := filepath.Join("..", "..", "..", "docs", "services")
	want, err := Render(dir, app.Services(service.Deps{}, nil, nil, lambda.Limits{}))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range want {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(got, text) {
			t.Errorf("docs/services/%s is not what the services and docs/services/notes/%s say; run make generate (%v)", name, name, err)
		}
	}
	there, err := filepath.Glob(filepath.Join(dir, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range there {
		if want[filepath.Base(file)] == nil {
			t.Errorf("docs/services/%s belongs to no service", filepath.Base(file))
		}
	}
}

// TestListedOperationsAreReal fails for an operation of the list that its service does not implement.
func TestListedOperationsAreReal(t *testing.T) {
	for _, d := range app.Services(service.Deps{}, nil, nil, lambda.Limits{}) {
		for _, op := range d.API.Operations {
			if !Own(d.Impl, op.Name) {
				t.Errorf("%s: tools/apigen/operations.txt lists %s, which the service has no method for", d.API.Name, op.Name)
			}
		}
	}
}

type half struct{ sts.Unimplemented }

func (*half) GetCallerIdentity(context.Context, *sts.GetCallerIdentityInput) (*sts.GetCallerIdentityOutput, error) {
	return nil, nil
}

func TestOwn(t *testing.T) {
	if !Own(&half{}, "GetCallerIdentity") || Own(&half{}, "AssumeRole") || Own(&half{}, "Nothing") {
		t.Error("own methods are not told from those of Unimplemented")
	}
}

const someNotes = `# STS

Who am I.

## Operations

| operation | notes |
| --- | --- |
| GetCallerIdentity, GetSessionToken | for everybody. |

One for all regions.

## Refused by name

` + "`A`, `C`, `X.Y`" + `.

## Deviations

- None.
`

func TestRender(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	list := []service.Descriptor{{API: sts.Service(), Impl: &half{}}}
	write("notes/sts.md", someNotes)
	write("members/sts.txt", "# written by a test\nGetCallerIdentity A.X refused Code\nGetCallerIdentity A.Y refused Code\n"+
		"GetCallerIdentity B without-effect\nGetCallerIdentity C.X refused Code\nGetCallerIdentity C.Y real\n")
	out, err := Render(dir, list)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"# STS\n\nWho am I.\n", "| operations | 1 of 11 |",
		"| GetCallerIdentity | real | for everybody. Refused: `A`, `C.X`. Without effect: `B` |\n| AssumeRole | refused: `NotImplemented` |  |\n",
		"| GetSessionToken | refused: `NotImplemented` | for everybody |", "\n\nOne for all regions.\n", "## Deviations\n\n- None.\n",
	} {
		if !strings.Contains(string(out["sts.md"]), want) {
			t.Errorf("the page lacks %q:\n%s", want, out["sts.md"])
		}
	}
	if !strings.Contains(string(out["README.md"]), "| [STS](sts.md) | 1 of 11 | 0 |") {
		t.Errorf("the index: %s", out["README.md"])
	}
	for name, text := range map[string]string{
		"notes/sts.md":    strings.ReplaceAll(someNotes, "GetSessionToken", "Colour"),
		"members/sts.txt": "GetCallerIdentity A ignored\n",
	} {
		write("notes/sts.md", someNotes)
		write(name, text)
		if _, err := Render(dir, list); err == nil {
			t.Errorf("%s with mistakes is taken", name)
		}
	}
	write("notes/sts.md", someNotes)
	write("members/sts.txt", "GetCallerIdentity A real\n")
	if _, err := Render(dir, list); err == nil || !strings.Contains(err.Error(), "A is refused, which it is in no operation") {
		t.Errorf("what the notes call refused is real: %v", err)
	}
}
