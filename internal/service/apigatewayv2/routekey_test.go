package apigatewayv2

import (
	"maps"
	"strings"
	"testing"
)

func liveOf(t testing.TB, keys ...string) *liveAPI {
	t.Helper()
	a := &apiRow{ID: "x"}
	for _, k := range keys {
		if _, err := a.addRoute(routeSpec{key: k}); err != nil {
			t.Fatalf("%s: %v", k, err)
		}
	}
	stored := mustJSON(t, a)
	live, err := newLive(stored)
	if err != nil {
		t.Fatal(err)
	}
	return live
}

// The first five are the example in the Developer Guide.
func TestRouteSelection(t *testing.T) {
	live := liveOf(t, "$default", "ANY /{proxy+}", "GET /pets/{proxy+}", "GET /pets/dog/{id}", "GET /pets/dog/1",
		"ANY /orders", "POST /orders", "GET /", "GET /{a}/x/{b}", "GET /pets/{kind}/food")
	for _, c := range []struct {
		request, want string
		values        map[string]string
	}{
		{"GET /pets/dog/1", "GET /pets/dog/1", nil},
		{"GET /pets/dog/2", "GET /pets/dog/{id}", map[string]string{"id": "2"}},
		{"GET /pets/cat/1", "GET /pets/{proxy+}", map[string]string{"proxy": "cat/1"}},
		{"POST /test/5", "ANY /{proxy+}", map[string]string{"proxy": "test/5"}},
		{"GET /", "GET /", nil},
		{"POST /", "ANY /{proxy+}", map[string]string{"proxy": ""}},
		{"POST /orders", "POST /orders", nil},
		{"PUT /orders", "ANY /orders", nil},
		{"GET /orders/", "ANY /{proxy+}", map[string]string{"proxy": "orders/"}},
		{"GET /1/x/2", "GET /{a}/x/{b}", map[string]string{"a": "1", "b": "2"}},
		{"GET /pets/dog/food", "GET /pets/dog/{id}", map[string]string{"id": "food"}},
		{"GET /pets/cat/food", "GET /pets/{kind}/food", map[string]string{"kind": "cat"}},
		{"GET /pets/", "GET /pets/{proxy+}", map[string]string{"proxy": ""}},
	} {
		method, path, _ := strings.Cut(c.request, " ")
		r, values := live.route(method, path)
		if r == nil || r.row.Key != c.want || !maps.Equal(values, c.values) {
			t.Errorf("%s: got %+v with %v, want %s with %v", c.request, r, values, c.want, c.values)
		}
	}
	if r, _ := liveOf(t, "GET /a", "GET /b/{c}").route("GET", "/b/"); r != nil {
		t.Errorf("an empty segment is taken for a value: %+v", r)
	}
	if r, _ := liveOf(t, "$default", "GET /a").route("PUT", "/a"); r == nil || r.row.Key != "$default" {
		t.Errorf("got %+v", r)
	}
}

func TestRouteKeysAreChecked(t *testing.T) {
	for _, key := range []string{
		"", "GET", "GET a", "get /a", "FOO /a", "GET /a/", "GET //a", "GET /{a", "GET /a}", "GET /{}", "GET /{+}", "GET /{a+}/b",
		"GET /{a}/{a}", "GET /a b", "GET  /a", "$disconnect", "GET /x{a}",
	} {
		if _, err := parseRouteKey(key); err == nil {
			t.Errorf("%q is accepted", key)
		}
	}
}

// FuzzRouteKey checks that no key and no path do harm, and that a route without variables matches its own path.
func FuzzRouteKey(f *testing.F) {
	f.Add("GET /a/{b}/{c+}", "/a/b/c/d")
	f.Add("ANY /", "/")
	f.Fuzz(func(t *testing.T, key, path string) {
		k, err := parseRouteKey(key)
		if err != nil {
			return
		}
		k.match(strings.Split(strings.TrimPrefix(path, "/"), "/"))
		if k.method == "" || strings.Contains(k.path, "{") {
			return
		}
		if _, ok := k.match(strings.Split(k.path[1:], "/")); !ok {
			t.Errorf("%q does not match its own path", key)
		}
	})
}
