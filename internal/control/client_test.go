package control

import "testing"

func TestParseEndpoint(t *testing.T) {
	for in, want := range map[string]string{
		"http://127.0.0.1:4566": "http://127.0.0.1:4566", "http://127.0.0.1:4566/": "http://127.0.0.1:4566", "localhost:4566": "http://localhost:4566",
		"http://[::1]:4566": "http://[::1]:4566", "": "", "http://": "", "ftp://x": "", "http://x/path": "", "http://x?q": "", "http://a b": "",
	} {
		if got, err := ParseEndpoint(in); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
}
