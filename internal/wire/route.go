package wire

import (
	"net/http"
	"net/url"
	"strings"

	"croft/internal/cloud"
)

// matchRoute finds the operation whose route the request's method and path fit best.
func (x *Exchange) matchRoute() *cloud.Error {
	segments, cerr := x.segments()
	if cerr != nil {
		return cerr
	}
	query := x.request.URL.Query()
	best := -1
	var other string
	for _, op := range x.Service.Operations {
		if n := op.Route.fit(x.request, segments, query); n > best {
			best, x.Op, x.route = n, op, &op.Route
		}
	}
	for i := range x.Service.Others {
		if n := x.Service.Others[i].Route.fit(x.request, segments, query); n > best {
			best, other = n, x.Service.Others[i].Name
		}
	}
	x.path = segments
	if other != "" {
		x.Op = nil
		return NotImplemented(x.Service.Name, other)
	}
	if best < 0 && x.Service.S3Rules {
		return noS3Route(x.request.Method, segments)
	}
	if best < 0 {
		return cloud.Errorf("UnknownOperationException", "%s %s is no operation of %s.", short(x.request.Method), short(x.request.URL.Path), x.Service.Name).
			WithStatus(http.StatusNotFound)
	}
	return nil
}

// segments returns the path's segments as routes have them.
func (x *Exchange) segments() ([]string, *cloud.Error) {
	if x.Service.S3Rules {
		x.request = unhoist(x.request)
		return splitS3Path(x.Service, x.request)
	}
	return splitPath(x.request.URL)
}

// splitPath returns the unescaped segments of a URL's path. An escaped slash stays inside its segment; a slash at the end counts
// for nothing.
func splitPath(u *url.URL) ([]string, *cloud.Error) {
	path := strings.TrimSuffix(strings.TrimPrefix(u.EscapedPath(), "/"), "/")
	segments := strings.Split(path, "/")
	for i, s := range segments {
		if !strings.Contains(s, "%") {
			continue
		}
		text, err := url.PathUnescape(s)
		if err != nil {
			return nil, malformed("The path is not properly URL-encoded.")
		}
		segments[i] = text
	}
	return segments, nil
}

// label returns the name in a segment "{Name}" or "{Name+}".
func label(segment string) (name string, greedy, ok bool) {
	if len(segment) < 3 || segment[0] != '{' || segment[len(segment)-1] != '}' {
		return "", false, false
	}
	name = segment[1 : len(segment)-1]
	name, greedy = strings.CutSuffix(name, "+")
	return name, greedy, true
}

// fit returns how well a request fits the route: the number of literal parts, or -1 when it does not.
func (rt *Route) fit(r *http.Request, path []string, query url.Values) int {
	if rt.Method != r.Method || len(path) < len(rt.Segments) {
		return -1
	}
	extra, literal := len(path)-len(rt.Segments), 0
	at := 0
	for _, s := range rt.Segments {
		_, greedy, isLabel := label(s)
		switch {
		case greedy:
			at += extra
			extra = 0
		case !isLabel && path[at] != s:
			return -1
		case isLabel && path[at] == "":
			return -1
		case !isLabel:
			literal++
		}
		at++
	}
	if at != len(path) {
		return -1
	}
	for _, q := range rt.Query {
		name, value, hasValue := strings.Cut(q, "=")
		given, present := query[name]
		if !present || (hasValue && (len(given) == 0 || given[0] != value)) {
			return -1
		}
		literal++
	}
	for _, name := range rt.Headers {
		if len(r.Header.Values(name)) == 0 {
			return -1
		}
		literal++
	}
	return literal
}

// labels calls use with each label of the route and what the path has for it.
func (rt *Route) labels(path []string, use func(name, value string) error) error {
	extra, at := len(path)-len(rt.Segments), 0
	for _, s := range rt.Segments {
		name, greedy, isLabel := label(s)
		n := 1
		if greedy {
			n += extra
		}
		if isLabel {
			if err := use(name, strings.Join(path[at:at+n], "/")); err != nil {
				return err
			}
		}
		at += n
	}
	return nil
}
