package wire

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"croft/internal/cloud"
)

// maxParams bounds the parameters of one form.
const maxParams = 20000

// param is one parameter of a form.
type param struct{ key, value string }

// form is a form's parameters in the order of their keys, so that those below a prefix lie together.
type form []param

// readForm reads the parameters of a request's URL and, unless it is a GET, of its body.
func readForm(r *http.Request, body []byte) (form, *cloud.Error) {
	f, cerr := parseForm(nil, r.URL.RawQuery)
	if cerr == nil && r.Method != http.MethodGet {
		f, cerr = parseForm(f, string(body))
	}
	if cerr != nil {
		return nil, cerr
	}
	slices.SortStableFunc(f, func(a, b param) int { return strings.Compare(a.key, b.key) })
	for i := 1; i < len(f); i++ {
		if f[i].key == f[i-1].key {
			return nil, malformed("The parameter %s is given more than once.", short(f[i].key))
		}
	}
	return f, nil
}

func malformed(format string, args ...any) *cloud.Error {
	return cloud.Errorf("MalformedQueryString", format, args...)
}

func parseForm(f form, text string) (form, *cloud.Error) {
	for text != "" {
		var part string
		part, text, _ = strings.Cut(text, "&")
		if part == "" {
			continue
		}
		if len(f) >= maxParams {
			return nil, malformed("The request has more than %d parameters.", maxParams)
		}
		k, v, _ := strings.Cut(part, "=")
		key, err1 := url.QueryUnescape(k)
		value, err2 := url.QueryUnescape(v)
		if err1 != nil || err2 != nil {
			return nil, malformed("The parameter %s is not properly URL-encoded.", short(k))
		}
		f = append(f, param{key, value})
	}
	return f, nil
}

// get returns the value of the parameter called key.
func (f form) get(key string) (string, bool) {
	i, ok := slices.BinarySearchFunc(f, key, func(p param, k string) int { return strings.Compare(p.key, k) })
	if !ok {
		return "", false
	}
	return f[i].value, true
}

// below returns the parameters whose keys begin with prefix.
func (f form) below(prefix string) form {
	start, _ := slices.BinarySearchFunc(f, prefix, func(p param, k string) int { return strings.Compare(p.key, k) })
	end := start
	for end < len(f) && strings.HasPrefix(f[end].key, prefix) {
		end++
	}
	return f[start:end]
}

// has reports whether there is a parameter called name or one below it.
func (f form) has(name string) bool {
	if _, ok := f.get(name); ok {
		return true
	}
	return f.hasBelow(name + ".")
}

func (f form) hasBelow(prefix string) bool {
	i, _ := slices.BinarySearchFunc(f, prefix, func(p param, k string) int { return strings.Compare(p.key, k) })
	return i < len(f) && strings.HasPrefix(f[i].key, prefix)
}

// indexes returns the numbers that follow prefix, in order: the elements of a list that starts there. Clients may leave gaps.
func (f form) indexes(prefix string) []int {
	var out []int
	for _, p := range f.below(prefix) {
		digits, _, _ := strings.Cut(p.key[len(prefix):], ".")
		n, err := strconv.Atoi(digits)
		if err != nil || n < 0 || strconv.Itoa(n) != digits {
			continue
		}
		if len(out) == 0 || out[len(out)-1] != n {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
