package wire

import (
	"encoding/base64"
	"maps"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"

	"croft/internal/cloud"
)

// S3 is a REST XML service with rules of its own, which Service.S3Rules turns on:
//
//   - The bucket lies in the path or in the host, and every slash after it belongs to the key.
//   - Presigned URLs may carry headers as query parameters.
//   - Errors have no element around them, and answers name their request in headers of S3's own.
//
// Sources: S3 User Guide, "Virtual hosting of buckets"; S3 API Reference, "Error responses" and "Common response headers".

// BucketOfHost returns the bucket that a host names in front of the service's label, as in BUCKET.s3.localhost:4566,
// BUCKET.s3.eu-west-1.amazonaws.com or BUCKET.s3-eu-west-1.amazonaws.com. ok is false for all other hosts and services.
func BucketOfHost(svc *Service, host string) (bucket string, ok bool) {
	if !svc.S3Rules {
		return "", false
	}
	return bucketOf(host, svc.EndpointPrefix)
}

func bucketOf(host, label string) (bucket string, ok bool) {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	labels := strings.Split(strings.ToLower(host), ".")
	// Bucket names hold dots and may hold the label itself: the last one counts.
	for i := len(labels) - 1; i > 0; i-- {
		if labels[i] == label || strings.HasPrefix(labels[i], label+"-") {
			return strings.Join(labels[:i], "."), true
		}
	}
	return "", false
}

// namesBucket reports whether a request of which nothing else is known is for a bucket.
func namesBucket(r *http.Request) bool {
	_, ok := bucketOf(r.Host, "s3")
	return ok
}

// splitS3Path returns the bucket and the segments of the key, if any. A slash behind a bucket alone counts for nothing; all others
// belong to the key. S3 Control, a service of its own, signs as S3 does.
func splitS3Path(svc *Service, r *http.Request) ([]string, *cloud.Error) {
	path := strings.TrimPrefix(r.URL.EscapedPath(), "/")
	if strings.HasPrefix(path, "v20180820/") && r.Header.Get("X-Amz-Account-Id") != "" {
		return nil, cloud.Errorf("NotImplemented", "croft does not implement the service S3 Control, to which this request is addressed.").
			WithStatus(http.StatusNotImplemented)
	}
	bucket, named := BucketOfHost(svc, r.Host)
	var escaped []string
	if !named {
		escaped = append(escaped, "")
		escaped[0], path, _ = strings.Cut(path, "/")
	}
	if path != "" {
		escaped = append(escaped, strings.Split(path, "/")...)
	}
	var segments []string
	if named {
		segments = append(segments, bucket) // a host is not escaped
	}
	for _, s := range escaped {
		text, err := url.PathUnescape(s)
		if err != nil {
			return nil, cloud.Errorf("InvalidURI", "Couldn't parse the specified URI.")
		}
		segments = append(segments, text)
	}
	return segments, nil
}

// noS3Route is the answer to a method that S3 does not have.
func noS3Route(method string, segments []string) *cloud.Error {
	kind := "OBJECT"
	switch {
	case len(segments) == 1 && segments[0] == "":
		kind = "SERVICE"
	case len(segments) == 1:
		kind = "BUCKET"
	}
	if kind == "BUCKET" && method == http.MethodPost {
		e := cloud.Errorf("PreconditionFailed", "At least one of the pre-conditions you specified did not hold").WithStatus(http.StatusPreconditionFailed)
		e.Fields = map[string]any{"Condition": "Bucket POST must be of the enclosure-type multipart/form-data"}
		return e
	}
	e := cloud.Errorf("MethodNotAllowed", "The specified method is not allowed against this resource.").WithStatus(http.StatusMethodNotAllowed)
	e.Fields = map[string]any{"Method": short(method), "ResourceType": kind}
	return e
}

// unhoist returns r with the headers that a presigned URL carries as query parameters. The signature covers them there.
func unhoist(r *http.Request) *http.Request {
	if !strings.Contains(r.URL.RawQuery, "Signature=") {
		return r
	}
	out := *r
	out.Header = r.Header.Clone()
	for name, values := range r.URL.Query() {
		key := textproto.CanonicalMIMEHeaderKey(name)
		if strings.HasPrefix(key, "X-Amz-") && !ofSignature(key) && len(out.Header[key]) == 0 {
			out.Header[key] = values
		}
	}
	return &out
}

// ofSignature reports whether a parameter of a presigned URL belongs to the signature itself.
func ofSignature(key string) bool {
	switch key {
	case "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-Signedheaders", "X-Amz-Signature", "X-Amz-Security-Token":
		return true
	}
	return false
}

// partial returns the status of an answer that carries a part of an object: S3 API Reference, GetObject.
func partial(status int, h http.Header) int {
	if status == http.StatusOK && h[headerRange] != nil {
		return http.StatusPartialContent
	}
	return status
}

// setS3Headers names the request in S3's own headers. The second one is opaque to clients.
func setS3Headers(h http.Header, requestID string) {
	h[headerS3RequestID] = []string{requestID}
	h[headerS3HostID] = []string{hostID(requestID)}
}

// NameRequest gives an answer that no Exchange writes the headers by which S3 names a request.
func NameRequest(h http.Header, requestID string) { setS3Headers(h, requestID) }

// S3Path returns the bucket and the key that a request to svc addresses, in its path or its host, either of them empty for none. ok is false for a
// path that is not properly escaped.
func S3Path(svc *Service, r *http.Request) (bucket, key string, ok bool) {
	segments, cerr := splitS3Path(svc, r)
	if cerr != nil {
		return "", "", false
	}
	return segments[0], strings.Join(segments[1:], "/"), true
}

func hostID(requestID string) string { return base64.StdEncoding.EncodeToString([]byte(requestID)) }

// writeS3Error writes an error as S3 does. Fields whose names begin with x-amz-, and those of HTTP itself, are headers.
func writeS3Error(w http.ResponseWriter, requestID string, e *cloud.Error) error {
	h := w.Header()
	setS3Headers(h, requestID)
	if e.HTTPStatus() == http.StatusNotModified {
		return writeNotModified(w, e)
	}
	inBody := *e
	inBody.Fields = maps.Clone(e.Fields)
	for name, v := range e.Fields {
		if strings.HasPrefix(name, "x-amz-") || name == "Allow" || name == "Last-Modified" {
			delete(inBody.Fields, name)
			if text, ok := v.(string); ok {
				h.Set(name, headerText(text))
			}
		}
	}
	buf := getBuffer()
	defer putBuffer(buf)
	x := xmlEncoder{b: buf.b}
	x.start("Error", "")
	x.element("Code", e.Code)
	x.element("Message", e.Message)
	x.errorFields(&Service{}, &inBody, h)
	x.element("RequestId", requestID)
	x.element("HostId", hostID(requestID))
	x.close("Error")
	buf.b = x.b
	return send(w, e.HTTPStatus(), requestID, xmlType, x.b)
}

// writeNotModified writes the one error that has no body. All of its fields are headers.
func writeNotModified(w http.ResponseWriter, e *cloud.Error) error {
	for name, v := range e.Fields {
		if text, ok := v.(string); ok {
			w.Header().Set(name, headerText(text))
		}
	}
	w.WriteHeader(http.StatusNotModified)
	return nil
}
