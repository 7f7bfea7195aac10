package wire

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// compareBodies compares two answers by what they mean.
func compareBodies(t *testing.T, got, want string, p Protocol) {
	t.Helper()
	if p == Query || p == RESTXML && strings.HasPrefix(strings.TrimSpace(want), "<") {
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

// assign sets v from a suite's result.
func assign(schema *Schema, s *Shape, v reflect.Value, p any) error {
	if p == nil {
		return nil
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	switch s.Kind {
	case Structure:
		values := p.(map[string]any)
		for i := range s.Members {
			if err := assign(schema, schema.Shape(s.Members[i].Shape), v.Field(i), values[s.Members[i].Name]); err != nil {
				return err
			}
		}
	case List:
		list := p.([]any)
		v.Set(reflect.MakeSlice(v.Type(), len(list), len(list)))
		for i := range list {
			if list[i] == nil {
				return errors.New("null in a list, which has no Go form")
			}
			if err := assign(schema, schema.Shape(s.Elem), v.Index(i), list[i]); err != nil {
				return err
			}
		}
	case Map:
		v.Set(reflect.MakeMap(v.Type()))
		for k, item := range p.(map[string]any) {
			if item == nil {
				return errors.New("null in a map, which has no Go form")
			}
			e := reflect.New(v.Type().Elem()).Elem()
			if err := assign(schema, schema.Shape(s.Elem), e, item); err != nil {
				return err
			}
			v.SetMapIndex(reflect.ValueOf(k), e)
		}
	case Blob:
		v.SetBytes([]byte(p.(string)))
	case Document:
		data, err := json.Marshal(p)
		v.SetBytes(data)
		return err
	case Timestamp:
		t, err := epochTime(fmt.Sprint(p))
		setTime(v, t)
		return err
	default:
		return assignScalar(s, v, p)
	}
	return nil
}

func assignScalar(s *Shape, v reflect.Value, p any) error {
	if s.Kind == String {
		v.SetString(fmt.Sprint(p))
		return nil
	}
	return parseText(s, v, fmt.Sprint(p), ISOTime)
}
