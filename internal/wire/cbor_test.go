package wire

import (
	"bytes"
	"encoding/hex"
	"math"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"croft/internal/cloud"

	"github.com/fxamacker/cbor/v2"
)

func richCBOR(t testing.TB) []byte {
	t.Helper()
	v := &thing{Name: "a", Text: Ptr("ä\"\n"), Flag: Ptr(true), Small: Ptr(int32(math.MinInt32)), Large: Ptr(int64(math.MaxInt64)), Float: Ptr(float32(1.5)),
		Double: Ptr(1e300), Raw: []byte{1, 2, 3}, When: Ptr(time.UnixMilli(1767323045678)), Texts: []string{"x", ""}, Words: map[string]string{"k": "v", "": "w"},
		Things: []thing{{Name: "b"}}, ByName: map[string]thing{"c": {Name: "c", Double: Ptr(math.Inf(-1))}}, Inner: &thing{Name: "d", Texts: []string{}}, FlatMap: map[string]string{"m": "n"}}
	e := cborEncoder{schema: thingSchema()}
	if err := e.structure(e.schema.Shape(thingRef), reflect.ValueOf(v).Elem()); err != nil {
		t.Fatal(err)
	}
	return e.b
}

func TestCBORRoundTrip(t *testing.T) {
	body := richCBOR(t)
	if err := cbor.Wellformed(body); err != nil {
		t.Fatal(err)
	}
	in, out, err := echo(t, thingService(RPCv2CBOR), body)
	if err != nil || !bytes.Equal(out, body) {
		t.Fatalf("%v\n%x\n%x", err, out, body)
	}
	if *in.Large != math.MaxInt64 || *in.Small != math.MinInt32 || in.When.UnixMilli() != 1767323045678 || in.ByName["c"].Name != "c" || in.Inner.Texts == nil {
		t.Errorf("%+v", in)
	}
}

// thingWith returns the CBOR of a thing that has one more member.
func thingWith(member, value string) string {
	return "bf" + hexText("Name") + hexText("n") + hexText(member) + value + "ff"
}

func hexText(s string) string { return hex.EncodeToString(appendCBORText(nil, s)) }

func TestCBORForms(t *testing.T) {
	for _, c := range []struct {
		name, body string
		ok         func(*thing) bool
	}{
		{"text in chunks", thingWith("Text", "7f"+hexText("ab")+hexText("c")+"ff"), func(v *thing) bool { return *v.Text == "abc" }},
		{"bytes in chunks", thingWith("Raw", "5f41014102ff"), func(v *thing) bool { return string(v.Raw) == "\x01\x02" }},
		{"empty bytes", thingWith("Raw", "40"), func(v *thing) bool { return v.Raw != nil && len(v.Raw) == 0 }},
		{"long head", thingWith("Small", "1b0000000000000007"), func(v *thing) bool { return *v.Small == 7 }},
		{"least", thingWith("Large", "3b7fffffffffffffff"), func(v *thing) bool { return *v.Large == math.MinInt64 }},
		{"half", thingWith("Double", "f93e00"), func(v *thing) bool { return *v.Double == 1.5 }},
		{"half, subnormal", thingWith("Double", "f90001"), func(v *thing) bool { return *v.Double == 5.960464477539063e-8 }},
		{"half, NaN", thingWith("Float", "f97e00"), func(v *thing) bool { return math.IsNaN(float64(*v.Float)) }},
		{"half, -Inf", thingWith("Float", "f9fc00"), func(v *thing) bool { return math.IsInf(float64(*v.Float), -1) }},
		{"single", thingWith("Double", "fa3fc00000"), func(v *thing) bool { return *v.Double == 1.5 }},
		{"whole number as a double", thingWith("Double", "07"), func(v *thing) bool { return *v.Double == 7 }},
		{"double as a whole number", thingWith("Small", "fbc01c000000000000"), func(v *thing) bool { return *v.Small == -7 }},
		{"time, whole", thingWith("When", "c11a00000007"), func(v *thing) bool { return v.When.Equal(time.Unix(7, 0)) }},
		{"time, before 1970", thingWith("When", "c126"), func(v *thing) bool { return v.When.Equal(time.Unix(-7, 0)) }},
		{"time, half", thingWith("When", "c1f93e00"), func(v *thing) bool { return v.When.Equal(time.UnixMilli(1500)) }},
		{"null and undefined", thingWith("Text", "f6"+hexText("Flag")+"f7"), func(v *thing) bool { return v.Text == nil && v.Flag == nil }},
		{"unknown members of every type", thingWith("Other", "a203f4f5c2420102"+hexText("b")+"9f01f0f8ffff"), func(v *thing) bool { return v.Name == "n" }},
		{"list without a length", thingWith("Texts", "9f"+hexText("a")+"ff"), func(v *thing) bool { return len(v.Texts) == 1 }},
		{"empty map", thingWith("Words", "a0"), func(v *thing) bool { return v.Words != nil }},
	} {
		body, err := hex.DecodeString(c.body)
		if err != nil {
			t.Fatal(c.name, err)
		}
		v, _, err := echo(t, thingService(RPCv2CBOR), body)
		if err != nil || !c.ok(v) {
			t.Errorf("%s: %v %+v", c.name, err, v)
		}
	}
}

func TestCBORRefused(t *testing.T) {
	deep := strings.Repeat("81", 1000) + "00"
	for _, c := range []struct{ name, body, want string }{
		{"not a map", "8100", "Start of list found where not expected"},
		{"cut off", "a1644e616d65", "unexpected end"},
		{"cut off in a head", "a1644e616d6579", "unexpected end"},
		{"garbage behind", thingWith("Text", "f6") + "00", "unexpected data after the end"},
		{"a text longer than the body", "a1644e616d657b7fffffffffffffff", "a string longer than the body"},
		{"a list longer than the body", thingWith("Texts", "9b7fffffffffffffff"), "more entries than the body has bytes"},
		{"a map longer than the body", "bb7fffffffffffffff", "more entries than the body has bytes"},
		{"duplicate member", thingWith("Name", hexText("m")), "duplicate field 'Name'"},
		{"duplicate key", thingWith("Words", "a2"+hexText("a")+hexText("1")+hexText("a")+hexText("2")), "duplicate field 'a'"},
		{"number as a key", "a10001", "expected a text as a map's key"},
		{"not UTF-8", thingWith("Text", "61ff"), "invalid UTF-8"},
		{"chunk of another type", thingWith("Text", "7f4161ff"), "a chunk of another type"},
		{"chunk in a chunk", thingWith("Text", "7f7fffff"), "a chunk of another type"},
		{"text for a number", thingWith("Small", hexText("1")), "STRING_VALUE can not be converted to an Integer"},
		{"number for a text", thingWith("Text", "01"), "NUMBER_VALUE can not be converted to a String"},
		{"bytes for a text", thingWith("Text", "4161"), "STRING_VALUE can not be converted to a String"},
		{"fraction for a whole number", thingWith("Small", "f93e00"), "DECIMAL_VALUE can not be converted to an Integer"},
		{"too large", thingWith("Small", "1a80000000"), "NUMBER_VALUE can not be converted to an Integer"},
		{"larger than all", thingWith("Large", "1bffffffffffffffff"), "NUMBER_VALUE can not be converted to a Long"},
		{"a bignum", thingWith("Large", "c24107"), "a tag that has no meaning here"},
		{"time without its tag", thingWith("When", "07"), "NUMBER_VALUE can not be converted to milliseconds since epoch"},
		{"time of text", thingWith("When", "c1"+hexText("x")), "STRING_VALUE can not be converted to milliseconds since epoch"},
		{"time out of range", thingWith("When", "c1fb7fefffffffffffff"), "Invalid timestamp"},
		{"time that is no number", thingWith("When", "c1f97e00"), "Invalid timestamp"},
		{"reserved", thingWith("Text", "1c"), "reserved additional information"},
		{"break", thingWith("Other", "81ff"), "unexpected break"},
		{"simple value", thingWith("Other", "f801"), "malformed simple value"},
		{"whole number without a length", thingWith("Other", "1f"), "an indefinite length where there can be none"},
		{"depth", thingWith("Other", deep), "nesting too deep"},
		{"depth of tags", thingWith("Other", strings.Repeat("c1", 1000)+"00"), "nesting too deep"},
		{"depth of the known", strings.Repeat("a1"+hexText("Inner"), 1000) + "a0", "nesting too deep"},
		{"many values", thingWith("Texts", "9f"+strings.Repeat("60", 1<<20)+"ff"), "too many values"},
		{"null in a list", thingWith("Texts", "81f6"), "Value null at 'texts.1.member'"},
		{"missing", "a0", "Value null at 'name'"},
	} {
		body, err := hex.DecodeString(c.body)
		if err != nil {
			t.Fatal(c.name, err)
		}
		_, _, err = echo(t, thingService(RPCv2CBOR), body)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %.300v, want %s", c.name, err, c.want)
		}
	}
}

func TestCBORRouting(t *testing.T) {
	svc := thingService(RPCv2CBOR)
	svc.Protocols = []Protocol{RPCv2CBOR, AWSJSON, Query}
	svc.Others = []OtherOperation{{Name: "Other"}}
	svc.QueryCompatible, svc.ErrorPrefix = true, "com.example#"
	for _, c := range []struct{ method, path, contentType, want string }{
		{"POST", "/service/Things/operation/Echo", "application/cbor", ""},
		{"POST", "/below/service/Things/operation/Echo", "application/cbor; x=y", ""},
		{"POST", "/service/Things/operation/Other", "application/cbor", "NotImplemented"},
		{"POST", "/service/Things/operation/Echo", "application/json", "UnsupportedMediaTypeException"},
		{"GET", "/service/Things/operation/Echo", "application/cbor", "UnknownOperationException"},
		{"POST", "/service/Thing/operation/Echo", "application/cbor", "UnknownOperationException"},
		{"POST", "/", "application/cbor", "UnknownOperationException"},
	} {
		r := httptest.NewRequest(c.method, c.path, nil)
		r.Header.Set("smithy-protocol", "rpc-v2-cbor")
		r.Header.Set("Content-Type", c.contentType)
		x, err := Match(svc, r, richCBOR(t))
		if err == nil {
			_, err = x.Decode()
		}
		if cloud.Code(err) != c.want {
			t.Errorf("%s %s: %v, want %s", c.method, c.path, err, c.want)
		}
	}
	x, err := Match(svc, httptest.NewRequest("POST", "/", strings.NewReader("")), nil)
	if err == nil || x.Protocol != AWSJSON {
		t.Errorf("a request that names no protocol is taken for %s, %v", x.Protocol, err)
	}
	r := httptest.NewRequest("POST", "/service/Things/operation/Echo", nil)
	r.Header.Set("Smithy-Protocol", "rpc-v2-json")
	if _, err := Match(svc, r, nil); cloud.Code(err) != "NotImplemented" || !strings.Contains(err.Error(), "rpc-v2-json") {
		t.Errorf("another protocol of Smithy's: %v", err)
	}
	e := cloud.Errorf("Bad", "no").WithStatus(409)
	e.QueryCode, e.Fields = "Legacy.Bad", map[string]any{"n": 7, "f": func() {}, "t": "x"}
	w := httptest.NewRecorder()
	(&Exchange{Service: svc, codec: rpcCBOR{}}).EncodeError(w, "id", e)
	var got map[string]any
	if err := cbor.Unmarshal(w.Body.Bytes(), &got); err != nil || got["__type"] != "com.example#Bad" || got["message"] != "no" || got["n"] != uint64(7) || len(got) != 4 {
		t.Errorf("%v %v", got, err)
	}
	if h := w.Header(); w.Code != 409 || h.Get("smithy-protocol") != "rpc-v2-cbor" || h.Get("x-amzn-query-error") != "Legacy.Bad;Sender" || h.Get("Content-Type") != "application/cbor" {
		t.Errorf("%d %v", w.Code, h)
	}
}

// FuzzCBOR compares with another implementation of the format, and its own answers with themselves.
func FuzzCBOR(f *testing.F) {
	f.Add(richCBOR(f))
	for _, body := range []string{thingWith("Text", "7f6161ff"), thingWith("Other", "a203f4f5c2420102"), thingWith("When", "c1f93e00"), thingWith("Texts", "9f61619f"), "a0"} {
		raw, err := hex.DecodeString(body)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	svc := thingService(RPCv2CBOR)
	oracle, err := cbor.DecOptions{MaxNestedLevels: 1000, MaxArrayElements: math.MaxInt32, MaxMapPairs: math.MaxInt32}.DecMode()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		s := cborScanner{data: body}
		if s.skip(0) == nil && s.pos == len(body) && oracle.Wellformed(body) != nil {
			t.Fatalf("%x is taken and is not well-formed: %v", body, oracle.Wellformed(body))
		}
		_, out, err := echo(t, svc, body)
		if err != nil {
			if len(body) > 0 {
				checkError(t, err)
			}
			return
		}
		if oracle.Wellformed(out) != nil {
			t.Fatalf("%x is answered with %x: %v", body, out, oracle.Wellformed(out))
		}
		_, again, err := echo(t, svc, out)
		if err != nil || !bytes.Equal(out, again) {
			t.Fatalf("%v\n%x\n%x\n%x", err, body, out, again)
		}
	})
}
