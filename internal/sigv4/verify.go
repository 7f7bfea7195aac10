package sigv4

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"croft/internal/cloud"
)

const (
	// maxSkew is how far a signature's time may lie from the server's.
	maxSkew = 15 * time.Minute
	// maxExpires is the longest life of a presigned request, in seconds.
	maxExpires = 7 * 24 * 3600
)

// Keys knows the secrets of access keys.
type Keys interface {
	// Secret returns the secret that belongs to accessKey. known false with a nil error accepts the key without its signature: Verify
	// then checks form and time alone and says so in Identity.Verified. To refuse a key, return an error: a *cloud.Error such as
	// UnknownKey is Verify's answer as it is, any other becomes InternalFailure.
	Secret(ctx context.Context, accessKey string) (secret string, known bool, err error)
}

// Identity is who signed a request.
type Identity struct {
	Scope
	// Verified is set when the signature was checked and is right.
	Verified bool
}

// Verify checks the signature of r, whose body has been read, at the time now. Scopes are not compared with the service that is
// called: the caller does that. The error's code is one of this package's or what keys returned.
func Verify(r *http.Request, body []byte, now time.Time, keys Keys) (Identity, *cloud.Error) {
	return (*Verifier)(nil).Verify(r, body, now, keys)
}

// Verifier verifies signatures and remembers derived keys. The zero value is ready; a nil Verifier remembers nothing. It is safe for
// concurrent use.
type Verifier struct{ derived keyCache }

// Verify is like the function of that name.
func (v *Verifier) Verify(r *http.Request, body []byte, now time.Time, keys Keys) (Identity, *cloud.Error) {
	c, secret, known, cerr := identify(r, now, keys)
	if cerr != nil {
		return Identity{}, cerr
	}
	if !known {
		return Identity{Scope: c.Scope}, nil
	}
	hash, cerr := payloadHash(&c, r, body)
	if cerr != nil {
		return Identity{}, cerr
	}
	if _, cerr := v.compare(&c, r, secret, hash); cerr != nil {
		return Identity{}, cerr
	}
	return Identity{Scope: c.Scope, Verified: true}, nil
}

// identify reads the signature that r presents, checks its time, and looks up the secret.
func identify(r *http.Request, now time.Time, keys Keys) (c claim, secret string, known bool, cerr *cloud.Error) {
	if c, cerr = readClaim(r); cerr != nil {
		return c, "", false, cerr
	}
	if cerr := c.checkTime(now); cerr != nil {
		return c, "", false, cerr
	}
	secret, known, err := keys.Secret(r.Context(), c.AccessKey)
	if err != nil {
		return c, "", false, keyError(err)
	}
	return c, secret, known, nil
}

// compare compares the signature with the one that secret makes, and returns the derived key.
func (v *Verifier) compare(c *claim, r *http.Request, secret, hash string) (digest, *cloud.Error) {
	if c.version2 {
		return digest{}, c.compareVersion2(r, secret)
	}
	given, err := hex.DecodeString(c.signature)
	buf := getBuffer()
	defer putBuffer(buf)
	buf.b = appendCanonical(buf.b, c, r, hash)
	key := v.key(secret, &c.Scope)
	want := sign(key, &c.Scope, c.rawTime, buf.b)
	if err != nil || !hmac.Equal(given, want[:]) {
		return key, explain(mismatch(&c.Scope), &c.Scope, c.signature, stringToSign(&c.Scope, c.rawTime, buf.b), string(buf.b))
	}
	return key, nil
}

func keyError(err error) *cloud.Error {
	var e *cloud.Error
	if errors.As(err, &e) {
		return e
	}
	return &cloud.Error{Code: "InternalFailure", Message: "The access key could not be looked up.", Status: http.StatusInternalServerError, Cause: err}
}

// readClaim reads the signature that r presents and checks its form.
func readClaim(r *http.Request) (claim, *cloud.Error) {
	if a := r.Header.Get("Authorization"); a != "" {
		return readHeaderClaim(r, a)
	}
	if strings.Contains(r.URL.RawQuery, "X-Amz-Signature=") || strings.Contains(r.URL.RawQuery, "X-Amz-Algorithm=") {
		return readQueryClaim(r)
	}
	if isVersion2(r) {
		return readVersion2(r)
	}
	return claim{}, forbidden(MissingAuthenticationToken, "Missing Authentication Token")
}

func readHeaderClaim(r *http.Request, a string) (claim, *cloud.Error) {
	scheme, rest, _ := strings.Cut(a, " ")
	if scheme != algorithm {
		return claim{}, incomplete("Unsupported AWS 'algorithm': '%s'. croft verifies %s.", short(scheme), algorithm)
	}
	c := claim{parts: parseAuthorization(rest)}
	c.rawTime = r.Header.Get("X-Amz-Date")
	if c.rawTime == "" {
		c.rawTime = headerDate(r.Header.Get("Date"))
	}
	var lacks []string
	for _, p := range [...][2]string{{"Credential", c.credential}, {"Signature", c.signature}, {"SignedHeaders", c.signedHeaders}} {
		if p[1] == "" {
			lacks = append(lacks, "Authorization header requires '"+p[0]+"' parameter.")
		}
	}
	if c.rawTime == "" {
		lacks = append(lacks, "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
	}
	if len(lacks) > 0 {
		return claim{}, incomplete("%s", strings.Join(lacks, " "))
	}
	var ok bool
	if c.Scope, ok = parseCredential(c.credential); !ok {
		return claim{}, incomplete("Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '%s'", short(c.credential))
	}
	c.Token = r.Header.Get("X-Amz-Security-Token")
	return c, c.finish(r)
}

// headerDate turns a Date header into the form of X-Amz-Date.
func headerDate(text string) string {
	if text == "" {
		return ""
	}
	if t, err := http.ParseTime(text); err == nil {
		return t.UTC().Format(timeFormat)
	}
	return text
}

func readQueryClaim(r *http.Request) (claim, *cloud.Error) {
	q := r.URL.Query()
	c := claim{parts: parts{q.Get("X-Amz-Credential"), q.Get("X-Amz-SignedHeaders"), q.Get("X-Amz-Signature")}, rawTime: q.Get("X-Amz-Date")}
	expires := q.Get("X-Amz-Expires")
	for _, p := range [...][2]string{
		{"X-Amz-Algorithm", q.Get("X-Amz-Algorithm")}, {"X-Amz-Credential", c.credential}, {"X-Amz-Signature", c.signature},
		{"X-Amz-Date", c.rawTime}, {"X-Amz-SignedHeaders", c.signedHeaders},
	} {
		if p[1] == "" {
			return claim{}, queryError(c.credential, "AWS query-string parameters must include '"+p[0]+"'.")
		}
	}
	if a := q.Get("X-Amz-Algorithm"); a != algorithm {
		return claim{}, queryError(c.credential, "X-Amz-Algorithm only supports \""+algorithm+"\"")
	}
	if len(c.credential) > maxElements || len(c.signedHeaders) > maxElements {
		return claim{}, queryError("", "The signature's parameters are too long.")
	}
	var ok bool
	if c.Scope, ok = parseCredential(c.credential); !ok {
		return claim{}, queryError(c.credential, "Error parsing the X-Amz-Credential parameter; the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".")
	}
	c.Presigned, c.Token = true, q.Get("X-Amz-Security-Token")
	// Services other than S3 take presigned requests without it; they live as long as a signature in a header.
	seconds := int(maxSkew / time.Second)
	if expires != "" || c.plainS3() {
		n, err := strconv.Atoi(expires)
		switch {
		case err != nil:
			return claim{}, queryError(c.credential, "X-Amz-Expires should be a number")
		case n < 0:
			return claim{}, queryError(c.credential, "X-Amz-Expires must be non-negative")
		case n > maxExpires:
			return claim{}, queryError(c.credential, "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds")
		}
		seconds = n
	}
	c.expires = time.Duration(seconds) * time.Second
	return c, c.finish(r)
}

// queryError is a malformed presigned request; S3 has its own code for it.
func queryError(credential, message string) *cloud.Error {
	if strings.HasSuffix(credential, "/s3/"+terminator) {
		return cloud.Errorf(QueryParametersError, "%s", message)
	}
	return incomplete("%s", message)
}

// finish checks what both forms have alike: the time and the signed headers.
func (c *claim) finish(r *http.Request) *cloud.Error {
	t, err := time.Parse(timeFormat, c.rawTime)
	if err != nil {
		return incomplete("Date must be in ISO-8601 'basic format'. Got '%s'. See http://en.wikipedia.org/wiki/ISO_8601", short(c.rawTime))
	}
	c.at = t
	if !c.signs("host") {
		return forbidden(SignatureDoesNotMatch, "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
	}
	for name := range r.Header {
		if c.mustSign(name) && !c.signs(strings.ToLower(name)) {
			if c.plainS3() {
				return notSigned(strings.ToLower(name))
			}
			return forbidden(SignatureDoesNotMatch, "'%s' must be a 'SignedHeader' in the AWS Authorization.", short(name))
		}
	}
	return nil
}

// mustSign reports whether the header called name, in net/http's spelling, must be signed where it is present: those that say what is
// asked for, and for S3 all of AWS's own.
func (c *claim) mustSign(name string) bool {
	switch name {
	case "X-Amz-Date", "X-Amz-Security-Token", "X-Amz-Target":
		return !c.Presigned || name == "X-Amz-Target"
	}
	return c.plainS3() && strings.HasPrefix(name, "X-Amz-")
}

// signs reports whether the header called name, in lower case, is signed.
func (c *claim) signs(name string) bool {
	for rest := c.signedHeaders; rest != ""; {
		var one string
		one, rest, _ = strings.Cut(rest, ";")
		if one == name {
			return true
		}
	}
	return false
}

const (
	unsignedPayload = "UNSIGNED-PAYLOAD"
	hashHeader      = "X-Amz-Content-Sha256"
)

// payloadHash returns what stands for the body in the canonical request.
func payloadHash(c *claim, r *http.Request, body []byte) (string, *cloud.Error) {
	declared := ""
	if c.plainS3() {
		declared = r.Header.Get(hashHeader)
		if declared == "" && c.Presigned {
			declared = unsignedPayload
		}
	}
	if declared == unsignedPayload {
		return declared, nil
	}
	if strings.HasPrefix(declared, "STREAMING-") {
		return "", cloud.Errorf("NotImplemented", "croft does not implement the payload mode %s.", short(declared)).WithStatus(http.StatusNotImplemented)
	}
	hash := hashOf(body)
	if declared != "" && declared != hash {
		return "", cloud.Errorf(ContentSHA256Mismatch, "The provided 'x-amz-content-sha256' header does not match what was computed.")
	}
	return hash, nil
}

func hashOf(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

func short(s string) string {
	if len(s) > 128 {
		return strings.ToValidUTF8(s[:128], "") + "..."
	}
	return s
}
