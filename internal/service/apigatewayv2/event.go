package apigatewayv2

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
	"unicode/utf8"

	"croft/internal/cloud"
)

// timeForm is how events write the time: that of the Common Log Format.
const timeForm = "02/Jan/2006:15:04:05 -0700"

// event returns the payload that the route's function is invoked with.
func (x *exchange) event() ([]byte, error) {
	var v any
	if x.route.integration.Format == format1 {
		v = x.event1()
	} else {
		v = x.event2()
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return out.Bytes(), err
}

// text returns the body as events carry it. Which bodies pass as text was observed on AWS: those of few media types, and neither
// forms nor bodies without a type.
func (x *exchange) text() (body string, encoded bool) {
	media, _, err := mime.ParseMediaType(x.r.Header.Get("Content-Type"))
	if err != nil {
		media = ""
	}
	switch media {
	case "application/json", "application/xml", "application/javascript":
		encoded = false
	default:
		encoded = !strings.HasPrefix(media, "text/")
	}
	if len(x.body) == 0 {
		return "", false
	}
	// What is no text would not survive as a JSON string.
	if encoded || !utf8.Valid(x.body) {
		return base64.StdEncoding.EncodeToString(x.body), true
	}
	return string(x.body), false
}

// header is a request header as events carry it: its name in lower case, and its values.
type header struct {
	name   string
	values []string
	// own headers are those that API Gateway sets.
	own bool
}

// headers returns the request's headers as API Gateway passes them on.
func (x *exchange) headers() []header {
	r := x.r
	source := cloud.CallOf(r.Context()).SourceIP
	forwarded := append(r.Header.Values("X-Forwarded-For"), source)
	trace := r.Header.Get("X-Amzn-Trace-Id")
	if trace == "" {
		trace = newTraceID(x.now.Unix())
	}
	scheme, port := "http", "80"
	if r.TLS != nil {
		scheme, port = "https", "443"
	}
	if _, p, err := net.SplitHostPort(r.Host); err == nil {
		port = p
	}
	out := []header{
		{"host", []string{r.Host}, true},
		{"content-length", []string{strconv.Itoa(len(x.body))}, true},
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
			out = append(out, header{strings.ToLower(name), values, name == "User-Agent"})
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

// cookies returns the request's cookies, each as it was sent.
func cookies(r *http.Request) (out []string) {
	for _, line := range r.Header.Values("Cookie") {
		for cookie := range strings.SplitSeq(line, ";") {
			if cookie = strings.TrimSpace(cookie); cookie != "" {
				out = append(out, cookie)
			}
		}
	}
	return out
}

// query returns the values of the query's parameters by name, in the order in which they were sent.
func query(raw string) map[string][]string {
	var out map[string][]string
	for pair := range strings.SplitSeq(raw, "&") {
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

// domain returns the name under which the client reached the API.
func (x *exchange) domain() string {
	if host, _, err := net.SplitHostPort(x.r.Host); err == nil {
		return host
	}
	return x.r.Host
}
