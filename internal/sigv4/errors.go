package sigv4

import (
	"net/http"
	"strconv"
	"time"

	"croft/internal/cloud"
)

// The codes of the errors that Verify returns. The query and XML protocols spell them so; JSON protocols say
// InvalidSignatureException, UnrecognizedClientException, and append Exception to the others.
const (
	SignatureDoesNotMatch      = "SignatureDoesNotMatch"
	IncompleteSignature        = "IncompleteSignature"
	MissingAuthenticationToken = "MissingAuthenticationToken"
	InvalidClientTokenID       = "InvalidClientTokenId"
	RequestExpired             = "RequestExpired"
	// S3 has its own.
	RequestTimeTooSkewed   = "RequestTimeTooSkewed"
	ContentSHA256Mismatch  = "XAmzContentSHA256Mismatch"
	InvalidAccessKeyID     = "InvalidAccessKeyId"
	QueryParametersError   = "AuthorizationQueryParametersError"
	AuthorizationMalformed = "AuthorizationHeaderMalformed"
)

func forbidden(code, format string, args ...any) *cloud.Error {
	return cloud.Errorf(code, format, args...).WithStatus(http.StatusForbidden)
}

func incomplete(format string, args ...any) *cloud.Error {
	return cloud.Errorf(IncompleteSignature, format, args...)
}

// UnknownKey is the error for an access key that does not exist. Keys.Secret returns it to refuse one.
func UnknownKey(service string) *cloud.Error {
	if service == "s3" {
		return forbidden(InvalidAccessKeyID, "The AWS Access Key Id you provided does not exist in our records.")
	}
	return forbidden(InvalidClientTokenID, "The security token included in the request is invalid.")
}

func mismatch(s *Scope) *cloud.Error {
	if s.plainS3() {
		return forbidden(SignatureDoesNotMatch, "The request signature we calculated does not match the signature you provided. Check your key and signing method.")
	}
	return forbidden(SignatureDoesNotMatch, "The request signature we calculated does not match the signature you provided. "+
		"Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")
}

// expired is S3's answer to a presigned request whose time has passed.
func expired(end, now time.Time) *cloud.Error {
	e := forbidden("AccessDenied", "Request has expired")
	e.Fields = map[string]any{"Expires": end.UTC().Format(time.RFC3339), "ServerTime": now.UTC().Format(time.RFC3339)}
	return e
}

// checkTime checks a signature's time against now.
func (c *claim) checkTime(now time.Time) *cloud.Error {
	if c.version2 {
		if now.After(c.at) {
			return expired(c.at, now)
		}
		return nil
	}
	if c.Date != c.rawTime[:8] {
		return forbidden(SignatureDoesNotMatch, "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%s' != '%s', from '%s'.",
			c.Date, c.rawTime[:8], c.rawTime)
	}
	earliest, latest := now.Add(-maxSkew), now.Add(maxSkew)
	if c.Presigned && now.After(c.at.Add(c.expires)) {
		if c.plainS3() {
			e := expired(c.at.Add(c.expires), now)
			e.Fields["X-Amz-Expires"] = strconv.Itoa(int(c.expires / time.Second))
			return e
		}
		return cloud.Errorf(RequestExpired, "Request has expired: it was valid until %s.", c.at.Add(c.expires).UTC().Format(timeFormat))
	}
	tooOld := !c.Presigned && c.at.Before(earliest)
	if c.plainS3() && (tooOld || c.at.After(latest)) {
		return forbidden(RequestTimeTooSkewed, "The difference between the request time and the current time is too large.")
	}
	f := func(t time.Time) string { return t.UTC().Format(timeFormat) }
	switch {
	case tooOld:
		return forbidden(SignatureDoesNotMatch, "Signature expired: %s is now earlier than %s (%s - 15 min.)", f(c.at), f(earliest), f(now))
	case c.at.After(latest):
		return forbidden(SignatureDoesNotMatch, "Signature not yet current: %s is still later than %s (%s + 15 min.)", f(c.at), f(latest), f(now))
	}
	return nil
}
