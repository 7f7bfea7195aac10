// Package server is croft's HTTP side: who may ask, whom a request is for, and the life of a request from the listener to a service and
// back. The list in Handler is that life, in order.
package server

import (
	"context"
	"log/slog"
	"net/http"

	"croft/internal/clock"
	"croft/internal/cloud"
	"croft/internal/identity"
	"croft/internal/service"
	"croft/internal/sigv4"
)

// Config is what a Server is made of.
type Config struct {
	Clock      clock.Clock
	Log        *slog.Logger
	Dispatcher *service.Dispatcher
	Keys       *identity.Keys
	// Account is the account of requests whose access key says nothing of one.
	Account string
	// Hosts are further names under which the server may be addressed, beside the loopback names and amazonaws.com.
	Hosts []string
	// Control serves /_croft/. It sees only requests that may make control calls.
	Control http.Handler
}

// Server serves one cloud.
type Server struct {
	Config
	index  index
	fronts map[string]*service.Front
	memory *budget // for large bodies, of all requests together
	// verifier remembers derived keys.
	verifier sigv4.Verifier
}

// New returns a server for the services that the dispatcher has by now.
func New(c Config) *Server {
	s := &Server{Config: c, fronts: map[string]*service.Front{}, memory: newBudget(maxBuffered, nil)}
	s.index = newIndex(c.Dispatcher.All())
	for _, d := range c.Dispatcher.All() {
		for _, f := range d.Fronts {
			s.fronts[f.Label] = f
		}
	}
	return s
}

// Environment says in which function's environment a request was made.
type Environment struct {
	// Function is the function's ARN.
	Function string
}

// Handler serves requests from outside.
func (s *Server) Handler() http.Handler { return s.chain(nil, s.memory) }

// FunctionHandler serves the requests made in one function's environment: AWS calls with the credentials of its own execution
// role, and nothing else.
func (s *Server) FunctionHandler(env Environment) http.Handler {
	return s.chain(&env, newBudget(maxFunctionBuffered, s.memory))
}

// step is one part of a request's life. It answers the request or passes it on.
type step func(w http.ResponseWriter, r *request, next func())

// request is an HTTP request on its way.
type request struct {
	*http.Request
	id string
	// env is set for requests from a function's environment.
	env *Environment
	// memory is what the request's body may draw on.
	memory *budget
	// granted says that a service lets the web page that the request comes from make it.
	granted bool
	// issuedKeys has the request's access key be one that the cloud gave out.
	issuedKeys bool
	// trace is the trace header that the request belongs to; empty for none.
	trace string
}

func (s *Server) chain(env *Environment, memory *budget) http.Handler {
	steps := []step{
		s.recoverPanic,
		s.guardHost,
		s.serveFront,
		s.guardControl,
		s.askService,
		s.guardBrowser,
		s.serveForm,
		s.serveAWS,
	}
	return http.HandlerFunc(func(w http.ResponseWriter, hr *http.Request) {
		r := &request{Request: hr, id: cloud.NewRequestID(), env: env, memory: memory}
		if given := hr.Header.Get(cloud.TraceHeader); given != "" {
			r.trace = cloud.ParseTrace(given)
		}
		if large(hr) {
			// A copy: the HTTP server must know its own body again, to leave alone what is left of a refused one.
			paced := *hr
			paced.Body = newPacedBody(hr.Body, http.NewResponseController(w))
			r.Request = &paced
		}
		run(steps, w, r)
	})
}

func run(steps []step, w http.ResponseWriter, r *request) {
	if len(steps) > 0 {
		steps[0](w, r, func() { run(steps[1:], w, r) })
	}
}

// recoverPanic turns a panic into the vendor's internal error. The stack goes to the log, never to the client.
func (s *Server) recoverPanic(w http.ResponseWriter, r *request, next func()) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		if p == http.ErrAbortHandler {
			panic(p)
		}
		s.Log.Error("a request panicked", "request", r.id, "method", r.Method, "path", r.URL.Path, "panic", p, "stack", stack())
		s.refuse(w, r, internalFailure(r.id))
	}()
	next()
}

func internalFailure(id string) *cloud.Error {
	return cloud.Errorf("InternalFailure", "An internal error occurred. Request id: %s", id).WithStatus(http.StatusInternalServerError)
}

// call returns the Call of a request, before anything is known of who makes it.
func (s *Server) call(r *request) *cloud.Call {
	c := &cloud.Call{
		RequestID: r.id, Account: s.Account, Region: cloud.DefaultRegion, Now: s.Clock.Now(),
		Principal: cloud.Principal{Kind: cloud.Anonymous}, Endpoint: endpoint(r.Request), SourceIP: sourceIP(r.RemoteAddr), Trace: r.trace,
	}
	if r.env != nil {
		c.Function = r.env.Function
	}
	return c
}

// asError returns err as something that a client may see.
func (s *Server) asError(ctx context.Context, r *request, err error) *cloud.Error {
	if e := clientError(err); e != nil {
		return e
	}
	if ctx.Err() != nil {
		return cloud.Errorf("RequestTimeout", "The client went away before the request was done.").WithStatus(http.StatusRequestTimeout)
	}
	s.Log.Error("a request failed", "request", r.id, "err", err)
	return internalFailure(r.id)
}
