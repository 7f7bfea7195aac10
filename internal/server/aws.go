package server

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"time"

	"croft/internal/clock"
	"croft/internal/cloud"
	"croft/internal/service"
	"croft/internal/sigv4"
	"croft/internal/wire"
)

// serveAWS answers an AWS API call: service, operation, principal, input, the service's method, output. The body is read first, within its
// bounds, unless the operation takes it as a stream.
func (s *Server) serveAWS(w http.ResponseWriter, r *request, _ func()) {
	scope, signed := sigv4.Parse(r.Request)
	desc, unknown := s.index.find(r.Request, scope, signed)
	if desc != nil && desc.Traced {
		if r.trace == "" {
			r.trace = cloud.NewTrace(s.Clock.Now())
		}
		w.Header()[cloud.TraceHeader] = []string{r.trace}
	}
	if unknown == nil && desc != nil {
		if x := wire.MatchStream(desc.API, r.Request); x != nil {
			out, cerr := s.performStream(w, r, desc, x, scope)
			if cerr != nil && expects(r.Request) {
				w.Header().Set("Connection", "close")
			}
			s.answer(w, r, x, out, cerr)
			return
		}
	}
	body, release, cerr := readBody(r)
	defer release()
	if cerr == nil {
		cerr = unknown
	}
	if cerr == nil && desc == nil {
		cerr = s.unsigned(r, body)
	}
	if cerr != nil {
		s.refuse(w, r, cerr)
		return
	}
	plain, releasePlain, cerr := unpackBody(desc.API, r, body)
	defer releasePlain()
	if cerr != nil {
		s.refuse(w, r, cerr)
		return
	}
	x, err := wire.Match(desc.API, r.Request, plain)
	if err != nil {
		x.EncodeError(w, r.id, s.asError(r.Context(), r, err))
		return
	}
	out, cerr := s.perform(r, desc, x, scope, body)
	s.answer(w, r, x, out, cerr)
}

// answer writes an output, or the error in place of it.
func (s *Server) answer(w http.ResponseWriter, r *request, x *wire.Exchange, out any, cerr *cloud.Error) {
	if cerr != nil {
		x.EncodeError(w, r.id, cerr)
		return
	}
	if x.Op.GivesStream() {
		// What users have stored comes from the cloud's own address, as what their functions answer does.
		w.Header().Set("Content-Security-Policy", sandboxPolicy)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		// A client that does not read would keep the body open forever.
		conn := http.NewResponseController(w)
		limit := sendGrace + time.Duration(max(x.StreamSize(out), 0)/sendPace)*time.Second
		// They fail for a connection that has no deadlines, such as a test's.
		_ = conn.SetWriteDeadline(clock.Real().Now().Add(limit))
		defer func() {
			_ = conn.Flush() // while the deadline holds
			_ = conn.SetWriteDeadline(time.Time{})
		}()
	}
	err := x.Encode(w, r.id, out)
	var gone *net.OpError
	if errors.As(err, &gone) && gone.Op == "write" {
		return // the client went away
	}
	if err != nil && r.Context().Err() == nil {
		s.Log.Error("an answer could not be written", "request", r.id, "operation", x.Op.Name, "err", err)
	}
}

func (s *Server) perform(r *request, desc *service.Descriptor, x *wire.Exchange, scope sigv4.Scope, body []byte) (any, *cloud.Error) {
	call, cerr := s.authenticate(r, desc.API, x, scope, func(now time.Time, keys sigv4.Keys) *cloud.Error {
		_, cerr := s.verifier.Verify(r.Request, body, now, keys)
		return cerr
	})
	if cerr == nil && desc.API.S3Rules {
		cerr = checkDigests(r.Request, body)
	}
	if cerr != nil {
		return nil, cerr
	}
	return s.invoke(r, desc, x, call)
}

// performStream is perform for an operation that reads the body itself. The signature is checked over the headers; the body checks itself
// against them while it is read.
func (s *Server) performStream(w http.ResponseWriter, r *request, desc *service.Descriptor, x *wire.Exchange, scope sigv4.Scope) (any, *cloud.Error) {
	var payload *sigv4.Payload
	call, cerr := s.authenticate(r, desc.API, x, scope, func(now time.Time, keys sigv4.Keys) (cerr *cloud.Error) {
		_, payload, cerr = s.verifier.VerifyHead(r.Request, now, keys)
		return cerr
	})
	if cerr != nil {
		return nil, cerr
	}
	paced := *r.Request
	paced.Body = streamBody(w, r.Request)
	body, cerr := payload.Body(&paced, maxStream)
	if cerr != nil {
		return nil, cerr
	}
	if expects(r.Request) && r.ContentLength == 0 {
		w.WriteHeader(http.StatusContinue)
	}
	stream := wire.NewStream(body.Reader, body.Size)
	stream.Trailer = body.Trailer
	x.SetStream(stream)
	return s.invoke(r, desc, x, call)
}

// expects reports whether the client waits for a word before it sends the body. S3's clients do so for empty ones too, for which net/http
// gives no word, and botocore takes every later answer of the connection for one that came without it.
func expects(r *http.Request) bool {
	return r.ProtoAtLeast(1, 1) && strings.EqualFold(r.Header.Get("Expect"), "100-continue")
}

func (s *Server) invoke(r *request, desc *service.Descriptor, x *wire.Exchange, call *cloud.Call) (any, *cloud.Error) {
	in, err := x.Decode()
	if err != nil {
		return nil, s.asError(r.Context(), r, err)
	}
	out, err := s.Dispatcher.Invoke(cloud.WithCall(r.Context(), call), desc.API, x.Op, in)
	if err != nil {
		return nil, s.asError(r.Context(), r, err)
	}
	return out, nil
}
