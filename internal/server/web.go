package server

import (
	"io"
	"mime"
	"net/http"

	"croft/internal/cloud"
	"croft/internal/service"
	"croft/internal/sigv4"
	"croft/internal/wire"
)

// askService asks the service that a request is for whether the web page that it comes from may make it. Services without an answer,
// and requests of which none is asked, leave it to guardBrowser. A browser's question is answered here.
func (s *Server) askService(w http.ResponseWriter, r *request, next func()) {
	question := r.Method == http.MethodOptions
	origins := r.Header["Origin"]
	if !question && len(origins) == 0 || len(origins) > 1 || fromForgedName(r.Request) {
		next()
		return
	}
	d := s.webOf(r.Request)
	if d == nil {
		next()
		return
	}
	headers, cerr := d.Web.Grant(r.Context(), r.Request)
	switch {
	case cerr != nil && question:
		refuseAs(d, w, r, cerr)
		return
	case cerr != nil || headers == nil:
		next()
		return
	}
	r.granted = true
	for name, values := range headers {
		w.Header()[name] = values
	}
	if question {
		wire.NameRequest(w.Header(), r.id)
		w.Header().Set("Content-Length", "0")
		w.WriteHeader(http.StatusOK)
		return
	}
	next()
}

// refuseAs answers with an error in the form of a service's answers, whatever the request looks like.
func refuseAs(d *service.Descriptor, w http.ResponseWriter, r *request, cerr *cloud.Error) {
	x, _ := wire.Match(d.API, r.Request, nil) // only the form of answers is wanted of it
	x.EncodeError(w, r.id, cerr)
}

// webOf returns the service that decides about a web page's request, or nil. What nobody signed names no service but by its host: then it can be
// only for one whose names stand in the path, as buckets do.
func (s *Server) webOf(r *http.Request) *service.Descriptor {
	scope, signed := sigv4.Parse(r)
	d, unknown := s.index.find(r, scope, signed)
	if unknown != nil {
		return nil
	}
	if d == nil && !signed && (r.Method == http.MethodOptions || isForm(r)) && len(s.index.inHosts) > 0 {
		d = &s.index.inHosts[0]
	}
	if d == nil || d.Web == nil {
		return nil
	}
	return d
}

// maxRefusedForm bounds how much of a refused form is read to no purpose, in bytes.
const maxRefusedForm = 16 << 20

// isForm reports whether a request is an HTML form with a file.
func isForm(r *http.Request) bool {
	if r.Method != http.MethodPost {
		return false
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && kind == "multipart/form-data"
}

// serveForm brings a posted form to the service that takes it. The signature is in the form, so whoever signed it is found out while it is read.
func (s *Server) serveForm(w http.ResponseWriter, r *request, next func()) {
	if _, signed := sigv4.Parse(r.Request); signed || !isForm(r.Request) {
		next()
		return
	}
	d := s.webOf(r.Request)
	if d == nil || d.Web.Post == nil {
		next()
		return
	}
	inner := r.Request.WithContext(cloud.WithCall(r.Context(), s.call(r)))
	inner.Body = streamBody(w, r.Request)
	if err := d.Web.Post(w, inner, s.formCaller(r, d.API.SigningName)); err != nil {
		// Browsers look for an answer only when they have sent everything. A form without a reader's end in sight is cut off.
		_, _ = io.CopyN(io.Discard, inner.Body, maxRefusedForm)
		refuseAs(d, w, r, s.asError(r.Context(), r, err))
	}
}

// formCaller is identify for the signature in a form.
func (s *Server) formCaller(r *request, signing string) service.FormCaller {
	return func(form *sigv4.Form) (*cloud.Call, error) {
		scope, cerr := form.Scope()
		if cerr == nil {
			cerr = checkScope(scope, signing)
		}
		if cerr != nil {
			return nil, cerr
		}
		call := s.call(r)
		call.Region = scope.Region
		keys := &keyRing{server: s, scope: scope, env: r.env, account: s.Account}
		if cerr := s.verifier.VerifyForm(r.Context(), form, keys); cerr != nil {
			return nil, cerr
		}
		call.Account, call.Principal = keys.account, keys.principal
		return call, nil
	}
}
