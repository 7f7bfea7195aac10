package runtimeapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"

	"croft/internal/engine/runtimeapi/telemetry"
)

const (
	typeTooLarge  = "Function.ResponseSizeTooLarge"
	typeTruncated = "Runtime.TruncatedResponse"
	typeMode      = "Runtime.InvalidResponseModeHeader"
)

// Handler returns the routes of all four APIs.
func (s *Server) Handler() http.Handler {
	const runtime, extension = "/2018-06-01/runtime", "/2020-01-01/extension"
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/ping", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "pong") })
	mux.HandleFunc("GET "+runtime+"/invocation/next", s.next)
	mux.HandleFunc("POST "+runtime+"/invocation/{id}/response", s.response)
	mux.HandleFunc("POST "+runtime+"/invocation/{id}/error", s.invocationError)
	mux.HandleFunc("POST "+runtime+"/init/error", func(w http.ResponseWriter, r *http.Request) { s.startError(w, r, failInit) })
	if s.opt.Restore {
		mux.HandleFunc("GET "+runtime+"/restore/next", s.restore)
		mux.HandleFunc("POST "+runtime+"/restore/error", func(w http.ResponseWriter, r *http.Request) { s.startError(w, r, failRestore) })
	}
	mux.HandleFunc("POST "+extension+"/register", s.registerExtension)
	mux.HandleFunc("GET "+extension+"/event/next", s.identified(s.nextEvent))
	mux.HandleFunc("POST "+extension+"/init/error", s.identified(s.reportHandler(reportInit)))
	mux.HandleFunc("POST "+extension+"/exit/error", s.identified(s.reportHandler(reportExit)))
	for _, end := range []string{"", "/{$}"} { // AWS's documentation has both
		mux.HandleFunc("PUT /2022-07-01/telemetry"+end, s.identified(s.subscription(telemetry.API2022)))
		mux.HandleFunc("PUT /2020-08-15/logs"+end, s.identified(s.subscription(telemetry.Logs)))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fromPage(r) {
			writeError(w, http.StatusForbidden, "AccessDenied", "The Runtime API is not for web pages.")
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// fromPage reports whether a request comes from a web page, or goes to a name that one may have made lead here. With reduced isolation the API has an
// address of the machine itself, where every page that its user looks at can send requests.
func fromPage(r *http.Request) bool {
	if r.Header["Origin"] != nil || r.Header["Sec-Fetch-Site"] != nil {
		return true
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host != "localhost" && (ip == nil || !ip.IsLoopback())
}

// next answers when there is an event, which may take for ever.
func (s *Server) next(w http.ResponseWriter, r *http.Request) {
	request, err := s.ask()
	if err != nil {
		refuse(w, err)
		return
	}
	for {
		e, wait := s.take(request)
		if e != nil {
			writeEvent(w, e)
			return
		}
		if wait == nil {
			refuse(w, errTransition)
			return
		}
		select {
		case <-wait:
		case <-r.Context().Done():
			refuse(w, errTransition) // not an empty answer, should the runtime still be there
			return
		}
	}
}

func writeEvent(w http.ResponseWriter, e *exchange) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(e.Payload)))
	h.Set("Lambda-Runtime-Aws-Request-Id", e.RequestID)
	h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(e.Deadline.UnixMilli(), 10))
	h.Set("Lambda-Runtime-Invoked-Function-Arn", e.FunctionARN)
	for _, v := range [...]struct{ name, value string }{
		{"Lambda-Runtime-Trace-Id", e.TraceID}, {"Lambda-Runtime-Client-Context", e.ClientContext},
		{"Lambda-Runtime-Cognito-Identity", e.Identity}, {"Lambda-Runtime-Aws-Tenant-Id", e.Tenant},
	} {
		if v.value != "" {
			h.Set(v.name, v.value)
		}
	}
	// A runtime that went away while it was being answered is noticed by its exit or by the timeout.
	_, _ = w.Write(e.Payload)
}

// restore answers at once: the processes of the environment are already the restored ones.
func (s *Server) restore(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	err := s.move(restore)
	s.mu.Unlock()
	if err != nil {
		refuse(w, err)
		return
	}
	w.WriteHeader(http.StatusOK)
}

func (s *Server) startError(w http.ResponseWriter, r *http.Request, m move) {
	// Before a byte of it is read: what may not be reported takes no memory.
	if err := s.beginFail(m); err != nil {
		refuse(w, err)
		return
	}
	body, err := s.readBody(w, r)
	if err != nil {
		s.endFail(failure(errorType(r), "The runtime's report of its error could not be read."))
		s.refuseSize(w)
		return
	}
	s.endFail(Answer{Payload: body, ErrorType: errorType(r), Cause: cause(r)})
	accept(w)
}

func errorType(r *http.Request) string {
	return orUnhandled(r.Header.Get("Lambda-Runtime-Function-Error-Type"))
}

func orUnhandled(name string) string {
	if name == "" {
		return "Unhandled"
	}
	return clip(name, maxErrorType)
}

func clip(s string, n int) string { return s[:min(len(s), n)] }

// cause returns what a runtime has to say to X-Ray about an error, when it can be used.
func cause(r *http.Request) string {
	c := r.Header.Get("Lambda-Runtime-Function-Xray-Error-Cause")
	if len(c) > maxText || !json.Valid([]byte(c)) {
		return ""
	}
	return c
}

// failure is the answer that stands for one that could not be used.
func failure(errorType, text string) Answer {
	return Answer{Payload: document(errorType, text), ErrorType: errorType}
}

func tooLarge(limit int64) Answer {
	return failure(typeTooLarge, fmt.Sprintf("Response payload size exceeded maximum allowed payload size (%d bytes).", limit))
}

func truncated() Answer {
	return failure(typeTruncated, "Response payload ended before its stated length.")
}

func document(errorType, text string) []byte {
	b, err := json.Marshal(struct {
		Type    string `json:"errorType"`
		Message string `json:"errorMessage"`
	}{errorType, text})
	if err != nil {
		return nil // two strings always encode
	}
	return b
}

func refuse(w http.ResponseWriter, err error) {
	if errors.Is(err, errRequestID) {
		writeError(w, http.StatusBadRequest, "InvalidRequestID", err.Error())
		return
	}
	writeError(w, http.StatusForbidden, "InvalidStateTransition", err.Error())
}

func (s *Server) refuseSize(w http.ResponseWriter) {
	writeError(w, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge",
		fmt.Sprintf("Exceeded maximum allowed payload size (%d bytes).", s.opt.MaxResponse))
}

func writeError(w http.ResponseWriter, status int, errorType, text string) {
	writeJSON(w, status, document(errorType, text))
}

func accept(w http.ResponseWriter) { writeJSON(w, http.StatusAccepted, []byte(`{"status":"OK"}`)) }

func writeJSON(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	// A runtime that does not read its answer is free not to.
	_, _ = w.Write(body)
}
