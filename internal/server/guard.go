package server

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"

	"croft/internal/blob"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/sigv4"
	"croft/internal/wire"
)

// ControlHeader must be present on every control call that changes something. A web page cannot send it without a preflight
// request, which is granted by no service.
const ControlHeader = "X-Croft-Control"

const controlPrefix = "/_croft/"

// refuse answers with err in the shape that the request's client expects.
func (s *Server) refuse(w http.ResponseWriter, r *request, err *cloud.Error) {
	wire.WriteError(w, r.Request, r.id, err)
}

func forbidden(format string, args ...any) *cloud.Error {
	return cloud.Errorf("AccessDenied", format, args...).WithStatus(http.StatusForbidden)
}

// guardHost refuses requests for names that are not ours. A hostile page whose own name resolves to this machine (DNS
// rebinding) is of the same origin as its requests; only the Host header gives it away.
func (s *Server) guardHost(w http.ResponseWriter, r *request, next func()) {
	if !s.knownHost(hostname(r.Host)) {
		s.refuse(w, r, forbidden("The host %q is not served here. Use 127.0.0.1, localhost or a name below it.", hostname(r.Host)))
		return
	}
	next()
}

func hostname(hostport string) string {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
}

// foreign reports whether a browser says that the request comes from a page of another origin.
func foreign(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "cross-site", "same-site":
		return true
	}
	origins, given := r.Header["Origin"]
	if !given {
		return false
	}
	if len(origins) != 1 {
		return true
	}
	u, err := url.Parse(origins[0])
	return err != nil || u.Host == "" || !strings.EqualFold(u.Host, r.Host)
}

// fromForgedName reports whether a browser says that the request comes from a page at a name that leads here only when redirected. The cloud has no
// pages there: whoever sends one has forged the name's resolution, as anybody in the same network can.
func fromForgedName(r *http.Request) bool {
	return redirected(hostname(r.Host)) && r.Header["Origin"] != nil
}

// guardBrowser refuses what a page of another origin sends, whatever credentials it carries, unless it was granted by what the request is for.
func (s *Server) guardBrowser(w http.ResponseWriter, r *request, next func()) {
	if foreign(r.Request) && !r.granted && !s.linked(r) || fromForgedName(r.Request) {
		s.refuse(w, r, forbidden("Requests from web pages of another origin are refused."))
		return
	}
	next()
}

// linked reports whether r is by a presigned URL that a page of another origin links to or shows, and which such pages may: what a page shows it cannot
// read. A page of another site has to show a URL that was signed with credentials of the cloud's own, which nobody guesses; development's keys are known
// to all. Source: Fetch Metadata Request Headers.
func (s *Server) linked(r *request) bool {
	reading := r.Method == http.MethodGet || r.Method == http.MethodHead
	if !reading || len(r.Header["Origin"]) > 0 || redirected(hostname(r.Host)) {
		return false
	}
	switch r.Header.Get("Sec-Fetch-Dest") {
	case "document", "image", "audio", "video":
	default:
		return false
	}
	scope, signed := sigv4.Parse(r.Request)
	if !signed || !scope.Presigned {
		return false
	}
	d := s.webOf(r.Request)
	if d == nil || !d.Web.Links {
		return false
	}
	r.issuedKeys = r.Header.Get("Sec-Fetch-Site") != "same-site"
	return true
}

// guardControl serves /_croft/: never to functions, never to foreign pages, never under AWS's names, and for changes only with the control header.
func (s *Server) guardControl(w http.ResponseWriter, r *request, next func()) {
	if !strings.HasPrefix(r.URL.Path, controlPrefix) {
		next()
		return
	}
	reading := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch {
	case r.env != nil:
		s.refuse(w, r, forbidden("Functions may not make control calls."))
	case redirected(hostname(r.Host)):
		s.refuse(w, r, forbidden("Control calls are not served under the name %q. Use the cloud's address.", hostname(r.Host)))
	case foreign(r.Request):
		s.refuse(w, r, forbidden("Control calls from web pages of another origin are refused."))
	case !reading && r.Header.Get(ControlHeader) == "":
		s.refuse(w, r, forbidden("Control calls that change something need the header %s, with any value.", ControlHeader))
	default:
		s.Control.ServeHTTP(w, r.Request)
	}
}

func stack() string { return string(debug.Stack()) }

// redirected reports whether host is one that leads here only from where croft exec redirects it.
func redirected(host string) bool { return cloud.IsAWSHost(host) || cloud.IsProxiedName(host) }

// endpoint returns the base of URLs in answers to r: as the client addressed the cloud, or, when its name for the cloud does not
// hold everywhere, the address that the connection came in at.
func endpoint(r *http.Request) string {
	scheme, host := "http://", r.Host
	if r.TLS != nil {
		scheme = "https://"
	}
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && redirected(hostname(host)) {
		host = local.String()
	}
	return scheme + host
}

func sourceIP(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return remote
	}
	return host
}

// clientError returns the part of err that a client may see, or nil if there is none.
func clientError(err error) *cloud.Error {
	var e *cloud.Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, kv.ErrConflict):
		return cloud.Errorf("ServiceUnavailable", "Too many requests changed the same thing at once. Try again.").WithStatus(http.StatusServiceUnavailable)
	case errors.Is(err, kv.ErrTooLarge):
		return cloud.Errorf("RequestEntityTooLarge", "The request changes more than fits into one transaction.").WithStatus(http.StatusRequestEntityTooLarge)
	case errors.Is(err, kv.ErrUnavailable):
		return cloud.Errorf("ServiceUnavailable", "The cloud's store cannot be reached. Try again.").WithStatus(http.StatusServiceUnavailable)
	case errors.Is(err, blob.ErrUnavailable):
		return cloud.Errorf("ServiceUnavailable", "The place where the cloud keeps bodies cannot be reached. Try again.").WithStatus(http.StatusServiceUnavailable)
	case errors.Is(err, kv.ErrClosed):
		return cloud.Errorf("ServiceUnavailable", "The cloud is stopping.").WithStatus(http.StatusServiceUnavailable)
	}
	return nil
}
