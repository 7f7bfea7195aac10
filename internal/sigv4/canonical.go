package sigv4

import (
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// buffer holds a canonical request.
type buffer struct{ b []byte }

var buffers = sync.Pool{New: func() any { return &buffer{make([]byte, 0, 1024)} }}

func getBuffer() *buffer { return buffers.Get().(*buffer) }

func putBuffer(b *buffer) {
	if cap(b.b) <= 1<<16 {
		b.b = b.b[:0]
		buffers.Put(b)
	}
}

// appendCanonical writes the canonical request: method, path, query, headers, their names, and the payload's hash.
func appendCanonical(b []byte, c *claim, r *http.Request, hash string) []byte {
	b = append(append(b, r.Method...), '\n')
	b = append(appendPath(b, r.URL, c.plainS3()), '\n')
	b = append(appendQuery(b, r.URL.RawQuery, c.Presigned), '\n')
	for rest := c.signedHeaders; rest != ""; {
		var name string
		name, rest, _ = strings.Cut(rest, ";")
		b = append(append(b, name...), ':')
		b = append(appendHeader(b, r, name), '\n')
	}
	b = append(append(b, '\n'), c.signedHeaders...)
	return append(append(b, '\n'), hash...)
}

// appendPath writes the path. S3 encodes each segment once; for the others dot segments are resolved and what the client encoded
// is encoded again.
func appendPath(b []byte, u *url.URL, s3 bool) []byte {
	raw := u.EscapedPath()
	if raw == "" || raw == "/" {
		return append(b, '/')
	}
	if !s3 {
		return appendEncoded(b, normalize(raw), false)
	}
	for i, segment := range strings.Split(raw, "/") {
		if i > 0 {
			b = append(b, '/')
		}
		if text, err := url.PathUnescape(segment); err == nil {
			segment = text
		}
		b = appendEncoded(b, segment, true)
	}
	return b
}

// normalize resolves the dot segments and doubled slashes of a path.
func normalize(raw string) string {
	if !strings.Contains(raw, "//") && !strings.Contains(raw, "/.") {
		return raw
	}
	var out []string
	for s := range strings.SplitSeq(raw, "/") {
		switch {
		case s == "" || s == ".":
		case s == "..":
			out = out[:max(len(out)-1, 0)]
		default:
			out = append(out, s)
		}
	}
	path := "/" + strings.Join(out, "/")
	if len(out) > 0 && (strings.HasSuffix(raw, "/") || strings.HasSuffix(raw, "/.") || strings.HasSuffix(raw, "/..")) {
		path += "/"
	}
	return path
}

// appendQuery writes the query with its parameters in order, without the signature itself.
func appendQuery(b []byte, raw string, presigned bool) []byte {
	if raw == "" {
		return b
	}
	var params [][2]string
	for rest := raw; rest != ""; {
		var part string
		part, rest, _ = strings.Cut(rest, "&")
		if part == "" {
			continue
		}
		k, v, _ := strings.Cut(part, "=")
		if presigned && k == "X-Amz-Signature" {
			continue
		}
		params = append(params, [2]string{recode(k), recode(v)})
	}
	slices.SortFunc(params, func(a, b [2]string) int {
		if c := strings.Compare(a[0], b[0]); c != 0 {
			return c
		}
		return strings.Compare(a[1], b[1])
	})
	for i, p := range params {
		if i > 0 {
			b = append(b, '&')
		}
		b = append(append(append(b, p[0]...), '='), p[1]...)
	}
	return b
}

// recode brings a query parameter's name or value into the one encoding that signatures use.
func recode(s string) string {
	plain := true
	for i := range len(s) {
		plain = plain && unreserved(s[i])
	}
	if plain {
		return s
	}
	text, err := url.QueryUnescape(s)
	if err != nil {
		text = s
	}
	return string(appendEncoded(nil, text, true))
}

const upperHex = "0123456789ABCDEF"

func unreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}

// appendEncoded percent-encodes all but the unreserved characters, and slashes if asked to.
func appendEncoded(b []byte, s string, slashes bool) []byte {
	for i := range len(s) {
		c := s[i]
		if unreserved(c) || (c == '/' && !slashes) {
			b = append(b, c)
			continue
		}
		b = append(b, '%', upperHex[c>>4], upperHex[c&15])
	}
	return b
}

// appendHeader writes the value of the header called name, in lower case: its values joined by commas, with white space at the
// ends removed and inside reduced to single spaces.
func appendHeader(b []byte, r *http.Request, name string) []byte {
	if name == "host" {
		return append(b, r.Host...)
	}
	values := r.Header[textproto.CanonicalMIMEHeaderKey(name)]
	if len(values) == 0 && name == "content-length" && r.ContentLength >= 0 {
		return strconv.AppendInt(b, r.ContentLength, 10)
	}
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendTrimmed(b, v)
	}
	return b
}

func appendTrimmed(b []byte, v string) []byte {
	v = strings.Trim(v, " \t")
	space := false
	for i := range len(v) {
		if v[i] == ' ' || v[i] == '\t' {
			if space {
				continue
			}
			space = true
			b = append(b, ' ')
			continue
		}
		space = false
		b = append(b, v[i])
	}
	return b
}
