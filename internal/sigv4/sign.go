package sigv4

import (
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Credentials are an access key with its secret and, for temporary ones, its session token.
type Credentials struct{ AccessKey, Secret, Token string }

// Sign signs r for our own clients, by headers: X-Amz-Date, X-Amz-Security-Token where there is a token, X-Amz-Content-Sha256 for
// S3, and Authorization. It signs the host and all headers of AWS's own and the content type. body is what r will send.
func Sign(r *http.Request, body []byte, creds Credentials, region, service string, now time.Time) {
	SignHash(r, hashOf(body), creds, region, service, now)
}

// SignHash is Sign for a body of which only the SHA-256 is known, in lower-case hexadecimal, or what S3 takes in its place.
func SignHash(r *http.Request, sum string, creds Credentials, region, service string, now time.Time) {
	c := claim{rawTime: now.UTC().Format(timeFormat)}
	c.Scope = Scope{AccessKey: creds.AccessKey, Date: c.rawTime[:8], Region: region, Service: service, Token: creds.Token}
	r.Header.Set("X-Amz-Date", c.rawTime)
	if creds.Token != "" {
		r.Header.Set("X-Amz-Security-Token", creds.Token)
	}
	if c.plainS3() {
		r.Header.Set(hashHeader, sum)
	}
	if r.Host == "" {
		r.Host = r.URL.Host
	}
	names := []string{"host"}
	for name := range r.Header {
		if lower := strings.ToLower(name); lower == "content-type" || strings.HasPrefix(lower, "x-amz-") {
			names = append(names, lower)
		}
	}
	slices.Sort(names)
	c.signedHeaders = strings.Join(names, ";")
	signature := sign(derive(creds.Secret, &c.Scope), &c.Scope, c.rawTime, appendCanonical(nil, &c, r, sum))
	r.Header.Set("Authorization", algorithm+" Credential="+creds.AccessKey+"/"+c.text()+", SignedHeaders="+c.signedHeaders+
		", Signature="+hex.EncodeToString(signature[:]))
}
