package apigatewayv2

import (
	"encoding/json"
	"testing"
)

func mustJSON(t testing.TB, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// FuzzImport checks that no definition does harm.
func FuzzImport(f *testing.F) {
	f.Add(`{"openapi":"3.0.1","info":{"title":"t"},"paths":{"/a":{"get":{"x-amazon-apigateway-integration":{"type":"aws_proxy"}}}}}`)
	f.Fuzz(func(t *testing.T, text string) {
		a := &apiRow{ID: "x"}
		if a.importDocument(text) != nil {
			return
		}
		if _, err := newLive(mustJSON(t, a)); err != nil {
			t.Errorf("what was imported cannot be served: %v", err)
		}
	})
}
