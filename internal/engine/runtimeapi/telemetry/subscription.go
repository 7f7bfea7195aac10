package telemetry

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// API is one of the two ways to subscribe.
type API string

// The APIs, by the names that errors have.
const (
	API2022 API = "Telemetry"
	Logs    API = "Logs"
)

// reserved is the Runtime API's own port.
const reserved = 9001

// subscription is what an extension asked for.
type subscription struct {
	api      API
	name     string
	schema   string
	types    []string
	maxItems int
	maxBytes int
	timeout  time.Duration
	// port is where the extension listens. For HTTP, method and url (with the name that the extension gave) are set.
	port        int
	method, url string
}

func (s *subscription) equal(o *subscription) bool {
	a, b := *s, *o
	same := slices.Equal(a.types, b.types)
	a.types, b.types = nil, nil
	return same && a.api == b.api && a.name == b.name && a.schema == b.schema && a.maxItems == b.maxItems && a.maxBytes == b.maxBytes &&
		a.timeout == b.timeout && a.port == b.port && a.method == b.method && a.url == b.url
}

// logsKinds are the platform's events that the Logs API knows, with the first schema that has each.
var logsKinds = map[string]string{
	KindStart: "2020-08-15", KindEnd: "2020-08-15", KindReport: "2020-08-15", KindFault: "2020-08-15", KindExtension: "2020-08-15",
	KindLogsSubscription: "2020-08-15", KindLogsDropped: "2020-08-15", KindRuntimeDone: "2021-03-18",
}

// wants reports whether events of a kind are for the subscriber.
func (s *subscription) wants(kind string) bool {
	category, _, platform := strings.Cut(kind, ".")
	if !slices.Contains(s.types, category) {
		return false
	}
	if !platform {
		return true
	}
	if s.api == Logs {
		since, known := logsKinds[kind]
		return known && s.schema >= since
	}
	return kind != KindEnd && kind != KindFault && kind != KindLogsSubscription
}

// objects reports whether lines in JSON are for the subscriber's taste.
func (s *subscription) objects() bool { return s.api != Logs && s.schema >= "2022-12-13" }

func invalid(api API, text string) *Refusal {
	r := &Refusal{400, "ValidationError", text}
	if api == Logs {
		r.Type = "Logs.ValidationError"
	}
	return r
}

type request struct {
	Schema      string   `json:"schemaVersion"`
	Types       []string `json:"types"`
	Destination *struct {
		Protocol string `json:"protocol"`
		URI      string `json:"URI"`
		Port     int    `json:"port"`
		Method   string `json:"method"`
		Encoding string `json:"encoding"`
	} `json:"destination"`
	Buffering struct {
		Items   *int `json:"maxItems"`
		Bytes   *int `json:"maxBytes"`
		Timeout *int `json:"timeoutMs"`
	} `json:"buffering"`
}

// parse reads a request to subscribe.
func parse(api API, body []byte) (*subscription, error) {
	var r request
	if err := json.Unmarshal(body, &r); err != nil {
		return nil, fmt.Errorf("the request is not valid: %w", err)
	}
	s := &subscription{api: api, schema: r.Schema}
	schemas := []string{"2022-07-01", "2022-12-13", "2025-01-29"}
	if api == Logs {
		schemas = []string{"2020-08-15", "2021-03-18"}
		if s.schema == "" {
			s.schema = schemas[0]
		}
	}
	if !slices.Contains(schemas, s.schema) {
		return nil, fmt.Errorf("schemaVersion should be one of %s", strings.Join(schemas, ", "))
	}
	for _, t := range r.Types {
		if t != "platform" && t != kindFunction && t != kindExtension {
			return nil, errors.New("types should be platform, function or extension")
		}
		if !slices.Contains(s.types, t) {
			s.types = append(s.types, t)
		}
	}
	if len(s.types) == 0 {
		return nil, errors.New("types should not be empty")
	}
	var timeout int
	for _, b := range []struct {
		name               string
		value              *int
		to                 *int
		normal, least, max int
	}{
		{"maxItems", r.Buffering.Items, &s.maxItems, 10000, 1000, 10000},
		{"maxBytes", r.Buffering.Bytes, &s.maxBytes, 256 << 10, 256 << 10, 1 << 20},
		{"timeoutMs", r.Buffering.Timeout, &timeout, 1000, 25, 30000},
	} {
		if *b.to = b.normal; b.value != nil {
			*b.to = *b.value
		}
		if *b.to < b.least || *b.to > b.max {
			return nil, fmt.Errorf("buffering.%s should be between %d and %d", b.name, b.least, b.max)
		}
	}
	s.timeout = time.Duration(timeout) * time.Millisecond
	return s, s.destination(&r)
}

func (s *subscription) destination(r *request) error {
	d := r.Destination
	if d == nil {
		return errors.New("destination should not be empty")
	}
	switch d.Protocol {
	case "TCP":
		s.port = d.Port
	case "HTTP":
		u, err := url.Parse(d.URI)
		if err != nil || u.Scheme != "http" {
			return errors.New("destination.URI should be an http URI")
		}
		if h := u.Hostname(); h != "sandbox.localdomain" && h != "sandbox" {
			return errors.New("destination.URI host should be sandbox.localdomain")
		}
		if u.Port() == "" {
			return errors.New("URI port is not provided")
		}
		if s.port, err = strconv.Atoi(u.Port()); err != nil {
			return errors.New("destination.URI port is not valid")
		}
		u.User, u.Fragment = nil, ""
		s.url, s.method = u.String(), "POST"
		if s.api == Logs && d.Method != "" {
			s.method = d.Method
		}
		if s.method != "POST" && s.method != "PUT" {
			return errors.New("destination.method should be POST or PUT")
		}
	default:
		return errors.New("destination.protocol should be HTTP or TCP")
	}
	if d.Encoding != "" && d.Encoding != "JSON" {
		return errors.New("destination.encoding should be JSON")
	}
	if s.port < 1 || s.port > 65535 {
		return errors.New("the port should be between 1 and 65535")
	}
	if s.port == reserved {
		return fmt.Errorf("port %d is reserved", reserved)
	}
	return nil
}
