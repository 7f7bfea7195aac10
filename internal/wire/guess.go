package wire

import (
	"net/http"
	"strings"

	"croft/internal/cloud"
)

// WriteError answers a request whose service is not known, or that was refused before its service was asked, in the form that its
// client most likely expects.
func WriteError(w http.ResponseWriter, r *http.Request, requestID string, e *cloud.Error) {
	w = headOnly(r, w)
	// As in EncodeError, only a client that went away is left as an error.
	switch {
	case r.Header.Get(headerSmithyProto) == cborProtocol:
		_ = rpcCBOR{}.encodeError(&Service{}, w, requestID, e)
	case r.Header.Get(headerTarget) != "" || strings.HasPrefix(r.Header.Get(headerType), "application/x-amz-json"):
		version := "1.0"
		if strings.HasSuffix(r.Header.Get(headerType), "1.1") {
			version = "1.1"
		}
		svc := Service{JSONVersion: version}
		_ = jsonRPC{}.encodeError(&svc, w, requestID, e)
	case looksLikeQuery(r):
		_ = writeQueryError(&Service{}, w, requestID, e)
	case scopedTo(r, "s3") || namesBucket(r) || r.URL.Query().Has("AWSAccessKeyId"):
		_ = writeS3Error(w, requestID, e)
	case scopedTo(r, "route53") || scopedTo(r, "cloudfront"):
		_ = writeQueryError(&Service{}, w, requestID, e)
	default:
		_ = restJSON{}.encodeError(&Service{}, w, requestID, e)
	}
}

// scopedTo reports whether the signature of a request is for the service of that signing name.
func scopedTo(r *http.Request, service string) bool {
	scope := r.Header.Get("Authorization")
	if scope == "" {
		scope = r.URL.Query().Get("X-Amz-Credential")
	}
	return strings.Contains(scope, "/"+service+"/aws4_request")
}
