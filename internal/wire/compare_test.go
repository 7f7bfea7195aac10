package wire

import (
	"encoding/json"
	"encoding/xml"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// compareBodies compares two answers by what they mean.
func compareBodies(t *testing.T, got, want string, p Protocol) {
	t.Helper()
	if p == Query {
		g, w := parseXML(t, got), parseXML(t, want)
		if g != w {
			t.Errorf("got  %s\nwant %s", g, w)
		}
		return
	}
	var g, w any
	if strings.TrimSpace(want) == "" {
		want = "{}"
	}
	if strings.TrimSpace(got) == "" {
		got = "{}"
	}
	if json.Unmarshal([]byte(want), &w) != nil {
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		return
	}
	if err := json.Unmarshal([]byte(got), &g); err != nil {
		t.Errorf("%v: %s", err, got)
	}
	if !reflect.DeepEqual(dropNulls(g), dropNulls(w)) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func dropNulls(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, item := range v {
			if item == nil || k == "__type" {
				delete(v, k)
				continue
			}
			v[k] = dropNulls(item)
		}
	case []any:
		for i := range v {
			v[i] = dropNulls(v[i])
		}
	}
	return v
}

type xmlNode struct {
	name, text string
	children   []*xmlNode
}

// String leaves out namespaces, white space between elements and the metadata, and sorts siblings: their order means nothing but in
// lists, whose elements keep theirs.
func (n *xmlNode) String() string {
	if len(n.children) == 0 {
		return "<" + n.name + ">" + strings.TrimSpace(n.text)
	}
	slices.SortStableFunc(n.children, func(a, b *xmlNode) int {
		if c := strings.Compare(a.name, b.name); c != 0 || len(a.children) < 2 {
			return c
		}
		return strings.Compare(a.String(), b.String())
	})
	var b strings.Builder
	for _, c := range n.children {
		if c.name != "ResponseMetadata" && c.name != "RequestId" {
			b.WriteString(c.String())
		}
	}
	return "<" + n.name + ">(" + b.String() + ")"
}

func parseXML(t *testing.T, text string) string {
	t.Helper()
	root := &xmlNode{}
	stack := []*xmlNode{root}
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		tok, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		top := stack[len(stack)-1]
		switch tok := tok.(type) {
		case xml.StartElement:
			n := &xmlNode{name: tok.Name.Local}
			top.children = append(top.children, n)
			stack = append(stack, n)
		case xml.EndElement:
			stack = stack[:len(stack)-1]
		case xml.CharData:
			top.text += string(tok)
		}
	}
	return root.String()
}
