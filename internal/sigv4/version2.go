package sigv4

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"croft/internal/cloud"
)

// The SDK for Python and the AWS CLI still presign URLs of S3 by the second version of signatures where nobody tells them otherwise, so the
// URLs that applications hand out have to be taken. Nothing else of that version is.
//
// Source: S3 User Guide, "Signing and authenticating REST requests", "Query string request authentication alternative".

// isVersion2 reports whether r is presigned by version 2.
func isVersion2(r *http.Request) bool {
	q := r.URL.RawQuery
	return strings.Contains(q, "AWSAccessKeyId=") &&
		!strings.Contains(q, "X-Amz-Signature=") && !strings.Contains(q, "SignatureVersion=") && r.Header.Get("Authorization") == ""
}

// version2Region stands for the region, which such a signature does not have: the oldest regions alone take them.
const version2Region = "us-east-1"

func version2Scope(q url.Values) Scope {
	return Scope{AccessKey: q.Get("AWSAccessKeyId"), Service: "s3", Region: version2Region, Presigned: true, Token: q.Get("x-amz-security-token")}
}

// readVersion2 reads the signature that r presents and checks its form.
func readVersion2(r *http.Request) (claim, *cloud.Error) {
	q := r.URL.Query()
	c := claim{version2: true, rawTime: q.Get("Expires"), parts: parts{signature: q.Get("Signature")}}
	c.Scope = version2Scope(q)
	seconds, err := strconv.ParseInt(c.rawTime, 10, 64)
	switch {
	case c.AccessKey == "" || c.signature == "" || c.rawTime == "":
		return c, forbidden("AccessDenied", "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters")
	case err != nil:
		return c, forbidden("AccessDenied", "Invalid date (should be seconds since epoch): %s", short(c.rawTime))
	case len(c.AccessKey) > maxElements || len(c.signature) > maxElements:
		return c, forbidden("AccessDenied", "The signature's parameters are too long.")
	}
	c.at = time.Unix(seconds, 0)
	return c, nil
}

// compareVersion2 compares the signature with the one that secret makes of the request.
func (c *claim) compareVersion2(r *http.Request, secret string) *cloud.Error {
	given, err := base64.StdEncoding.DecodeString(c.signature)
	for _, resource := range version2Resources(r) {
		h := hmac.New(sha1.New, []byte(secret))
		h.Write([]byte(c.toSign(r, resource)))
		if err == nil && hmac.Equal(given, h.Sum(nil)) {
			return nil
		}
	}
	return explain(mismatch(&c.Scope), &c.Scope, c.signature, c.toSign(r, version2Resources(r)[0]), "")
}

// version2Resources returns how a signature may name what r asks for. A bucket in the host is a part of the name: a signature for an object in
// one bucket must not hold for one in another whose key begins with the first bucket's name. A bucket alone has a slash behind it, which
// botocore signs and does not send.
func version2Resources(r *http.Request) []string {
	path, host := r.URL.EscapedPath(), strings.ToLower(r.Host)
	if i := max(strings.LastIndex(host, ".s3."), strings.LastIndex(host, ".s3-")); i > 0 {
		return []string{"/" + host[:i] + path}
	}
	if strings.Count(path, "/") == 1 && path != "/" {
		return []string{path, path + "/"}
	}
	return []string{path}
}

// toSign returns what a signature of version 2 covers. Headers may be in the query in their place.
func (c *claim) toSign(r *http.Request, resource string) string {
	q := r.URL.Query()
	own := map[string]string{}
	for name, values := range r.Header {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "x-amz-") {
			own[lower] = strings.Join(values, ",")
		}
	}
	for name, values := range q {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "x-amz-") && own[lower] == "" {
			own[lower] = strings.Join(values, ",")
		}
	}
	var b strings.Builder
	b.WriteString(r.Method + "\n")
	for _, name := range [...]string{"Content-Md5", "Content-Type"} {
		value := r.Header.Get(name)
		if value == "" {
			value = q.Get(strings.ToLower(name))
		}
		b.WriteString(value + "\n")
	}
	b.WriteString(c.rawTime + "\n")
	names := make([]string, 0, len(own))
	for name := range own {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		b.WriteString(name + ":" + strings.TrimSpace(own[name]) + "\n")
	}
	b.WriteString(resource)
	writeSubresources(&b, r.URL.RawQuery)
	return b.String()
}

// writeSubresources writes the parameters that are a part of what is asked for, in their order.
func writeSubresources(b *strings.Builder, query string) {
	var all []string
	for part := range strings.SplitSeq(query, "&") {
		name, value, has := strings.Cut(part, "=")
		if !isSubresource(name) {
			continue
		}
		if text, err := url.PathUnescape(value); err == nil && has {
			name += "=" + text
		}
		all = append(all, name)
	}
	slices.Sort(all)
	if len(all) > 0 {
		b.WriteString("?" + strings.Join(all, "&"))
	}
}

func isSubresource(name string) bool {
	switch name {
	case "accelerate", "acl", "analytics", "cors", "defaultObjectAcl", "delete", "inventory", "lifecycle", "location", "logging", "metrics", "notification",
		"object-lock", "partNumber", "policy", "replication", "requestPayment", "restore", "select", "select-type", "storageClass", "tagging", "torrent",
		"uploadId", "uploads", "versionId", "versioning", "versions", "website":
		return true
	}
	return strings.HasPrefix(name, "response-")
}
