package apigatewayv2

import (
	"net/http"
	"slices"
	"strings"
)

const (
	routeDefault = "$default"
	methodAny    = "ANY"
)

// methods are those that a route can name.
func methods() []string {
	return []string{
		http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions,
	}
}

// routeKey is a route's key taken apart; the default route has neither method nor segments.
type routeKey struct {
	method, path string
	segments     []segment
}

// segment is one segment of a route's path: a literal, or a variable that takes one segment or, when greedy, all the rest.
type segment struct {
	text             string
	variable, greedy bool
}

func badRouteKey() error {
	return badRequest("The provided route key is not formatted properly for HTTP protocol. " +
		`Format should be "<HTTP METHOD> /<RESOURCE PATH>" or "$default"`)
}

func parseRouteKey(key string) (routeKey, error) {
	if key == routeDefault {
		return routeKey{}, nil
	}
	method, path, ok := strings.Cut(key, " ")
	if !ok || method != methodAny && !slices.Contains(methods(), method) || !strings.HasPrefix(path, "/") {
		return routeKey{}, badRouteKey()
	}
	k := routeKey{method: method, path: path}
	if path == "/" {
		return k, nil
	}
	seen := map[string]bool{}
	parts := strings.Split(path[1:], "/")
	for i, part := range parts {
		s, ok := parseSegment(part)
		if !ok || s.greedy && i != len(parts)-1 || s.variable && seen[s.text] {
			return routeKey{}, badRouteKey()
		}
		seen[s.text] = seen[s.text] || s.variable
		k.segments = append(k.segments, s)
	}
	return k, nil
}

func parseSegment(part string) (segment, bool) {
	inner, opened := strings.CutPrefix(part, "{")
	inner, closed := strings.CutSuffix(inner, "}")
	if !opened && !closed {
		return segment{text: part}, part != "" && !strings.ContainsAny(part, "{} ?#")
	}
	name, greedy := strings.CutSuffix(inner, "+")
	return segment{text: name, variable: true, greedy: greedy}, opened && closed && name != "" && !strings.ContainsAny(name, "{}+ ")
}

// match returns the values of the path's variables, and whether the route matches path, which is split at its slashes.
func (k *routeKey) match(path []string) (map[string]string, bool) {
	var values map[string]string
	set := func(name, value string) {
		if values == nil {
			values = map[string]string{}
		}
		values[name] = value
	}
	for i, s := range k.segments {
		switch {
		case i >= len(path):
			return nil, false
		case s.greedy:
			set(s.text, strings.Join(path[i:], "/"))
			return values, true
		case s.variable && path[i] != "":
			set(s.text, path[i])
		case s.variable || s.text != path[i]:
			return nil, false
		}
	}
	return values, len(path) == len(k.segments) || len(k.segments) == 0 && len(path) == 1 && path[0] == ""
}

// before reports whether k is tried before other. A full match comes before a greedy one, and of two routes of a kind the one whose
// path is literal further to the left and then the one that names the method. Source: API Gateway Developer Guide, "Routes for
// HTTP APIs".
func (k *routeKey) before(other *routeKey) bool {
	if k.method == "" || other.method == "" {
		return other.method == "" && k.method != ""
	}
	if a, b := k.isGreedy(), other.isGreedy(); a != b {
		return b
	}
	for i := 0; i < len(k.segments) && i < len(other.segments); i++ {
		if a, b := k.segments[i].rank(), other.segments[i].rank(); a != b {
			return a < b
		}
	}
	if len(k.segments) != len(other.segments) {
		return len(k.segments) > len(other.segments)
	}
	return k.method != methodAny && other.method == methodAny
}

func (k *routeKey) isGreedy() bool {
	return len(k.segments) > 0 && k.segments[len(k.segments)-1].greedy
}

func (s segment) rank() int {
	switch {
	case s.greedy:
		return 2
	case s.variable:
		return 1
	default:
		return 0
	}
}
