package runtimeapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"croft/internal/engine/runtimeapi/telemetry"
)

// maxRegistration bounds what an extension sends to register or to subscribe, maxReport its report of an error; the texts of reports are not kept.
const (
	maxRegistration = 64 << 10
	maxReport       = 256 << 10
)

const headerID = "Lambda-Extension-Identifier"

// refuseExtension answers with 403, as all errors of the Extensions API are.
func refuseExtension(w http.ResponseWriter, errorType, format string, args ...any) {
	writeError(w, http.StatusForbidden, errorType, fmt.Sprintf(format, args...))
}

func (s *Server) registerExtension(w http.ResponseWriter, r *http.Request) {
	name := r.Header.Get("Lambda-Extension-Name")
	if name == "" || len(name) > maxErrorType {
		refuseExtension(w, "Extension.InvalidExtensionName", "Empty extension name")
		return
	}
	events, err := registration(w, r)
	if err != nil {
		refuseExtension(w, "InvalidRequestFormat", "%s", err)
		return
	}
	if bad := s.badEvent(name, events); bad != "" {
		refuseExtension(w, "Extension.InvalidEventType", "%s: Event type is not supported", bad)
		return
	}
	id, err := s.register(name, events)
	if err != nil {
		s.refuseRegistration(w, name, err)
		return
	}
	f := s.opt.Function
	answer := struct {
		Account string `json:"accountId,omitempty"`
		Name    string `json:"functionName"`
		Version string `json:"functionVersion"`
		Handler string `json:"handler"`
	}{"", f.Name, f.Version, f.Handler}
	for feature := range strings.SplitSeq(r.Header.Get("Lambda-Extension-Accept-Feature"), ",") {
		if strings.TrimSpace(feature) == "accountId" {
			answer.Account = f.Account
		}
	}
	b, err := json.Marshal(answer)
	if err != nil {
		writeError(w, http.StatusInternalServerError, "InternalServerError", "Internal Server Error")
		return
	}
	w.Header().Set(headerID, id)
	writeJSON(w, http.StatusOK, b)
}

func registration(w http.ResponseWriter, r *http.Request) ([]string, error) {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRegistration))
	if err != nil {
		return nil, err
	}
	var v struct {
		Events []string `json:"events"`
		Keys   []string `json:"configurationKeys"`
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return nil, err
	}
	if len(v.Keys) > 0 {
		return nil, errors.New("configurationKeys are deprecated; use environment variables instead")
	}
	return v.Events, nil
}

// badEvent returns the first event that an extension of that name cannot ask for. Internal ones end with the runtime, so there is no end to tell them of.
func (s *Server) badEvent(name string, events []string) string {
	s.mu.Lock()
	e := s.extensions.byName(name)
	external := e != nil && e.External
	s.mu.Unlock()
	for _, event := range events {
		if event != eventInvoke && (event != eventShutdown || !external) {
			return clip(event, maxErrorType)
		}
	}
	return ""
}

func (s *Server) refuseRegistration(w http.ResponseWriter, name string, err error) {
	switch {
	case errors.Is(err, errRegistrationClosed):
		refuseExtension(w, "Extension.RegistrationClosed", "%s", err)
	case errors.Is(err, errTooMany):
		refuseExtension(w, "Extension.TooManyExtensions", "%s", err)
	case errors.Is(err, errNameTaken):
		refuseExtension(w, "Extension.InvalidExtensionState", "%s", err)
	default:
		s.refuseDeed(w, name, Registered, err)
	}
}

// refuseDeed says that the extension of that name cannot get into a state.
func (s *Server) refuseDeed(w http.ResponseWriter, name string, to ExtensionState, err error) {
	s.mu.Lock()
	from, who := Started, name
	if e := s.extensions.byName(name); e != nil {
		from = e.State
		if to != Registered {
			who = e.id
		}
	}
	s.mu.Unlock()
	refuseExtension(w, "Extension.InvalidExtensionState", "State transition from %s to %s failed for extension %s. Error: %s", from, to, who, err)
}

// identified is a handler for an extension that has registered.
func (s *Server) identified(h func(http.ResponseWriter, *http.Request, *extension)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get(headerID)
		if id == "" {
			refuseExtension(w, "Extension.MissingExtensionIdentifier", "Missing Lambda-Extension-Identifier header")
			return
		}
		if !isUUID(id) {
			refuseExtension(w, "Extension.InvalidExtensionIdentifier", "Invalid Lambda-Extension-Identifier")
			return
		}
		s.mu.Lock()
		e := s.extensions.byID(strings.ToLower(id))
		s.mu.Unlock()
		if e == nil {
			refuseExtension(w, "Extension.UnknownExtensionIdentifier", "Unknown extension %s", id)
			return
		}
		h(w, r, e)
	}
}

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i, c := range []byte(s) {
		if dash := i == 8 || i == 13 || i == 18 || i == 23; dash != (c == '-') || !dash && !strings.ContainsRune("0123456789abcdefABCDEF", rune(c)) {
			return false
		}
	}
	return true
}

// nextEvent answers when there is an event for the extension, which may take for ever.
func (s *Server) nextEvent(w http.ResponseWriter, r *http.Request, e *extension) {
	request, err := s.askEvent(e)
	if err != nil {
		s.refuseDeed(w, e.Name, Ready, err)
		return
	}
	defer s.leave(e, request)
	for {
		event, wait := s.takeEvent(e, request)
		if event != nil {
			w.Header().Set("Lambda-Extension-Event-Identifier", newUUID())
			writeJSON(w, http.StatusOK, event)
			return
		}
		if wait == nil {
			s.refuseDeed(w, e.Name, Ready, errTransition)
			return
		}
		select {
		case <-wait:
		case <-r.Context().Done():
			s.refuseDeed(w, e.Name, Ready, errTransition)
			return
		}
	}
}

func (s *Server) reportHandler(d deed) func(http.ResponseWriter, *http.Request, *extension) {
	const header = "Lambda-Extension-Function-Error-Type"
	to := InitError
	if d == reportExit {
		to = ExitError
	}
	return func(w http.ResponseWriter, r *http.Request, e *extension) {
		kind := r.Header.Get(header)
		if kind == "" {
			refuseExtension(w, "Extension.MissingHeader", "%s not found", header)
			return
		}
		if err := s.report(e, d, clip(kind, maxErrorType)); err != nil {
			s.refuseDeed(w, e.Name, to, err)
			return
		}
		_, _ = io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, maxReport)) // so that its connection can be used again
		accept(w)
	}
}

func (s *Server) subscription(api telemetry.API) func(http.ResponseWriter, *http.Request, *extension) {
	return func(w http.ResponseWriter, r *http.Request, e *extension) {
		b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRegistration))
		if err != nil {
			writeError(w, http.StatusBadRequest, "ValidationError", "The request could not be read.")
			return
		}
		if no := s.telemetry.Subscribe(api, e.Name, b); no != nil {
			writeError(w, no.Status, no.Type, no.Message)
			return
		}
		writeJSON(w, http.StatusOK, []byte(`"OK"`))
	}
}
