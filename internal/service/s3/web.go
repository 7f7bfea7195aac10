package s3

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"

	api "croft/internal/awsapi/s3"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

// web is what web pages may do with buckets: what the CORS rules of a bucket grant, and forms.
//
// Sources: S3 User Guide, "Using cross-origin resource sharing (CORS)", "Elements of a CORS configuration" and "Testing CORS";
// Fetch Standard, "CORS protocol".

const (
	originHeader         = "Origin"
	requestMethodHeader  = "Access-Control-Request-Method"
	requestHeadersHeader = "Access-Control-Request-Headers"
	// maxAskedHeaders bounds how many headers a browser's question may name. Each is compared with every rule.
	maxAskedHeaders = 256
)

// grant answers whether the page that r comes from may make the request.
func (s *Service) grant(ctx context.Context, r *http.Request) (http.Header, *cloud.Error) {
	bucket, key, ok := wire.S3Path(api.Service(), r)
	if !ok || bucket == "" || key == "" && !sharedWithoutKey(r) {
		return nil, nil
	}
	origin, question := r.Header.Get(originHeader), r.Method == http.MethodOptions
	if origin == "" {
		return nil, cloud.Errorf("BadRequest", "Insufficient information. Origin request header needed.")
	}
	method := r.Header.Get(requestMethodHeader)
	named := method != ""
	if !named {
		method = r.Method
	}
	refused := func(kind, message string) *cloud.Error {
		e := cloud.Errorf("AccessForbidden", "CORSResponse: %s", message).WithStatus(http.StatusForbidden)
		return with(e, "Method", shortText(method), "ResourceType", kind)
	}
	rules, err := s.corsRules(ctx, bucket)
	switch {
	case cloud.Code(err) == "NoSuchBucket" || cloud.Code(err) == "InvalidBucketName":
		return nil, refused("BUCKET", "Bucket not found")
	case err != nil:
		s.deps.Log.Warn("the CORS rules of a bucket cannot be read", "bucket", bucket, "err", err)
		return nil, cloud.Errorf("ServiceUnavailable", "Please reduce your request rate.").WithStatus(http.StatusServiceUnavailable)
	case len(rules) == 0:
		return nil, refused("BUCKET", "CORS is not enabled for this bucket.")
	case question && !named:
		return nil, cloud.Errorf("BadRequest", "Invalid Access-Control-Request-Method: null")
	}
	asked, few := askedHeaders(r.Header)
	for i := range rules {
		if allowed := allowedOrigin(&rules[i], origin); few && allowed != "" && slices.Contains(rules[i].AllowedMethods, method) && allowsHeaders(&rules[i], asked) {
			return corsHeaders(&rules[i], allowed, origin, asked), nil
		}
	}
	kind := "BUCKET"
	if key != "" {
		kind = "OBJECT"
	}
	return nil, refused(kind, "This CORS request is not allowed. This is usually because the evalution of Origin, request method / Access-Control-Request-Method or "+
		"Access-Control-Request-Headers are not whitelisted by the resource's CORS spec.")
}

// sharedWithoutKey reports whether a request for a bucket itself could be shared with a web page: to read, to post a form or a list of keys to delete. A page
// that is let in to write objects shall not be able to change the rules that let it in, since a server on a loopback address takes
// access keys that it does not know.
func sharedWithoutKey(r *http.Request) bool {
	switch r.Method {
	case http.MethodOptions, http.MethodGet, http.MethodHead:
		return true
	case http.MethodPost:
		return r.URL.RawQuery == "" || r.URL.Query().Has("delete")
	}
	return false
}

func shortText(s string) string { return strings.ToValidUTF8(s[:min(len(s), 64)], "") }

func (s *Service) corsRules(ctx context.Context, bucket string) (rules []api.CORSRule, err error) {
	err = s.space().View(ctx, func(_ context.Context, r kv.Reader) error {
		if _, err := read(r, bucket); err != nil {
			return err
		}
		var c api.CORSConfiguration
		_, err := readSetting(r, bucket, corsSetting, &c)
		rules = c.CORSRules
		return err
	})
	return rules, err
}

// askedHeaders returns the headers that a browser asks for, in lower case. few is false when they are too many.
func askedHeaders(h http.Header) (asked []string, few bool) {
	for name := range strings.SplitSeq(strings.Join(h[requestHeadersHeader], ","), ",") {
		if name = strings.ToLower(strings.TrimSpace(name)); name != "" {
			asked = append(asked, name)
		}
		if len(asked) > maxAskedHeaders {
			return nil, false
		}
	}
	return asked, true
}

// fits reports whether text is what a pattern with at most one star describes.
func fits(pattern, text string) bool {
	before, after, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == text
	}
	return len(text) >= len(before)+len(after) && strings.HasPrefix(text, before) && strings.HasSuffix(text, after)
}

// allowedOrigin returns which of a rule's origins lets origin in, or "".
func allowedOrigin(rule *api.CORSRule, origin string) string {
	for _, o := range rule.AllowedOrigins {
		if o != "" && fits(o, origin) {
			return o
		}
	}
	return ""
}

func allowsHeaders(rule *api.CORSRule, asked []string) bool {
	for _, name := range asked {
		if !slices.ContainsFunc(rule.AllowedHeaders, func(pattern string) bool { return fits(strings.ToLower(pattern), name) }) {
			return false
		}
	}
	return true
}

// corsHeaders returns what an answer says of the rule that allowed it.
func corsHeaders(rule *api.CORSRule, allowed, origin string, asked []string) http.Header {
	h := http.Header{}
	if allowed == "*" {
		h.Set("Access-Control-Allow-Origin", "*")
	} else {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Credentials", "true")
	}
	h.Set("Access-Control-Allow-Methods", strings.Join(rule.AllowedMethods, ", "))
	h.Set("Vary", "Origin, Access-Control-Request-Headers, Access-Control-Request-Method")
	if len(asked) > 0 {
		h.Set("Access-Control-Allow-Headers", strings.Join(asked, ", "))
	}
	if len(rule.ExposeHeaders) > 0 {
		h.Set("Access-Control-Expose-Headers", strings.Join(rule.ExposeHeaders, ", "))
	}
	if rule.MaxAgeSeconds != nil {
		h.Set("Access-Control-Max-Age", strconv.Itoa(int(*rule.MaxAgeSeconds)))
	}
	return h
}
