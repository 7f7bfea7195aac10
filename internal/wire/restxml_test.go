package wire

import (
	"bytes"
	"encoding/xml"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"croft/internal/cloud"
)

func xmlThing(t testing.TB, v *thing) []byte {
	t.Helper()
	e := xmlEncoder{schema: thingSchema(), rest: true}
	if err := e.value(e.schema.Shape(thingRef), reflect.ValueOf(v), "Thing"); err != nil {
		t.Fatal(err)
	}
	return e.b
}

func TestXMLRoundTrip(t *testing.T) {
	want := &thing{
		Name: "a", Text: Ptr("<&>\"'ä\t\n\r]]>"), Flag: Ptr(true), Small: Ptr(int32(-7)), Large: Ptr(int64(1 << 40)), Float: Ptr(float32(1.5)),
		Double: Ptr(1e300), Raw: []byte{1, 2, 3}, When: Ptr(time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)), Texts: []string{"x", ""},
		Words: map[string]string{"k": "v", "": "w"}, Things: []thing{{Name: "b"}, {Name: ""}}, ByName: map[string]thing{"c": {Name: "c"}},
		Inner: &thing{Name: "d", Texts: []string{}}, Flats: []string{"f", "g"}, FlatMap: map[string]string{"m": "n", "o": ""},
	}
	got, answer, err := echo(t, thingService(RESTXML), xmlThing(t, want))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%v\ngot  %+v\nwant %+v", err, got, want)
	}
	again, _, err := echo(t, thingService(RESTXML), answer)
	if err != nil || !reflect.DeepEqual(again, want) {
		t.Errorf("%v\n%s", err, answer)
	}
}

func TestXMLIsTakenAsClientsWriteIt(t *testing.T) {
	for body, want := range map[string]*thing{
		`<T><name>a</name></T>`: {Name: "a"},
		`<?xml version="1.0" encoding="UTF-8"?><!-- c --><T xmlns="u"><name><![CDATA[<a>]]>&#65;&amp;</name><!-- d --></T> `: {Name: "<a>A&"},
		`<x:T xmlns:x="u"><x:name>a</x:name><x:small> 5 </x:small></x:T>`:                                                    {Name: "a", Small: Ptr(int32(5))},
		`<T><name/><texts/><words/><flat/></T>`:                                                                              {Texts: []string{}, Words: map[string]string{}, Flats: []string{""}},
	} {
		got, _, err := echo(t, thingService(RESTXML), []byte(body))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v\ngot  %+v\nwant %+v", body, err, got, want)
		}
	}
}

func TestHostileXML(t *testing.T) {
	bomb := `<!DOCTYPE T [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><T><name>&b;</name></T>`
	for name, c := range map[string][2]string{
		"not XML":            {`{"name":"a"}`, "text where an element is expected"},
		"cut off":            {`<T><name>a</name>`, "unexpected EOF"},
		"wrong end":          {`<T><name>a</T></name>`, "element <name> closed by </T>"},
		"entity":             {`<T><name>&a;</name></T>`, "invalid character entity &a;"},
		"document type":      {bomb, "document types are not taken"},
		"external entity":    {`<!DOCTYPE T SYSTEM "file:///etc/passwd"><T/>`, "document types are not taken"},
		"two roots":          {`<T/><T/>`, "more than one root element"},
		"text behind":        {`<T/>x`, "text where an element is expected"},
		"unknown element":    {`<T><Name>a</Name></T>`, "element 'Name' is not known"},
		"unknown below":      {`<T><inner><x/></inner></T>`, "element 'x' at 'inner' is not known"},
		"twice":              {`<T><name>a</name><name>b</name></T>`, "more than one element at 'name'"},
		"element for text":   {`<T><name><b/></name></T>`, "element 'b' where text is expected at 'name'"},
		"text for structure": {`<T><inner>x</inner></T>`, "text where an element is expected at 'inner'"},
		"text for list":      {`<T><texts>x</texts></T>`, "text where an element is expected at 'texts'"},
		"other element":      {`<T><texts><text>x</text></texts></T>`, "element 'text' at 'texts' is not 'member'"},
		"no number":          {`<T><small>x</small></T>`, "'x' at 'small' is not a value of type Integer"},
		"large number":       {`<T><small>99999999999</small></T>`, "is not a value of type Integer"},
		"no time":            {`<T><when>x</when></T>`, "'x' at 'when' is not a value of type Date"},
		"no base64":          {`<T><raw>?</raw></T>`, "at 'raw'"},
		"entry without key":  {`<T><words><entry><value>v</value></entry></words></T>`, "an entry without a key at 'words'"},
		"keys twice":         {`<T><flatMap><key>a</key><value/></flatMap><flatMap><key>a</key><value/></flatMap></T>`, "more than one entry 'a' at 'flatMap'"},
		"another character":  {"<T><name>\x01</name></T>", "illegal character code"},
		"not UTF-8":          {"<T><name>\xff</name></T>", "invalid UTF-8"},
		"other encoding":     {`<?xml version="1.0" encoding="EBCDIC"?><T/>`, "EBCDIC"},
		"deep":               {strings.Repeat("<inner>", 100000), "nested too deep"},
		"many elements":      {"<T>" + strings.Repeat("<flat/>", maxValues+1) + "</T>", "too many elements"},
		"large":              {"<T>" + strings.Repeat(" ", maxXML) + "</T>", "larger than"},
		"empty value":        {`<T><words><entry><key>a</key></entry></words></T>`, "Value null at 'words.a.member'"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := echo(t, thingService(RESTXML), []byte(c[0]))
			if err == nil || !strings.Contains(err.Error(), c[1]) || len(err.Error()) > 1000 {
				t.Errorf("got %.1000v\nwant %s", err, c[1])
			}
		})
	}
}

func FuzzXML(f *testing.F) {
	f.Add([]byte(`<T xmlns="u"><name>a</name><small>1</small><texts><member>x</member><member/></texts><flat>f</flat><flat/></T>`))
	f.Add([]byte(`<T><words><entry><key>k</key><value>v</value></entry></words><flatMap><key/><value/></flatMap><when>2026-01-02T03:04:05Z</when><raw>AQID</raw></T>`))
	f.Add([]byte(`<T><things><member><name>a</name><inner><double>NaN</double></inner></member></things><byName><entry><key>c</key><value/></entry></byName></T>`))
	f.Add([]byte(`<!DOCTYPE T [<!ENTITY a "b">]><T><name>&a;</name></T>`))
	svc := thingService(RESTXML)
	f.Fuzz(func(t *testing.T, body []byte) {
		_, out, err := echo(t, svc, body)
		if err != nil {
			checkError(t, err)
			return
		}
		_, again, err := echo(t, svc, out)
		if err != nil || !bytes.Equal(out, again) {
			t.Fatalf("%v\n%q\n%s\n%s", err, body, out, again)
		}
	})
}

// s3Service has the routes of S3 that are hardest to tell apart.
func s3Service() *Service {
	type in struct {
		Bucket, Key string
		ACL         *string
		Max         *int32
		Config      *struct{ Place *string }
	}
	type out struct {
		Place *string
		ACL   *string
	}
	schema := &Schema{Validation: Validation{Code: "MalformedXML"}, Shapes: []Shape{{},
		{Name: "In", Kind: Structure, Payload: 5, Members: []Member{
			{Name: "Bucket", Wire: "Bucket", Shape: 3, In: InURI}, {Name: "Key", Wire: "Key", Shape: 3, In: InURI},
			{Name: "ACL", Wire: "x-amz-acl", Shape: 3, In: InHeader}, {Name: "Max", Wire: "max", Shape: 4, In: InQuery}, {Name: "Config", Wire: "Config", Shape: 5}}},
		{Name: "Out", Kind: Structure, Members: []Member{{Name: "Place", Wire: "Place", Shape: 3}, {Name: "ACL", Wire: "x-amz-acl", Shape: 3, In: InHeader}}},
		{Name: "String", Kind: String}, {Name: "Integer", Kind: Integer},
		{Name: "Config", Kind: Structure, Members: []Member{{Name: "Place", Wire: "Place", Shape: 3}}},
	}}
	op := func(name, method, path string, more ...string) *Operation {
		o := &Operation{Name: name, Status: 200, Input: 1, Output: 2, Schema: schema, New: func() any { return new(in) }, Route: Route{Method: method, Segments: strings.Split(path, "/")}}
		for _, m := range more {
			if header, ok := strings.CutPrefix(m, "header:"); ok {
				o.Route.Headers = append(o.Route.Headers, header)
			} else {
				o.Route.Query = append(o.Route.Query, m)
			}
		}
		return o
	}
	svc := &Service{Name: "s3", EndpointPrefix: "s3", S3Rules: true, XMLNamespace: "http://x/", Protocols: []Protocol{RESTXML}, Schema: schema, Operations: []*Operation{
		op("CopyObject", "PUT", "{Bucket}/{Key+}", "header:x-amz-copy-source"), op("CreateBucket", "PUT", "{Bucket}"),
		op("GetBucketLocation", "GET", "{Bucket}", "location"), op("GetObject", "GET", "{Bucket}/{Key+}"), op("HeadBucket", "HEAD", "{Bucket}"),
		op("ListBuckets", "GET", ""), op("ListObjects", "GET", "{Bucket}"), op("ListObjectsV2", "GET", "{Bucket}", "list-type=2"), op("PutObject", "PUT", "{Bucket}/{Key+}"),
		op("UploadPart", "PUT", "{Bucket}/{Key+}", "partNumber", "uploadId"),
	}, Others: []OtherOperation{{Name: "PutBucketAcl", Route: Route{Method: "PUT", Segments: []string{"{Bucket}"}, Query: []string{"acl"}}}}}
	svc.Operations[2].Unwrapped = true
	svc.Operations[5].Root = "ListAllMyBucketsResult"
	return svc
}

func s3Request(method, target, host string) *http.Request {
	r := httptest.NewRequest(method, target, nil)
	if host != "" {
		r.Host = host
	}
	return r
}

func TestS3Routes(t *testing.T) {
	svc := s3Service()
	for _, c := range []struct{ method, target, host, want string }{
		{"GET", "/", "", "ListBuckets  "},
		{"GET", "/?x-id=ListBuckets", "s3.localhost:4566", "ListBuckets  "},
		{"PUT", "/b", "", "CreateBucket b "},
		{"PUT", "/b/", "", "CreateBucket b "},
		{"PUT", "/b?acl", "", "NotImplemented croft does not implement s3:PutBucketAcl."},
		{"PUT", "/?acl=", "b.s3.localhost", "NotImplemented croft does not implement s3:PutBucketAcl."},
		{"GET", "/b?location", "", "GetBucketLocation b "},
		{"GET", "/b?list-type=2&prefix=x", "", "ListObjectsV2 b "},
		{"GET", "/b?list-type=3", "", "ListObjects b "},
		{"GET", "/b/k", "", "GetObject b k"},
		{"GET", "/b/a//b/", "", "GetObject b a//b/"},
		{"GET", "/b//a", "", "GetObject b /a"},
		{"GET", "/b/a%2Fb%20c+d%25", "", "GetObject b a/b c+d%"},
		{"PUT", "/b/k?partNumber=1&uploadId=u", "", "UploadPart b k"},
		{"PUT", "/b/k?partNumber=1", "", "PutObject b k"},
		{"PUT", "/", "b.s3.localhost:4566", "CreateBucket b "},
		{"GET", "/", "my.s3.b.s3.eu-west-1.localhost:4566", "ListObjects my.s3.b "},
		{"GET", "/a//b/", "b.s3.amazonaws.com", "GetObject b a//b/"},
		{"GET", "//", "b.s3.eu-west-1.amazonaws.com.", "GetObject b /"},
		{"GET", "/k", "b.s3-eu-west-1.amazonaws.com", "GetObject b k"},
		{"GET", "/k", "b.s3.dualstack.eu-west-1.amazonaws.com", "GetObject b k"},
		{"GET", "/b/k", "s3.eu-west-1.amazonaws.com", "GetObject b k"},
		{"GET", "/b/k", "s3-eu-west-1.amazonaws.com", "GetObject b k"},
		{"GET", "/b/k", "127.0.0.1:4566", "GetObject b k"},
		{"GET", "/b/k", "[::1]:4566", "GetObject b k"},
		{"HEAD", "/b", "", "HeadBucket b "},
		{"POST", "/", "", "MethodNotAllowed SERVICE"},
		{"POST", "/b", "", "PreconditionFailed At least one of the pre-conditions you specified did not hold"},
		{"PATCH", "/b/k", "", "MethodNotAllowed OBJECT"},
		{"GET", "//k", "", "MethodNotAllowed OBJECT"},
	} {
		x, err := Match(svc, s3Request(c.method, c.target, c.host), nil)
		got := ""
		if err == nil {
			in, err := x.Decode()
			if err != nil {
				t.Fatal(err)
			}
			v := reflect.ValueOf(in).Elem()
			got = x.Op.Name + " " + v.Field(0).String() + " " + v.Field(1).String()
		} else if e := err.(*cloud.Error); e.Fields["ResourceType"] != nil {
			got = e.Code + " " + e.Fields["ResourceType"].(string)
		} else {
			got = e.Code + " " + e.Message
		}
		if got != c.want {
			t.Errorf("%s %s at %s: %s, want %s", c.method, c.target, c.host, got, c.want)
		}
	}
}

func TestS3HeadersThatTellOperationsApart(t *testing.T) {
	svc := s3Service()
	r := s3Request("PUT", "/b/k", "")
	r.Header.Set("X-Amz-Copy-Source", "/b/other")
	if x, err := Match(svc, r, nil); err != nil || x.Op.Name != "CopyObject" {
		t.Errorf("%v", err)
	}
	// In a presigned URL headers may lie in the query; without a signature they say nothing.
	for query, want := range map[string]string{"?X-Amz-Signature=x&x-amz-copy-source=b%2Fc": "CopyObject", "?x-amz-copy-source=b%2Fc": "PutObject"} {
		if x, err := Match(svc, s3Request("PUT", "/b/k"+query, ""), nil); err != nil || x.Op.Name != want {
			t.Errorf("%s: %v", query, err)
		}
	}
	r = s3Request("PUT", "/v20180820/tags/x", "")
	r.Header.Set("X-Amz-Account-Id", "000000000000")
	if _, err := Match(svc, r, nil); err == nil || !strings.Contains(err.Error(), "S3 Control") {
		t.Errorf("%v", err)
	}
}

// s3Answer sends a request to the operation that answers with place and acl, and returns the answer.
func s3Answer(t *testing.T, method, target, body string, answer func(x *Exchange, w http.ResponseWriter)) string {
	t.Helper()
	w := httptest.NewRecorder()
	x, err := Match(s3Service(), s3Request(method, target, ""), []byte(body))
	if err == nil {
		_, err = x.Decode()
	}
	if err != nil {
		x.EncodeError(w, "id", err.(*cloud.Error))
	} else {
		answer(x, w)
	}
	var out strings.Builder
	out.WriteString(http.StatusText(w.Code))
	for _, name := range []string{"Content-Type", "Content-Length", "X-Amz-Acl", "X-Amz-Bucket-Region"} {
		if v := w.Header().Get(name); v != "" {
			out.WriteString(" " + name + ":" + v)
		}
	}
	if w.Header().Get("X-Amz-Request-Id") != "id" || w.Header().Get("X-Amz-Id-2") != "aWQ=" {
		t.Errorf("headers %v", w.Header())
	}
	if b := w.Body.Bytes(); len(b) > 0 && xml.Unmarshal(b, new(struct{})) != nil {
		t.Errorf("not XML: %s", b)
	}
	return out.String() + " " + strings.TrimPrefix(w.Body.String(), "<?xml version=\"1.0\"?>\n")
}

func TestS3Answers(t *testing.T) {
	type out struct{ Place, ACL *string }
	with := func(v *out) func(*Exchange, http.ResponseWriter) {
		return func(x *Exchange, w http.ResponseWriter) {
			if err := x.Encode(w, "id", v); err != nil {
				t.Error(err)
			}
		}
	}
	refuse := func(x *Exchange, w http.ResponseWriter) {
		x.EncodeError(w, "id", &cloud.Error{Code: "NoSuchBucket", Message: "a < b", Status: 404, Fields: map[string]any{"BucketName": "b", "x-amz-bucket-region": "eu-west-1", "Other": 7}})
	}
	for _, c := range []struct {
		method, target, body string
		answer               func(*Exchange, http.ResponseWriter)
		want                 string
	}{
		{"GET", "/", "", with(&out{Place: Ptr("p")}), `OK Content-Type:application/xml Content-Length:105 <ListAllMyBucketsResult xmlns="http://x/"><Place>p</Place></ListAllMyBucketsResult>`},
		{"GET", "/b?location", "", with(&out{}), `OK Content-Type:application/xml`},
		{"HEAD", "/b", "", with(&out{ACL: Ptr("private")}), "OK Content-Type:application/xml Content-Length:51 X-Amz-Acl:private "},
		{"GET", "/b", "", refuse, `Not Found Content-Type:application/xml Content-Length:161 X-Amz-Bucket-Region:eu-west-1 <Error><Code>NoSuchBucket</Code><Message>a &lt; b</Message><BucketName>b</BucketName><RequestId>id</RequestId><HostId>aWQ=</HostId></Error>`},
		{"HEAD", "/b", "", refuse, `Not Found Content-Type:application/xml Content-Length:161 X-Amz-Bucket-Region:eu-west-1 `},
		{"GET", "/b?max=x", "", nil, `<Code>InvalidArgument</Code>`},
		{"PUT", "/b", "<Config><Place>p</Place></Config>", with(&out{}), "OK"},
		{"PUT", "/b", "<Other/>", nil, "<Code>MalformedXML</Code><Message>The XML you provided was not well-formed or did not validate against our published schema: its root element is not Config</Message>"},
		{"PUT", "/b", "", with(&out{}), "OK"},
		{"PUT", "/b", "<Config", nil, "<Code>MalformedXML</Code>"},
	} {
		if got := s3Answer(t, c.method, c.target, c.body, c.answer); !strings.Contains(got, c.want) {
			t.Errorf("%s %s\ngot  %s\nwant %s", c.method, c.target, got, c.want)
		}
	}
}

func FuzzS3Path(f *testing.F) {
	f.Add("/b/a//b/", "127.0.0.1:4566")
	f.Add("/a%2Fb?x-amz-acl=y&X-Amz-Signature=z", "b.s3.eu-west-1.localhost:4566")
	f.Add("//", "s3.s3-x.s3.")
	svc := s3Service()
	f.Fuzz(func(t *testing.T, target, host string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return
		}
		x, err := Match(svc, &http.Request{Method: "GET", URL: u, Host: host, Header: http.Header{}}, nil)
		if err != nil {
			checkError(t, err)
			return
		}
		in, err := x.Decode()
		if err != nil {
			checkError(t, err)
			return
		}
		bucket, key := reflect.ValueOf(in).Elem().Field(0).String(), reflect.ValueOf(in).Elem().Field(1).String()
		named, inHost := BucketOfHost(svc, host)
		rest := strings.TrimPrefix(u.Path, "/")
		switch {
		case inHost && (bucket != named && x.Op.Name != "ListBuckets" || key != rest):
			t.Fatalf("%q at %q: bucket %q, key %q", target, host, bucket, key)
		case !inHost && x.Op.Name == "GetObject" && bucket+"/"+key != rest:
			t.Fatalf("%q: bucket %q, key %q", target, bucket, key)
		}
	})
}
