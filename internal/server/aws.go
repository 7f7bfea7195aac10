package server

import (
	"net/http"

	"croft/internal/cloud"
	"croft/internal/service"
	"croft/internal/sigv4"
	"croft/internal/wire"
)

// serveAWS answers an AWS API call: body, service, operation, principal, input, the service's method, output.
func (s *Server) serveAWS(w http.ResponseWriter, r *request, _ func()) {
	body, release, cerr := readBody(r)
	defer release()
	if cerr != nil {
		s.refuse(w, r, cerr)
		return
	}
	scope, signed := sigv4.Parse(r.Request)
	desc, cerr := s.index.find(r.Request, scope, signed)
	if cerr == nil && desc == nil {
		cerr = s.unsigned(r, body)
	}
	if cerr != nil {
		s.refuse(w, r, cerr)
		return
	}
	x, err := wire.Match(desc.API, r.Request, body)
	if err != nil {
		x.EncodeError(w, r.id, s.asError(r.Context(), r, err))
		return
	}
	out, cerr := s.perform(r, desc, x, scope, body)
	if cerr != nil {
		x.EncodeError(w, r.id, cerr)
		return
	}
	if err := x.Encode(w, r.id, out); err != nil {
		s.Log.Error("an answer could not be written", "request", r.id, "operation", x.Op.Name, "err", err)
	}
}

func (s *Server) perform(r *request, desc *service.Descriptor, x *wire.Exchange, scope sigv4.Scope, body []byte) (any, *cloud.Error) {
	call, cerr := s.authenticate(r, desc.API, x, scope, body)
	if cerr != nil {
		return nil, cerr
	}
	in, err := x.Decode()
	if err != nil {
		return nil, s.asError(r.Context(), r, err)
	}
	ctx := cloud.WithCall(r.Context(), call)
	out, err := s.Dispatcher.Invoke(ctx, desc.API, x.Op, in)
	if err != nil {
		return nil, s.asError(r.Context(), r, err)
	}
	return out, nil
}
