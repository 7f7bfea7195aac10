package sigv4

import (
	"net/http"
	"strings"
	"time"
)

const (
	algorithm   = "AWS4-HMAC-SHA256"
	terminator  = "aws4_request"
	timeFormat  = "20060102T150405Z"
	maxElements = 4096 // bytes of a credential or of a list of signed headers
)

// Scope is what a request says of its signature. Nothing in it is verified.
type Scope struct {
	AccessKey string
	// Date is the day of the signature: "20130524".
	Date    string
	Region  string
	Service string
	// Presigned is set when the signature lies in the query.
	Presigned bool
	// Token is the session token that goes with temporary credentials.
	Token string
}

// Parse returns what r says of its signature, without verifying anything: for finding the service and region that a request is
// for. ok is false when r has no signature of version 4 with a complete credential, and is no URL presigned by version 2.
func Parse(r *http.Request) (scope Scope, ok bool) {
	if a := r.Header.Get("Authorization"); a != "" {
		rest, isV4 := strings.CutPrefix(a, algorithm)
		if !isV4 {
			return Scope{}, false
		}
		p := parseAuthorization(rest)
		scope, ok = parseCredential(p.credential)
		scope.Token = r.Header.Get("X-Amz-Security-Token")
		return scope, ok
	}
	if isVersion2(r) {
		scope = version2Scope(r.URL.Query())
		return scope, scope.AccessKey != ""
	}
	if !strings.Contains(r.URL.RawQuery, "X-Amz-Credential=") {
		return Scope{}, false
	}
	q := r.URL.Query()
	scope, ok = parseCredential(q.Get("X-Amz-Credential"))
	scope.Presigned, scope.Token = true, q.Get("X-Amz-Security-Token")
	return scope, ok
}

// parts are the parameters of a signature.
type parts struct{ credential, signedHeaders, signature string }

// parseAuthorization reads the parameters of an Authorization header, which commas, spaces or both separate.
func parseAuthorization(rest string) parts {
	var p parts
	for rest != "" {
		i := strings.IndexAny(rest, ", ")
		field := rest
		if i < 0 {
			rest = ""
		} else {
			field, rest = rest[:i], rest[i+1:]
		}
		name, value, _ := strings.Cut(field, "=")
		if len(value) > maxElements {
			continue
		}
		switch name {
		case "Credential":
			p.credential = value
		case "SignedHeaders":
			p.signedHeaders = value
		case "Signature":
			p.signature = value
		}
	}
	return p
}

// parseCredential reads "KEY/20130524/us-east-1/s3/aws4_request". Access keys may hold slashes: the last four parts are the scope.
func parseCredential(c string) (Scope, bool) {
	rest, ok := strings.CutSuffix(c, "/"+terminator)
	if !ok {
		return Scope{}, false
	}
	var s Scope
	for _, part := range [...]*string{&s.Service, &s.Region, &s.Date} {
		i := strings.LastIndexByte(rest, '/')
		if i < 0 {
			return Scope{}, false
		}
		*part, rest = rest[i+1:], rest[:i]
	}
	s.AccessKey = rest
	return s, s.AccessKey != "" && s.Region != "" && s.Service != "" && isDay(s.Date)
}

func isDay(s string) bool {
	if len(s) != 8 {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

func (s *Scope) text() string { return s.Date + "/" + s.Region + "/" + s.Service + "/" + terminator }

// plainS3 reports whether the rules of S3 apply: the path is encoded once and the payload may go unsigned.
func (s *Scope) plainS3() bool { return s.Service == "s3" }

// claim is a signature as a request presents it.
type claim struct {
	Scope
	parts
	at      time.Time
	rawTime string
	expires time.Duration // of a presigned request
	// version2 signatures have their end in at, and no more of what stands here.
	version2 bool
}
