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
)

// Handler returns the API's routes, which stand under /2018-06-01/runtime.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", s.next)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/response", s.response)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/error", s.invocationError)
	mux.HandleFunc("POST /2018-06-01/runtime/init/error", s.initError)
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
	request, ok := s.ask()
	if !ok {
		refuse(w, errTransition)
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
	if e.TraceID != "" {
		h.Set("Lambda-Runtime-Trace-Id", e.TraceID)
	}
	if e.ClientContext != "" {
		h.Set("Lambda-Runtime-Client-Context", e.ClientContext)
	}
	// A runtime that went away while it was being answered is noticed by its exit or by the timeout.
	_, _ = w.Write(e.Payload)
}

func (s *Server) response(w http.ResponseWriter, r *http.Request) {
	if mode := r.Header.Get("Lambda-Runtime-Function-Response-Mode"); mode != "" {
		writeError(w, http.StatusBadRequest, "InvalidFunctionResponseMode", "Response mode "+clip(mode)+" is not implemented")
		return
	}
	s.finish(w, r, "")
}

func (s *Server) invocationError(w http.ResponseWriter, r *http.Request) {
	s.finish(w, r, errorType(r))
}

// finish reads the answer and ends the invocation with it; an answer that cannot be used ends it with an error.
func (s *Server) finish(w http.ResponseWriter, r *http.Request, errorType string) {
	e, err := s.beginAnswer(r.PathValue("id"))
	if err != nil {
		refuse(w, err)
		return
	}
	body, err := readBody(w, r)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		s.endAnswer(e, failure("Function.ResponseSizeTooLarge",
			fmt.Sprintf("Response payload size exceeded maximum allowed payload size (%d bytes).", MaxPayload)))
		refuseSize(w)
	case err != nil:
		s.endAnswer(e, failure("Runtime.TruncatedResponse", "Response payload ended before its stated length."))
		writeError(w, http.StatusBadRequest, "TruncatedHTTPRequest", "HTTP request detected as truncated")
	default:
		s.endAnswer(e, Answer{Payload: body, ErrorType: errorType})
		accept(w)
	}
}

func (s *Server) initError(w http.ResponseWriter, r *http.Request) {
	// Before a byte of it is read: what may not be reported takes no memory.
	if !s.beginFail() {
		refuse(w, errTransition)
		return
	}
	body, err := readBody(w, r)
	if err != nil {
		s.endFail(failure(errorType(r), "The runtime's report of its error could not be read."))
		refuseSize(w)
		return
	}
	s.endFail(Answer{Payload: body, ErrorType: errorType(r)})
	accept(w)
}

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	limited := http.MaxBytesReader(w, r.Body, MaxPayload)
	if r.ContentLength <= 0 || r.ContentLength > MaxPayload {
		return io.ReadAll(limited)
	}
	body := make([]byte, r.ContentLength)
	_, err := io.ReadFull(limited, body)
	return body, err
}

func errorType(r *http.Request) string {
	if t := r.Header.Get("Lambda-Runtime-Function-Error-Type"); t != "" {
		return clip(t)
	}
	return "Unhandled"
}

func clip(s string) string { return s[:min(len(s), maxErrorType)] }

// failure is the answer that stands for one that could not be used.
func failure(errorType, text string) Answer {
	return Answer{Payload: document(errorType, text), ErrorType: errorType}
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

func refuseSize(w http.ResponseWriter) {
	writeError(w, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge",
		fmt.Sprintf("Exceeded maximum allowed payload size (%d bytes).", MaxPayload))
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
