package wire

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
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
	if p == RPCv2CBOR {
		if g, w = readCBOR(t, got), readCBOR(t, want); !reflect.DeepEqual(g, w) {
			t.Errorf("got  %v\nwant %v", g, w)
		}
		return
	}
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

// readCBOR returns a document as maps, lists and numbers that compare easily.
func readCBOR(t *testing.T, body string) any {
	t.Helper()
	if body == "" {
		return "map[]"
	}
	var v map[string]any
	if err := cbor.Unmarshal([]byte(body), &v); err != nil {
		t.Fatalf("%v: %x", err, body)
	}
	return fmt.Sprint(plainNumbers(dropNulls(v)))
}

// plainNumbers turns numbers and times into text that does not tell in which form they were written.
func plainNumbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, item := range v {
			v[k] = plainNumbers(item)
		}
		return v
	case map[any]any:
		out := map[string]any{}
		for k, item := range v {
			out[fmt.Sprint(k)] = plainNumbers(item)
		}
		return out
	case []any:
		for i := range v {
			v[i] = plainNumbers(v[i])
		}
		return v
	case time.Time:
		return v.UnixMilli()
	case float64:
		return floatText(v)
	case uint64:
		return floatText(float64(v))
	case int64:
		return floatText(float64(v))
	}
	return v
}

// compareErrors checks that an error names what a case expects: code, message and members, wherever its protocol has them.
func compareErrors(t *testing.T, p Protocol, w *httptest.ResponseRecorder, c suiteCase) {
	t.Helper()
	if w.Code != c.Response.StatusCode {
		t.Errorf("status %d, want %d", w.Code, c.Response.StatusCode)
	}
	if p == Query || p == RESTXML {
		// The older suites have answers of their own making; what counts are the elements that the case expects.
		body := parseXML(t, w.Body.String())
		if !strings.Contains(body, "<Code>"+c.ErrorCode) || !strings.Contains(body, "<Message>"+c.ErrorMessage) {
			t.Errorf("%s", body)
		}
		compareHeaders(t, w.Header(), map[string]string{})
		for name, want := range c.Error {
			if text, ok := want.(string); ok && !strings.Contains(body, ">"+text) && !slices.Contains(slices.Concat(slices.Collect(maps.Values(w.Header()))...), text) {
				t.Errorf("%s is not in %s", name, body)
			}
		}
		return
	}
	got := map[string]any{}
	var err error
	if p == RPCv2CBOR {
		err = cbor.Unmarshal(w.Body.Bytes(), &got)
	} else {
		err = json.Unmarshal(w.Body.Bytes(), &got)
	}
	if err != nil {
		t.Fatal(err, w.Body)
	}
	code := or(w.Header().Get(headerErrorType), fmt.Sprint(got["__type"]))
	if q, _, ok := strings.Cut(w.Header().Get(headerQueryError), ";"); ok {
		code = q
	}
	if code[strings.Index(code, "#")+1:] != c.ErrorCode {
		t.Errorf("code %s, want %s", code, c.ErrorCode)
	}
	var answer map[string]any // of REST JSON, where members may have other names than in the model
	_ = json.Unmarshal([]byte(c.Response.Body), &answer)
	for name, want := range c.Error {
		have, ok := got[name]
		if a, there := answer[name]; there {
			want = a
		}
		if h := w.Header().Get("X-" + name); !ok && h != "" {
			have = h
		}
		if want != nil && fmt.Sprint(have) != fmt.Sprint(want) {
			t.Errorf("%s is %v, want %v", name, have, want)
		}
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
