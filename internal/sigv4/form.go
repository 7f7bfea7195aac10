package sigv4

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"

	"croft/internal/cloud"
)

// Form is the signature of an HTML form that is posted to S3, as the form's fields have it. The policy is what is signed: what of the form has to be
// as the signer meant it is for the policy to say, and when it ends. Version 2 signatures have no algorithm, credential and date but
// an access key.
//
// Sources: S3 API Reference, "Browser-based uploads using POST", "Calculating a signature"; S3 User Guide, "Browser-based uploads using POST (AWS
// Signature Version 2)".
type Form struct {
	Policy, Signature, Token    string
	Algorithm, Credential, Date string
	AccessKey                   string
}

// version2 reports whether the form is signed by version 2.
func (f *Form) version2() bool { return f.Algorithm == "" && f.AccessKey != "" }

// Scope returns what the form says of its signature, after looking at its form alone.
func (f *Form) Scope() (Scope, *cloud.Error) {
	if len(f.Credential) > maxElements || len(f.AccessKey) > maxElements || len(f.Signature) > maxElements {
		return Scope{}, forbidden("AccessDenied", "The fields of the signature are too long.")
	}
	if f.version2() {
		return Scope{AccessKey: f.AccessKey, Service: "s3", Region: version2Region, Token: f.Token}, nil
	}
	scope, ok := parseCredential(f.Credential)
	scope.Token = f.Token
	switch {
	case f.Algorithm != algorithm:
		return Scope{}, badField("X-Amz-Algorithm", f.Algorithm, "Only AWS4-HMAC-SHA256 is supported")
	case !ok:
		return Scope{}, badField("X-Amz-Credential", f.Credential, "the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".")
	case len(f.Date) != len(timeFormat) || f.Date[:8] != scope.Date:
		return Scope{}, badField("X-Amz-Date", f.Date, "Date in Credential scope does not match YYYYMMDD from X-Amz-Date.")
	}
	return scope, nil
}

func badField(name, value, message string) *cloud.Error {
	e := cloud.Errorf("InvalidArgument", "%s", message)
	e.Fields = map[string]any{"ArgumentName": name, "ArgumentValue": short(value)}
	return e
}

// VerifyForm checks a form's signature. The time is for the policy to say, which it covers.
func (v *Verifier) VerifyForm(ctx context.Context, f *Form, keys Keys) *cloud.Error {
	scope, cerr := f.Scope()
	if cerr != nil {
		return cerr
	}
	secret, known, err := keys.Secret(ctx, scope.AccessKey)
	if err != nil {
		return keyError(err)
	}
	if !known {
		return nil
	}
	var given, want []byte
	if f.version2() {
		h := hmac.New(sha1.New, []byte(secret))
		h.Write([]byte(f.Policy))
		want = h.Sum(nil)
		given, err = base64.StdEncoding.DecodeString(f.Signature)
	} else {
		key := v.key(secret, &scope)
		sum := mac(key[:], f.Policy)
		want = sum[:]
		given, err = hex.DecodeString(f.Signature)
	}
	if err == nil && hmac.Equal(given, want) {
		return nil
	}
	return explain(mismatch(&scope), &scope, f.Signature, f.Policy, "")
}

// maxExplained bounds what an error repeats of a request, in bytes.
const maxExplained = 16 << 10

// explain gives the error about a signature for S3 what S3 says of it: the client finds its mistake by comparing.
func explain(e *cloud.Error, s *Scope, given, toSign, canonical string) *cloud.Error {
	if !s.plainS3() || len(toSign)+len(canonical)+len(given) > maxExplained {
		return e
	}
	e.Fields = map[string]any{
		"AWSAccessKeyId": s.AccessKey, "StringToSign": toSign, "SignatureProvided": given, "StringToSignBytes": hexBytes(toSign),
	}
	if canonical != "" {
		e.Fields["CanonicalRequest"], e.Fields["CanonicalRequestBytes"] = canonical, hexBytes(canonical)
	}
	return e
}

// notSigned is S3's answer to a header of its own that a signature does not cover.
func notSigned(header string) *cloud.Error {
	e := forbidden("AccessDenied", "There were headers present in the request which were not signed")
	e.Fields = map[string]any{"HeadersNotSigned": short(header)}
	return e
}

// hexBytes writes the bytes of a text as S3 shows them.
func hexBytes(s string) string {
	const digits = "0123456789abcdef"
	out := make([]byte, 0, 3*len(s))
	for i := range len(s) {
		if i > 0 {
			out = append(out, ' ')
		}
		out = append(out, digits[s[i]>>4], digits[s[i]&15])
	}
	return string(out)
}
