package runtimeapi

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
)

// response takes an answer, in one piece or streamed.
func (s *Server) response(w http.ResponseWriter, r *http.Request) {
	e, err := s.beginAnswer(r.PathValue("id"))
	if err != nil {
		refuse(w, err)
		return
	}
	switch mode := r.Header.Get("Lambda-Runtime-Function-Response-Mode"); mode {
	case "":
		if flows(r, e) {
			s.stream(w, r, e)
			return
		}
		s.finish(w, r, e, Answer{MediaType: mediaType(r)})
	case "streaming":
		s.stream(w, r, e)
	default:
		s.endAnswer(e, failure(typeMode, "Invalid function response mode"), false)
		writeError(w, http.StatusBadRequest, "InvalidFunctionResponseMode", "Invalid function response mode")
	}
}

// flows reports whether an answer whose mode nobody named is handed on while it comes, because its caller wants that, its length is not known and it is not
// a document. AWS's library for Go never names the mode.
func flows(r *http.Request, e *exchange) bool {
	return e.parts != nil && r.ContentLength < 0 && !strings.HasPrefix(mediaType(r), "application/json")
}

func mediaType(r *http.Request) string { return clip(r.Header.Get("Content-Type"), maxErrorType) }

func (s *Server) invocationError(w http.ResponseWriter, r *http.Request) {
	e, err := s.beginAnswer(r.PathValue("id"))
	if err != nil {
		refuse(w, err)
		return
	}
	s.finish(w, r, e, Answer{ErrorType: errorType(r), MediaType: mediaType(r), Cause: cause(r)})
}

// finish reads the body of a and ends the invocation with it; an answer that cannot be used ends it with an error.
func (s *Server) finish(w http.ResponseWriter, r *http.Request, e *exchange, a Answer) {
	body, err := s.readBody(w, r)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		s.endAnswer(e, tooLarge(s.opt.MaxResponse), false)
		s.refuseSize(w)
	case err != nil:
		s.endAnswer(e, truncated(), false)
		writeError(w, http.StatusBadRequest, "TruncatedHTTPRequest", "HTTP request detected as truncated")
	default:
		a.Payload = body
		if failed, document := failedMidway(r); failed != "" {
			a.ErrorType, a.Payload = failed, document
		}
		if a.ErrorType != "" && strings.HasPrefix(a.MediaType, "application/vnd.aws.lambda.error.cause+json") {
			a = withCause(a)
		}
		s.endAnswer(e, a, false)
		accept(w)
	}
}

// withCause takes the cause out of an error document that has it inside.
func withCause(a Answer) Answer {
	var d struct {
		Message string          `json:"errorMessage"`
		Type    string          `json:"errorType"`
		Stack   []string        `json:"stackTrace,omitempty"`
		Cause   json.RawMessage `json:"errorCause,omitempty"`
	}
	if json.Unmarshal(a.Payload, &d) != nil {
		a.Payload, a.MediaType = []byte(`"Invalid error body"`), "application/octet-stream"
		return a
	}
	if len(d.Cause) <= maxText {
		a.Cause = string(d.Cause)
	}
	d.Cause = nil
	b, err := json.Marshal(d)
	if err != nil {
		b = []byte(`"Invalid error body"`) // strings always encode
	}
	a.Payload, a.MediaType = b, "application/json"
	return a
}

// stream hands a streamed answer on while it comes.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, e *exchange) {
	k, err := s.sink(e, mediaType(r))
	for err == nil {
		b := k.buffer(maxChunk)
		n, readErr := r.Body.Read(b)
		if err = k.write(b[:n]); err == nil {
			err = readErr
		}
	}
	switch {
	case errors.Is(err, errOver):
		refuse(w, errTransition)
	case !errors.Is(err, io.EOF):
		cut := truncated()
		s.endAnswer(e, k.answer(cut.ErrorType, cut.Payload), false)
		writeError(w, http.StatusBadRequest, "TruncatedHTTPRequest", "HTTP request detected as truncated")
	default:
		failed, document := failedMidway(r)
		s.endAnswer(e, k.answer(failed, document), false)
		if k.tooLarge {
			s.refuseSize(w)
			return
		}
		accept(w)
	}
}

// failedMidway returns the error of an answer that had begun, which stands behind its body; none is empty.
func failedMidway(r *http.Request) (errorType string, document []byte) {
	document, err := base64.StdEncoding.DecodeString(r.Trailer.Get("Lambda-Runtime-Function-Error-Body"))
	if err != nil {
		document = nil // the error stands without its text
	}
	return clip(r.Trailer.Get("Lambda-Runtime-Function-Error-Type"), maxErrorType), document
}

func (s *Server) readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	limited := http.MaxBytesReader(w, r.Body, s.opt.MaxResponse)
	if r.ContentLength <= 0 || r.ContentLength > s.opt.MaxResponse {
		return io.ReadAll(limited)
	}
	return readSized(limited, r.ContentLength)
}
