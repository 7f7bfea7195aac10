package httpevent

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// TimeForm is how events write the time: that of the Common Log Format.
const TimeForm = "02/Jan/2006:15:04:05 -0700"

// Request is a request that becomes an event.
type Request struct {
	*http.Request
	// ID is the request's id, by which answers and logs know it.
	ID string
	// Path is the decoded path as functions see it.
	Path string
	Body []byte
	// SourceIP is the client's address without a port.
	SourceIP string
	Now      time.Time
	// Trace is the trace header that the function sees; empty makes it the request's own, or a new one.
	Trace string
}

// Encode writes an event. Ampersands and the like stay as they are.
func Encode(event any) ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	err := e.Encode(event)
	return out.Bytes(), err
}

// Text returns the body as events carry it. Which bodies pass as text was observed on AWS: those of few media types, and neither
// forms nor bodies without a type.
func (r *Request) Text() (body string, encoded bool) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		media = ""
	}
	switch media {
	case "application/json", "application/xml", "application/javascript":
		encoded = false
	default:
		encoded = !strings.HasPrefix(media, "text/")
	}
	if len(r.Body) == 0 {
		return "", false
	}
	// What is no text would not survive as a JSON string.
	if encoded || !utf8.Valid(r.Body) {
		return base64.StdEncoding.EncodeToString(r.Body), true
	}
	return string(r.Body), false
}

// Header is a request header as events carry it: its name in lower case, and its values.
type Header struct {
	Name   string
	Values []string
	// Own headers are those that the front door sets.
	Own bool
}

// Headers returns the request's headers as the front door passes them on.
func (r *Request) Headers() []Header {
	forwarded := append(r.Header.Values("X-Forwarded-For"), r.SourceIP)
	trace := r.Trace
	if trace == "" {
		trace = r.Header.Get("X-Amzn-Trace-Id")
	}
	if trace == "" {
		trace = newTraceID(r.Now.Unix())
	}
	scheme, port := "http", "80"
	if r.TLS != nil {
		scheme, port = "https", "443"
	}
	if _, p, err := net.SplitHostPort(r.Host); err == nil {
		port = p
	}
	out := []Header{
		{"host", []string{r.Host}, true},
		{"content-length", []string{strconv.Itoa(len(r.Body))}, true},
		{"x-amzn-trace-id", []string{trace}, true},
		{"x-forwarded-for", []string{strings.Join(forwarded, ", ")}, true},
		{"x-forwarded-port", []string{port}, true},
		{"x-forwarded-proto", []string{scheme}, true},
	}
	for name, values := range r.Header {
		switch name {
		case "Host", "Content-Length", "X-Amzn-Trace-Id", "X-Forwarded-For", "X-Forwarded-Port", "X-Forwarded-Proto",
			"Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade":
		default:
			out = append(out, Header{strings.ToLower(name), values, name == "User-Agent"})
		}
	}
	return out
}

// newTraceID returns a trace header for a request that brought none.
func newTraceID(seconds int64) string {
	var b [12]byte
	rand.Read(b[:])
	return fmt.Sprintf("Root=1-%08x-%s", uint32(seconds), hex.EncodeToString(b[:]))
}

// Cookies returns the request's cookies, each as it was sent.
func (r *Request) Cookies() (out []string) {
	for _, line := range r.Header.Values("Cookie") {
		for cookie := range strings.SplitSeq(line, ";") {
			if cookie = strings.TrimSpace(cookie); cookie != "" {
				out = append(out, cookie)
			}
		}
	}
	return out
}

// Query returns the values of the query's parameters by name, in the order in which they were sent; nil for no query.
func (r *Request) Query() map[string][]string {
	var out map[string][]string
	for pair := range strings.SplitSeq(r.URL.RawQuery, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		if out == nil {
			out = map[string][]string{}
		}
		name = unescape(name)
		out[name] = append(out[name], unescape(value))
	}
	return out
}

func unescape(s string) string {
	if plain, err := url.QueryUnescape(s); err == nil {
		return plain
	}
	return s
}

// Domain returns the name under which the client reached the front door.
func (r *Request) Domain() string {
	if host, _, err := net.SplitHostPort(r.Host); err == nil {
		return host
	}
	return r.Host
}
