package s3_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	api "croft/internal/awsapi/s3"
	"croft/internal/clock"
	"croft/internal/service/servicetest"
	"croft/internal/sigv4"
	"croft/internal/wire"
)

// page is what a browser sends for a page of another origin.
type page struct {
	method, target, host string
	header               map[string]string
	sign                 bool
}

func (p page) from(t *testing.T, ts *httptest.Server) (int, http.Header, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), p.method, ts.URL+p.target, nil)
	if err != nil {
		t.Fatal(err)
	}
	if p.host != "" {
		r.Host = p.host
	}
	if p.sign {
		sigv4.Sign(r, nil, sigv4.Credentials{AccessKey: "test", Secret: "test"}, "us-east-1", "s3", clock.Real().Now())
	}
	for k, v := range p.header {
		r.Header.Set(k, v)
	}
	resp, err := ts.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(text)
}

func shared(t *testing.T) (*httptest.Server, *servicetest.Env) {
	t.Helper()
	e := servicetest.New(t, descriptor)
	c := api.NewClient(e.Dispatcher)
	for _, b := range []string{"shared", "closed"} {
		if _, err := c.CreateBucket(e.Context(), &api.CreateBucketInput{Bucket: b}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.PutObject(e.Context(), &api.PutObjectInput{Bucket: b, Key: "k", Body: wire.NewStream(strings.NewReader("x"), 1)}); err != nil {
			t.Fatal(err)
		}
	}
	rules := []api.CORSRule{
		{AllowedOrigins: []string{"https://*.friend.example"}, AllowedMethods: []string{"GET", "PUT"}, AllowedHeaders: []string{"X-amz-*", "content-type"},
			ExposeHeaders: []string{"ETag", "x-amz-id-2"}, MaxAgeSeconds: wire.Ptr(int32(300))},
		{AllowedOrigins: []string{"*"}, AllowedMethods: []string{"HEAD"}},
	}
	in := &api.PutBucketCorsInput{Bucket: "shared", CORSConfiguration: &api.CORSConfiguration{CORSRules: rules}}
	if _, err := c.PutBucketCors(e.Context(), in); err != nil {
		t.Fatal(err)
	}
	return serve(t, e), e
}

const notAllowed = "CORSResponse: This CORS request is not allowed."

func TestQuestionsOfBrowsers(t *testing.T) {
	ts, _ := shared(t)
	const friend = "https://app.friend.example"
	ask := func(target, origin, method, headers string) page {
		h := map[string]string{}
		for name, v := range map[string]string{"Origin": origin, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": headers} {
			if v != "" {
				h[name] = v
			}
		}
		return page{method: "OPTIONS", target: target, header: h}
	}
	for name, c := range map[string]struct {
		page
		status int
		want   string
	}{
		"granted":              {ask("/shared/k", friend, "PUT", "x-amz-meta-A,Content-Type"), 200, ""},
		"by host":              {page{"OPTIONS", "/k", "shared.s3.localhost", map[string]string{"Origin": friend, "Access-Control-Request-Method": "GET"}, false}, 200, ""},
		"the bucket":           {ask("/shared", friend, "GET", ""), 200, ""},
		"a hostile origin":     {ask("/shared/k", "https://friend.example.evil.example", "PUT", ""), 403, notAllowed},
		"the star's empty":     {ask("/shared/k", "https://.friend.example", "PUT", ""), 200, ""},
		"another scheme":       {ask("/shared/k", "http://app.friend.example", "PUT", ""), 403, notAllowed},
		"another method":       {ask("/shared/k", friend, "DELETE", ""), 403, "<Method>DELETE</Method><ResourceType>OBJECT</ResourceType>"},
		"another header":       {ask("/shared/k", friend, "PUT", "x-amz-a, authorization"), 403, notAllowed},
		"too many headers":     {ask("/shared/k", friend, "PUT", strings.Repeat("x-amz-a,", 1000)), 403, notAllowed},
		"a bucket without":     {ask("/closed/k", friend, "PUT", ""), 403, "CORSResponse: CORS is not enabled for this bucket.</Message><Method>PUT</Method><ResourceType>BUCKET"},
		"no bucket":            {ask("/nobody-has-it/k", friend, "", ""), 403, "CORSResponse: Bucket not found</Message><Method>OPTIONS</Method><ResourceType>BUCKET"},
		"no origin":            {ask("/shared/k", "", "PUT", ""), 400, "Insufficient information. Origin request header needed."},
		"no method":            {ask("/shared/k", friend, "", ""), 400, "Invalid Access-Control-Request-Method: null"},
		"the list of buckets":  {ask("/", friend, "GET", ""), 403, "another origin"},
		"control calls":        {ask("/_croft/reset", friend, "GET", ""), 403, "another origin"},
		"a forged name":        {page{"OPTIONS", "/k", "shared.s3.amazonaws.com", map[string]string{"Origin": friend, "Access-Control-Request-Method": "GET"}, false}, 403, "another origin"},
		"a path that is wrong": {ask("/shared/%00", friend, "GET", ""), 200, ""},
	} {
		status, h, text := c.from(t, ts)
		if status != c.status || !strings.Contains(text, c.want) {
			t.Errorf("%s: %d %s", name, status, text)
		}
		if granted := h.Get("Access-Control-Allow-Origin") != ""; granted != (c.status == 200) {
			t.Errorf("%s: %v", name, h)
		}
	}
	_, h, _ := ask("/shared/k", friend, "PUT", "X-Amz-Meta-A, content-type").from(t, ts)
	for name, want := range map[string]string{
		"Access-Control-Allow-Origin": friend, "Access-Control-Allow-Credentials": "true", "Access-Control-Allow-Methods": "GET, PUT",
		"Access-Control-Allow-Headers": "x-amz-meta-a, content-type", "Access-Control-Expose-Headers": "ETag, x-amz-id-2", "Access-Control-Max-Age": "300",
		"Vary": "Origin, Access-Control-Request-Headers, Access-Control-Request-Method", "Content-Length": "0",
	} {
		if h.Get(name) != want {
			t.Errorf("%s: %q, want %q", name, h.Get(name), want)
		}
	}
	if h.Get("X-Amz-Request-Id") == "" || h.Get("X-Amz-Id-2") == "" {
		t.Errorf("%v", h)
	}
	_, h, _ = ask("/shared/k", "https://any.example", "HEAD", "").from(t, ts)
	if h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("%v", h)
	}
}

func TestPagesOfOtherOrigins(t *testing.T) {
	ts, _ := shared(t)
	friend := map[string]string{"Origin": "https://app.friend.example", "Sec-Fetch-Site": "cross-site"}
	hostile := map[string]string{"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
	for name, c := range map[string]struct {
		page
		status int
		shared bool
	}{
		"granted":                        {page{"GET", "/shared/k", "", friend, true}, 200, true},
		"a list":                         {page{"GET", "/shared?list-type=2", "", friend, true}, 200, true},
		"granted, and not there":         {page{"GET", "/shared/none", "", friend, true}, 404, true},
		"granted, and unsigned":          {page{"GET", "/shared/k?X-Amz-Credential=a", "", friend, false}, 403, false},
		"a hostile origin":               {page{"GET", "/shared/k", "", hostile, true}, 403, false},
		"another method":                 {page{"DELETE", "/shared/k", "", friend, true}, 403, false},
		"a bucket without rules":         {page{"GET", "/closed/k", "", friend, true}, 403, false},
		"the rules themselves":           {page{"PUT", "/shared?cors", "", friend, true}, 403, false},
		"all buckets":                    {page{"GET", "/", "", friend, true}, 403, false},
		"a forged name":                  {page{"GET", "/k", "shared.s3.amazonaws.com", friend, true}, 403, false},
		"a page that says not which":     {page{"GET", "/shared/k", "", map[string]string{"Sec-Fetch-Site": "cross-site"}, true}, 403, false},
		"the method of another question": {page{"GET", "/shared/k", "", map[string]string{"Origin": "https://app.friend.example", "Access-Control-Request-Method": "DELETE"}, true}, 403, false},
	} {
		status, h, text := c.from(t, ts)
		if got := h.Get("Access-Control-Allow-Origin") != ""; status != c.status || got != c.shared {
			t.Errorf("%s: %d %v %.300s", name, status, h, text)
		}
	}
	if status, _, text := (page{"GET", "/shared/k", "", nil, true}).from(t, ts); status != 200 || text != "x" {
		t.Errorf("without a page: %d %s", status, text)
	}
}
