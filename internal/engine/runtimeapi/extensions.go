package runtimeapi

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"time"
)

// MaxExtensions is Lambda's bound for the extensions of an environment, external and internal.
const MaxExtensions = 10

// maxEvents bounds the events that wait for an extension that does not ask. An engine that heeds Settled needs one, and one for the end.
const maxEvents = 8

// The events that extensions can ask for.
const (
	eventInvoke   = "INVOKE"
	eventShutdown = "SHUTDOWN"
)

// ExtensionState is where an extension stands, by the names that Lambda has in its logs.
type ExtensionState string

// The states of an extension.
const (
	Started    ExtensionState = "Started" // an external one that has not registered
	Registered ExtensionState = "Registered"
	Ready      ExtensionState = "Ready" // it has asked for its next event
	Running    ExtensionState = "Running"
	InitError  ExtensionState = "InitError"
	ExitError  ExtensionState = "ExitError"
)

// deed is what an extension does.
type deed uint8

const (
	register deed = iota
	next
	deliver // its event is handed to it
	reportInit
	reportExit
)

// follows has the legal deeds of extensions, and where they lead.
var follows = map[ExtensionState]map[deed]ExtensionState{
	Started:    {register: Registered},
	Registered: {next: Ready, reportInit: InitError, reportExit: ExitError},
	Ready:      {deliver: Running, reportExit: ExitError},
	Running:    {next: Ready, reportExit: ExitError},
	InitError:  {reportInit: InitError},
	ExitError:  {reportExit: ExitError},
}

// Extension is an extension as the log and the telemetry show it.
type Extension struct {
	Name string
	// Events are those it asked for.
	Events []string
	State  ExtensionState
	// ErrorType is what it reported, in the states InitError and ExitError.
	ErrorType string
	// External says that it is a process of its own.
	External bool
}

// Fault is the error that an extension reported.
type Fault struct {
	Extension string
	// Type is the extension's own name for the error.
	Type string
	// Phase is "init" or "exit".
	Phase string
}

// extension is one extension. The server's mu guards it.
type extension struct {
	Extension
	id string
	// asked counts its requests for an event, and asking says that somebody listens to the last one.
	asked  int
	asking bool
	// queue holds events it has not got; more closes, and is replaced, when there is another.
	queue [][]byte
	more  chan struct{}
}

// extensions are those of an environment.
type extensions struct {
	list []*extension
	// missing counts external ones that have not registered; registered closes when there are none.
	missing    int
	registered chan struct{}
	// closed: nobody registers any more.
	closed  bool
	faults  chan Fault
	settled chan struct{}
	// initialised: all were ready once, which ends the time of subscriptions.
	initialised bool
}

func (x *extensions) init(names []string) {
	x.registered, x.faults = make(chan struct{}), make(chan Fault, 2*MaxExtensions)
	for _, n := range names {
		x.list = append(x.list, &extension{Extension: Extension{Name: n, State: Started, External: true}, more: make(chan struct{})})
	}
	if x.missing = len(x.list); x.missing == 0 {
		close(x.registered)
	}
}

func (x *extensions) byName(name string) *extension {
	for _, e := range x.list {
		if e.Name == name {
			return e
		}
	}
	return nil
}

func (x *extensions) byID(id string) *extension {
	for _, e := range x.list {
		if e.id == id && id != "" {
			return e
		}
	}
	return nil
}

// do makes d happen to e, if it is legal.
func (e *extension) do(d deed) error {
	to, legal := follows[e.State][d]
	if !legal {
		return errTransition
	}
	e.State = to
	return nil
}

func (e *extension) wants(event string) bool { return slices.Contains(e.Events, event) }

// give puts an event into the queue of e.
func (e *extension) give(event []byte) {
	if len(e.queue) == maxEvents {
		return
	}
	e.queue = append(e.queue, event)
	close(e.more)
	e.more = make(chan struct{})
}

// invoke tells the extensions that want to know of an invocation. It is called with the server's mu held.
func (x *extensions) invoke(inv *exchange) {
	var event []byte
	for _, e := range x.list {
		if !e.wants(eventInvoke) {
			continue
		}
		if event == nil {
			event = invokeEvent(&inv.Invocation)
		}
		e.give(event)
	}
}

func invokeEvent(inv *Invocation) []byte {
	type tracing struct {
		Type  string `json:"type"`
		Value string `json:"value"`
	}
	v := struct {
		Type     string   `json:"eventType"`
		Deadline int64    `json:"deadlineMs"`
		Request  string   `json:"requestId"`
		ARN      string   `json:"invokedFunctionArn"`
		Tracing  *tracing `json:"tracing,omitempty"`
	}{eventInvoke, inv.Deadline.UnixMilli(), inv.RequestID, inv.FunctionARN, nil}
	if inv.TraceID != "" {
		v.Tracing = &tracing{"X-Amzn-Trace-Id", inv.TraceID}
	}
	b, err := json.Marshal(v)
	if err != nil {
		return []byte("{}") // strings and numbers always encode
	}
	return b
}

// Registered closes when each of Options.Extensions has registered; it is closed from the beginning when there are none.
func (s *Server) Registered() <-chan struct{} { return s.extensions.registered }

// Broken delivers the errors that extensions report. The environment is then to end.
func (s *Server) Broken() <-chan Fault { return s.extensions.faults }

// Extensions returns how the extensions stand, external ones first.
func (s *Server) Extensions() []Extension {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Extension
	for _, e := range s.extensions.list {
		v := e.Extension
		v.Events = slices.Clone(v.Events)
		out = append(out, v)
	}
	return out
}

// Settled closes when nothing is to be done any more for the current invocation, or the initialisation: when the runtime, and every extension that
// registered for INVOKE, ask for their next event. Each invocation has a channel of its own: ask again after Invoke.
func (s *Server) Settled() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.extensions.settled
	if c == nil {
		c = make(chan struct{})
		s.extensions.settled = c
		s.settle()
	}
	return c
}

// settle looks whether the environment has settled. It is called with mu held, after every move.
func (s *Server) settle() {
	x := &s.extensions
	if s.state != waiting || s.current != nil {
		return
	}
	for _, e := range x.list {
		if e.State != Ready && (e.wants(eventInvoke) || !x.initialised) || len(e.queue) > 0 && e.State == Ready && e.wants(eventInvoke) {
			return
		}
	}
	if !x.initialised {
		x.initialised = true
		s.telemetry.Seal()
	}
	if x.settled != nil {
		close(x.settled)
		x.settled = nil
	}
}

// Shutdown gives the extensions that asked for it the event of that name, and nobody anything else from then on. reason is spindown, timeout or failure.
func (s *Server) Shutdown(reason string, deadline time.Time) {
	event, err := json.Marshal(struct {
		Type     string `json:"eventType"`
		Deadline int64  `json:"deadlineMs"`
		Reason   string `json:"shutdownReason"`
	}{eventShutdown, deadline.UnixMilli(), reason})
	if err != nil {
		return // strings and numbers always encode
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed, s.extensions.closed = true, true
	for _, e := range s.extensions.list {
		if e.wants(eventShutdown) {
			e.queue = nil
			e.give(event)
		}
	}
}

// Reasons to refuse an extension.
var (
	errRegistrationClosed = errors.New("Extension registration closed already")
	errNameTaken          = errors.New("Extension with this name already registered")
	errTooMany            = errors.New("Extension limit (10) reached")
)

// register registers the extension of that name for events, and returns its id.
func (s *Server) register(name string, events []string) (id string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := &s.extensions
	e := x.byName(name)
	switch {
	case e != nil && e.External:
		if err := e.do(register); err != nil {
			return "", err
		}
		if x.missing--; x.missing == 0 {
			close(x.registered)
		}
	case x.closed:
		return "", errRegistrationClosed
	case e != nil:
		return "", errNameTaken
	case len(x.list) >= MaxExtensions:
		return "", errTooMany
	default:
		e = &extension{Extension: Extension{Name: name, State: Registered}, more: make(chan struct{})}
		x.list = append(x.list, e)
	}
	e.id, e.Events = newUUID(), slices.Clone(events)
	s.settle()
	return e.id, nil
}

// report takes an extension's report of an error.
func (s *Server) report(e *extension, d deed, errorType string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	again := e.State == InitError || e.State == ExitError
	if err := e.do(d); err != nil {
		return err
	}
	if again {
		return nil
	}
	e.ErrorType = errorType
	phase := "init"
	if d == reportExit {
		phase = "exit"
	}
	select {
	case s.extensions.faults <- Fault{Extension: e.Name, Type: errorType, Phase: phase}:
	default: // there is room for every extension's one fault
	}
	return nil
}

// askEvent is an extension's request for its next event; it returns the request's number.
func (s *Server) askEvent(e *extension) (request int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.State != Ready || e.asking {
		if err := e.do(next); err != nil {
			return 0, err
		}
	}
	e.asked++
	e.asking = true
	s.settle()
	return e.asked, nil
}

// takeEvent hands out an event, or returns the channel that tells when to try again. Both are nil for a request that is void.
func (s *Server) takeEvent(e *extension, request int) ([]byte, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.State != Ready || e.asked != request {
		return nil, nil
	}
	if len(e.queue) == 0 {
		return nil, e.more
	}
	event := e.queue[0]
	e.queue, e.asking = e.queue[1:], false
	_ = e.do(deliver) // legal here
	return event, nil
}

// leave says that nobody listens to a request any more: the extension may ask again.
func (s *Server) leave(e *extension, request int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.asked == request {
		e.asking = false
	}
}

// newUUID returns a random UUID (version 4). Whoever has an extension's may speak for it.
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
