package server

import (
	"net/http"
	"net/url"
	"strings"

	"croft/internal/cloud"
	"croft/internal/service"
)

// frontPrefix begins the path form of a front door's address: /_aws/LABEL/ID/rest. It needs no name resolution.
const frontPrefix = "/_aws/"

// serveFront serves the HTTP APIs that users publish. They are open to anybody, as on AWS; pages of another origin may call those
// that allow it in their CORS configuration.
func (s *Server) serveFront(w http.ResponseWriter, r *request, next func()) {
	front, id, path := s.findFront(r.Request)
	if front == nil {
		next()
		return
	}
	ctx := cloud.WithCall(r.Context(), s.call(r))
	if foreign(r.Request) && !front.AllowOrigin(ctx, id, r.Header.Get("Origin")) {
		s.refuse(w, r, forbidden("The API %s does not allow web pages of the origin %q. Name it in the API's CORS configuration.", id, r.Header.Get("Origin")))
		return
	}
	inner := r.WithContext(ctx)
	u := *r.URL
	u.Path, u.RawPath = path, ""
	if unescaped, err := url.PathUnescape(path); err == nil && unescaped != path {
		u.Path, u.RawPath = unescaped, path
	}
	inner.URL = &u
	front.Serve(w, inner, id)
}

// findFront returns the front door that a request is for, the API's id and the escaped path below it.
func (s *Server) findFront(r *http.Request) (front *service.Front, id, path string) {
	path = r.URL.EscapedPath()
	labels := strings.SplitN(hostname(r.Host), ".", 3)
	if len(labels) == 3 && s.fronts[labels[1]] != nil {
		return s.fronts[labels[1]], labels[0], path
	}
	rest, ok := strings.CutPrefix(path, frontPrefix)
	if !ok {
		return nil, "", ""
	}
	label, rest, _ := strings.Cut(rest, "/")
	id, rest, _ = strings.Cut(rest, "/")
	if s.fronts[label] == nil || id == "" {
		return nil, "", ""
	}
	return s.fronts[label], id, "/" + rest
}
