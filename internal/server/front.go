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
	front, id, path, shared := s.findFront(r.Request)
	if front == nil {
		next()
		return
	}
	if r.trace == "" {
		r.trace = cloud.NewTrace(s.Clock.Now())
	}
	ctx := service.WithAuthenticator(cloud.WithCall(r.Context(), s.call(r)), s.visitor(r))
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
	body := &budgetedBody{ReadCloser: inner.Body, memory: r.memory}
	defer body.release()
	inner.Body = body
	if shared {
		w = &sandboxedWriter{ResponseWriter: w}
	}
	front.Serve(w, inner, id)
}

// sandboxPolicy takes a page out of the origin that it came from, and leaves it what else a page may do.
const sandboxPolicy = "sandbox allow-downloads allow-forms allow-modals allow-popups allow-scripts"

// sandboxedWriter writes answers of user code that share their origin with the cloud's own calls. A page among them could otherwise make
// control calls as one of ours, in the browser of whoever looks at it.
type sandboxedWriter struct {
	http.ResponseWriter
	began bool
}

// WriteHeader implements http.ResponseWriter. A policy that the function set holds as well; it cannot take this one away.
func (w *sandboxedWriter) WriteHeader(status int) {
	if !w.began {
		w.began = true
		w.Header().Add("Content-Security-Policy", sandboxPolicy)
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *sandboxedWriter) Write(p []byte) (int, error) {
	if !w.began {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *sandboxedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// findFront returns the front door that a request is for, the API's id and the escaped path below it. shared says that the address is
// that of the cloud itself, and not a host of the API's own.
func (s *Server) findFront(r *http.Request) (front *service.Front, id, path string, shared bool) {
	path = r.URL.EscapedPath()
	labels := strings.SplitN(hostname(r.Host), ".", 3)
	if len(labels) == 3 && s.fronts[labels[1]] != nil {
		return s.fronts[labels[1]], labels[0], path, false
	}
	rest, ok := strings.CutPrefix(path, frontPrefix)
	if !ok {
		return nil, "", "", false
	}
	label, rest, _ := strings.Cut(rest, "/")
	id, rest, _ = strings.Cut(rest, "/")
	if s.fronts[label] == nil || id == "" {
		return nil, "", "", false
	}
	return s.fronts[label], id, "/" + rest, true
}
