package sigv4

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestVersion2: the example of the S3 User Guide, "Signing and authenticating REST requests", as it is, changed, and too late.
func TestVersion2(t *testing.T) {
	const example = "http://johnsmith.s3.amazonaws.com/photos/puppy.jpg?AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature=NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D&Expires=1175139620"
	end := time.Unix(1175139620, 0)
	for name, c := range map[string]struct {
		change func(string) string
		now    time.Time
		want   string
	}{
		"right": {strings.Clone, end, ""},
		"in the path": {func(u string) string {
			return strings.Replace(u, "johnsmith.s3.amazonaws.com/", "localhost:4566/johnsmith/", 1)
		}, end, ""},
		"a key that begins with a bucket's name": {func(u string) string {
			return strings.Replace(u, "johnsmith.s3.amazonaws.com/", "victim.s3.amazonaws.com/johnsmith/", 1)
		}, end, "SignatureDoesNotMatch"},
		"too late":         {strings.Clone, end.Add(time.Second), "AccessDenied"},
		"another end":      {func(u string) string { return strings.Replace(u, "1175139620", "1975139620", 1) }, end, "SignatureDoesNotMatch"},
		"another key":      {func(u string) string { return strings.Replace(u, "puppy", "kitty", 1) }, end, "SignatureDoesNotMatch"},
		"another bucket":   {func(u string) string { return strings.Replace(u, "johnsmith", "janedoe", 1) }, end, "SignatureDoesNotMatch"},
		"a subresource":    {func(u string) string { return u + "&acl" }, end, "SignatureDoesNotMatch"},
		"a header":         {func(u string) string { return u + "&x-amz-meta-a=b" }, end, "SignatureDoesNotMatch"},
		"no end":           {func(u string) string { return strings.Replace(u, "1175139620", "", 1) }, end, "AccessDenied"},
		"no time":          {func(u string) string { return strings.Replace(u, "1175139620", "soon", 1) }, end, "AccessDenied"},
		"another version":  {func(u string) string { return u + "&SignatureVersion=2" }, end, "MissingAuthenticationToken"},
		"another encoding": {func(u string) string { return strings.Replace(u, "%3D", "", 1) }, end, "SignatureDoesNotMatch"},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest("GET", c.change(example), nil)
			id, payload, cerr := new(Verifier).VerifyHead(r, c.now, oneSecret(chunkSecret))
			switch {
			case c.want != "" && (cerr == nil || cerr.Code != c.want):
				t.Errorf("got %v, want %s", cerr, c.want)
			case c.want == "" && (cerr != nil || !id.Verified || payload == nil || id.Service != "s3" || id.AccessKey != "AKIAIOSFODNN7EXAMPLE"):
				t.Errorf("got %v, %+v", cerr, id)
			}
		})
	}
}

// TestVersion2OfBuckets: signatures that botocore 1.43 made for GET /bkt1 with the keys "test", "test": it signs "/bkt1/".
func TestVersion2OfBuckets(t *testing.T) {
	const query = "?list-type=2&AWSAccessKeyId=test&Signature=SmZffBomGntXH2Q%2Bjk4d5kp3InY%3D&Expires=1795458147"
	for path, good := range map[string]bool{"/bkt1": true, "/bkt1/": true, "/bkt2": false, "/bkt1/key": false} {
		r := httptest.NewRequest("GET", "http://127.0.0.1:4566"+path+query, nil)
		_, _, cerr := new(Verifier).VerifyHead(r, time.Unix(1795458147, 0), oneSecret("test"))
		if good != (cerr == nil) {
			t.Errorf("%s: %v", path, cerr)
		}
	}
}
