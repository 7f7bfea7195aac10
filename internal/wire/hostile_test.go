package wire

import (
	"net/http/httptest"
	"strings"
	"testing"

	"croft/internal/cloud"
)

// TestManyThingsMissing takes a moment. It would take minutes if each member that is there were looked for among all that are missing.
func TestManyThingsMissing(t *testing.T) {
	const n = 100_000
	body := `{"Things":[` + strings.Repeat(`{},`, n) + `{"Name":"a"}]}`
	_, _, err := echo(t, thingService(AWSJSON), []byte(body))
	if err == nil || !strings.HasPrefix(err.Error(), "ValidationException: 10 validation errors detected: ") || len(err.Error()) > 10_000 {
		t.Errorf("%.200s", err)
	}
}

// TestTypeIsWrittenOnce has a service that sets the member that the protocol sets otherwise.
func TestTypeIsWrittenOnce(t *testing.T) {
	svc := thingService(RESTJSON)
	svc.Schema.Shapes = append(svc.Schema.Shapes, Shape{Name: "Bad", Kind: Structure, Error: &ErrorTrait{Code: "Bad", Status: 400}, Members: []Member{
		{Name: "Type", Wire: "Type", Shape: stringRef}, {Name: "message", Wire: "message", Shape: stringRef},
	}})
	svc.Errors = append(svc.Errors, Ref(len(svc.Schema.Shapes)-1))
	x, err := Match(svc, httptest.NewRequest("POST", "/echo", nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, fields := range []map[string]any{nil, {"Type": "User"}} {
		w := httptest.NewRecorder()
		x.EncodeError(w, "id", &cloud.Error{Code: "Bad", Message: "m", Status: 400, Fields: fields})
		if n := strings.Count(w.Body.String(), `"Type":"User"`); n != 1 {
			t.Errorf("%s", w.Body)
		}
	}
}
