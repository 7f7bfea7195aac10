package wire

import (
	"net/http"
	"strings"

	"croft/internal/cloud"
)

// WriteError answers a request whose service is not known, or that was refused before its service was asked, in the form that its
// client most likely expects.
func WriteError(w http.ResponseWriter, r *http.Request, requestID string, e *cloud.Error) {
	// As in EncodeError, only a client that went away is left as an error.
	switch {
	case r.Header.Get(headerTarget) != "" || strings.HasPrefix(r.Header.Get(headerType), "application/x-amz-json"):
		version := "1.0"
		if strings.HasSuffix(r.Header.Get(headerType), "1.1") {
			version = "1.1"
		}
		svc := Service{JSONVersion: version}
		_ = jsonRPC{}.encodeError(&svc, w, requestID, e)
	case looksLikeQuery(r):
		_ = writeQueryError(&Service{}, w, requestID, e)
	case speaksXML(r):
		_ = writeXMLError(w, r, requestID, e)
	default:
		_ = restJSON{}.encodeError(&Service{}, w, requestID, e)
	}
}

// speaksXML reports whether a request is for one of the services whose REST protocol is XML, by the scope of its signature.
func speaksXML(r *http.Request) bool {
	scope := r.Header.Get("Authorization")
	if scope == "" {
		scope = r.URL.Query().Get("X-Amz-Credential")
	}
	for _, service := range [...]string{"s3", "route53", "cloudfront"} {
		if strings.Contains(scope, "/"+service+"/aws4_request") {
			return true
		}
	}
	return false
}

// writeXMLError writes an error as S3 does.
func writeXMLError(w http.ResponseWriter, r *http.Request, requestID string, e *cloud.Error) error {
	x := xmlEncoder{}
	x.start("Error", "")
	x.element("Code", e.Code)
	x.element("Message", e.Message)
	x.element("Resource", r.URL.Path)
	x.element("RequestId", requestID)
	x.close("Error")
	return send(w, e.HTTPStatus(), requestID, "application/xml", x.b)
}
