package wire

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"croft/internal/cloud"
)

// thing is a structure with a member of every kind, and itself.
type thing struct {
	Name    string
	Text    *string
	Flag    *bool
	Small   *int32
	Large   *int64
	Float   *float32
	Double  *float64
	Raw     []byte
	When    *time.Time
	Texts   []string
	Words   map[string]string
	Things  []thing
	ByName  map[string]thing
	Inner   *thing
	Flats   []string
	FlatMap map[string]string
}

// The shapes of thing, by index.
const (
	thingRef Ref = iota + 1
	stringRef
	boolRef
	intRef
	longRef
	floatRef
	doubleRef
	blobRef
	timeRef
	textsRef
	wordsRef
	thingsRef
	byNameRef
)

func thingSchema() *Schema {
	return &Schema{Validation: Validation{Code: "ValidationException"}, Shapes: []Shape{{},
		thingRef: {Name: "Thing", Kind: Structure, Checked: true, Members: []Member{
			{Name: "Name", Wire: "name", Shape: stringRef, Required: true}, {Name: "Text", Wire: "text", Shape: stringRef},
			{Name: "Flag", Wire: "flag", Shape: boolRef}, {Name: "Small", Wire: "small", Shape: intRef}, {Name: "Large", Wire: "large", Shape: longRef},
			{Name: "Float", Wire: "float", Shape: floatRef}, {Name: "Double", Wire: "double", Shape: doubleRef}, {Name: "Raw", Wire: "raw", Shape: blobRef},
			{Name: "When", Wire: "when", Shape: timeRef}, {Name: "Texts", Wire: "texts", Shape: textsRef}, {Name: "Words", Wire: "words", Shape: wordsRef},
			{Name: "Things", Wire: "things", Shape: thingsRef}, {Name: "ByName", Wire: "byName", Shape: byNameRef}, {Name: "Inner", Wire: "inner", Shape: thingRef},
			{Name: "Flats", Wire: "flat", Shape: textsRef, Flat: true}, {Name: "FlatMap", Wire: "flatMap", Shape: wordsRef, Flat: true},
		}},
		stringRef: {Name: "String", Kind: String, Checked: true, Limits: &Limits{Max: 100, HasMax: true}}, boolRef: {Name: "Boolean", Kind: Boolean},
		intRef: {Name: "Integer", Kind: Integer}, longRef: {Name: "Long", Kind: Long}, floatRef: {Name: "Float", Kind: Float}, doubleRef: {Name: "Double", Kind: Double},
		blobRef: {Name: "Blob", Kind: Blob}, timeRef: {Name: "Timestamp", Kind: Timestamp},
		textsRef: {Name: "Texts", Kind: List, Elem: stringRef, Checked: true}, wordsRef: {Name: "Words", Kind: Map, Key: stringRef, Elem: stringRef, Checked: true},
		thingsRef: {Name: "Things", Kind: List, Elem: thingRef, Checked: true}, byNameRef: {Name: "ByName", Kind: Map, Key: stringRef, Elem: thingRef, Checked: true},
	}}
}

// thingService has one operation, Echo, whose output is its input.
func thingService(p Protocol) *Service {
	op := &Operation{Name: "Echo", Status: 200, Input: thingRef, Output: thingRef, Schema: thingSchema(), New: func() any { return new(thing) },
		Route:  Route{Method: "POST", Segments: []string{"echo"}},
		Invoke: func(_ context.Context, _, in any) (any, error) { return in, nil }}
	return &Service{Name: "things", TargetPrefix: "Things", APIVersion: "1", JSONVersion: "1.0", Protocols: []Protocol{p}, Schema: op.Schema, Operations: []*Operation{op}}
}

// echo sends body through Match, Decode and Encode, and returns the input and the answer's body.
func echo(t testing.TB, svc *Service, body []byte) (*thing, []byte, error) {
	t.Helper()
	r := httptest.NewRequest("POST", "/", nil)
	r.URL.Path = "/echo"
	r.Header.Set("X-Amz-Target", "Things.Echo")
	if svc.Protocols[0] == RPCv2CBOR {
		r.URL.Path = "/service/Things/operation/Echo"
		r.Header.Set("Smithy-Protocol", "rpc-v2-cbor")
		r.Header.Set("Content-Type", "application/cbor")
	}
	x, err := Match(svc, r, body)
	if err != nil {
		return nil, nil, err
	}
	in, err := x.Decode()
	if err != nil {
		return nil, nil, err
	}
	w := httptest.NewRecorder()
	if err := x.Encode(w, "id", in); err != nil {
		t.Fatalf("%+v cannot be written: %v", in, err)
	}
	return in.(*thing), w.Body.Bytes(), nil
}

const richThing = `{"Name":"a","Text":"\u00e4\"\\\n","Flag":true,"Small":-2147483648,"Large":9223372036854775807,"Float":1.5,"Double":1e300,"Raw":"AQID",` +
	`"When":1767323045.678,"Texts":["x",""],"Words":{"k":"v","":"w"},"Things":[{"Name":"b"}],"ByName":{"c":{"Name":"c","Double":"NaN"}},"Inner":{"Name":"d","Texts":[]},"Flats":["f"],"FlatMap":{"m":"n"}}`

// restNames spells a body's members as REST JSON does.
func restNames(body string) string {
	for _, m := range thingSchema().Shapes[thingRef].Members {
		body = strings.ReplaceAll(body, `"`+m.Name+`":`, `"`+m.Wire+`":`)
	}
	return body
}

func TestJSONRoundTrip(t *testing.T) {
	for _, c := range []struct {
		p    Protocol
		body string
	}{{AWSJSON, richThing}, {RESTJSON, restNames(richThing)}} {
		svc := thingService(c.p)
		in, out, err := echo(t, svc, []byte(c.body))
		if err != nil {
			t.Fatal(err)
		}
		if *in.Large != 1<<63-1 || in.When.UnixMilli() != 1767323045678 || in.Things[0].Name != "b" || in.ByName["c"].Name != "c" || in.Inner.Texts == nil {
			t.Errorf("%+v", in)
		}
		_, again, err := echo(t, svc, out)
		if err != nil || !bytes.Equal(out, again) {
			t.Errorf("%v\n%s\n%s", err, out, again)
		}
	}
}

func FuzzJSON(f *testing.F) {
	f.Add([]byte(richThing))
	f.Add([]byte(`{"Name":null,"Things":[null,{}],"Words":{"a":null},"When":"x","Double":-0.0}`))
	f.Add([]byte(`{"Name":"\ud83d\ude00","Small":1.0e1,"Unknown":[[[{}]]]}`))
	rpc, rest := thingService(AWSJSON), thingService(RESTJSON)
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, svc := range []*Service{rpc, rest} {
			_, out, err := echo(t, svc, body)
			if err != nil {
				checkError(t, err)
				continue
			}
			_, again, err := echo(t, svc, out)
			if err != nil || !bytes.Equal(out, again) {
				t.Fatalf("%v\n%q\n%s\n%s", err, body, out, again)
			}
		}
	})
}

func checkError(t *testing.T, err error) {
	t.Helper()
	e, ok := err.(*cloud.Error)
	if !ok || e.Code == "" || e.HTTPStatus() >= 500 && e.Code != "NotImplemented" {
		t.Fatalf("%T %v", err, err)
	}
	if len(e.Message) > 1<<18 {
		t.Fatalf("a message of %d bytes", len(e.Message))
	}
}

// appendForm writes a thing as a form: what a client does.
func appendForm(q url.Values, prefix string, v *thing) {
	q.Set(prefix+"name", v.Name)
	if v.Text != nil {
		q.Set(prefix+"text", *v.Text)
	}
	if v.Small != nil {
		q.Set(prefix+"small", strconv.Itoa(int(*v.Small)))
	}
	for i, s := range v.Texts {
		q.Set(prefix+"texts.member."+strconv.Itoa(i+1), s)
	}
	if v.Texts != nil && len(v.Texts) == 0 {
		q.Set(prefix+"texts", "")
	}
	for i, s := range v.Flats {
		q.Set(prefix+"flat."+strconv.Itoa(i+1), s)
	}
	at := 0
	for k, s := range v.Words {
		at++
		q.Set(prefix+"words.entry."+strconv.Itoa(at)+".key", k)
		q.Set(prefix+"words.entry."+strconv.Itoa(at)+".value", s)
	}
	for i := range v.Things {
		appendForm(q, prefix+"things.member."+strconv.Itoa(i+1)+".", &v.Things[i])
	}
	if v.Inner != nil {
		appendForm(q, prefix+"inner.", v.Inner)
	}
}

func TestFormRoundTrip(t *testing.T) {
	many := make([]string, 12)
	for i := range many {
		many[i] = strconv.Itoa(i)
	}
	want := &thing{Name: "a", Text: Ptr("b&=+ %ä"), Small: Ptr(int32(-7)), Texts: many, Words: map[string]string{"k": "v", "": ""}, Flats: []string{"x", "y"},
		Things: []thing{{Name: ""}, {Name: "z", Texts: []string{}}}, Inner: &thing{Name: "i", Inner: &thing{Name: "j"}}}
	q := url.Values{"Action": {"Echo"}, "Version": {"1"}}
	appendForm(q, "", want)
	got, _, err := echo(t, thingService(Query), []byte(q.Encode()))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\ngot  %+v\nwant %+v", err, got, want)
	}
}

func FuzzForm(f *testing.F) {
	f.Add("name=a&text=b&small=1&texts.member.2=x&texts.member.1=y&words.entry.1.key=k&words.entry.1.value=v&flat.1=f&when=2026-01-02T03:04:05Z&raw=AQID")
	f.Add("things.member.1.things.member.1.name=a&inner.inner.name=b&byName.entry.3.key=c&double=NaN&flag=TRUE")
	f.Add("flatMap.1.key=a&flatMap.1.value&texts=&texts.member.01=x&%41=%zz")
	svc := thingService(Query)
	f.Fuzz(func(t *testing.T, body string) {
		got, _, err := echo(t, svc, []byte("Action=Echo&Version=1&"+body))
		if err != nil {
			checkError(t, err)
			return
		}
		q := url.Values{"Action": {"Echo"}, "Version": {"1"}}
		appendForm(q, "", got)
		again, _, err := echo(t, svc, []byte(q.Encode()))
		if err != nil || again.Name != got.Name || !slices.Equal(again.Texts, got.Texts) || len(again.Words) != len(got.Words) || len(again.Things) != len(got.Things) {
			t.Fatalf("%v\n%q\n%+v\n%+v", err, body, got, again)
		}
	})
}

func FuzzRoute(f *testing.F) {
	f.Add("/a/b%2Fc/d?x=1&y")
	f.Add("//a/../b/?list&list=2")
	f.Add("/a//")
	type in struct {
		One, Rest string
		X         *int32
		Y         []string
	}
	schema := &Schema{Validation: Validation{Code: "V"}, Shapes: []Shape{{}, {Name: "In", Kind: Structure, Checked: true, Members: []Member{
		{Name: "One", Wire: "One", Shape: 2, Required: true, In: InURI}, {Name: "Rest", Wire: "Rest", Shape: 2, Required: true, In: InURI},
		{Name: "X", Wire: "x", Shape: 3, In: InQuery}, {Name: "Y", Wire: "y", Shape: 4, In: InQuery}}},
		{Name: "String", Kind: String}, {Name: "Integer", Kind: Integer}, {Name: "Texts", Kind: List, Elem: 2}}}
	op := &Operation{Name: "Get", Status: 200, Input: 1, Schema: schema, New: func() any { return new(in) }, Route: Route{Method: "GET", Segments: []string{"a", "{One}", "{Rest+}"}}}
	svc := &Service{Name: "routes", Protocols: []Protocol{RESTJSON}, Schema: schema, Operations: []*Operation{op},
		Others: []OtherOperation{{Name: "Other", Route: Route{Method: "GET", Segments: []string{"a", "b", "c"}, Query: []string{"list", "type=2"}}}}}
	f.Fuzz(func(t *testing.T, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return
		}
		x, err := Match(svc, &http.Request{Method: "GET", URL: u, Header: http.Header{}}, nil)
		if err != nil {
			checkError(t, err)
			return
		}
		got, err := x.Decode()
		if err != nil {
			checkError(t, err)
			return
		}
		v := got.(*in)
		if v.One == "" {
			t.Fatalf("%q has no label: %+v", target, v)
		}
		back := "/a/" + url.PathEscape(v.One) + "/" + strings.ReplaceAll(url.PathEscape(v.Rest), "%2F", "/")
		if strings.Contains(target, "%2") || strings.HasSuffix(u.Path, "/") {
			return
		}
		again, cerr := splitPath(&url.URL{Path: "/a/" + v.One + "/" + v.Rest, RawPath: back})
		if cerr != nil || again[1] != v.One || strings.Join(again[2:], "/") != v.Rest {
			t.Fatalf("%q: %+v %v", target, v, again)
		}
	})
}
