package lambda_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	api "croft/internal/awsapi/lambda"
	"croft/internal/blobref"
	"croft/internal/service"
)

func (w *world) front(t *testing.T, label string) *service.Front {
	t.Helper()
	d, _ := w.Dispatcher.Service("lambda")
	for _, f := range d.Fronts {
		if f.Label == label {
			return f
		}
	}
	t.Fatalf("there is no front door %s", label)
	return nil
}

// fetch asks the front door for a location, as a client that was given it does.
func (w *world) fetch(t *testing.T, method, location string) (status int, body string) {
	t.Helper()
	u, err := url.Parse(location)
	if err != nil {
		t.Fatal(err)
	}
	token, _, _ := strings.Cut(strings.TrimPrefix(u.Path, "/_aws/lambda-code/"), "/")
	r := httptest.NewRequestWithContext(w.Context(), method, location, nil)
	answer := httptest.NewRecorder()
	w.front(t, "lambda-code").Serve(answer, r, token)
	b, err := io.ReadAll(answer.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.Code, string(b)
}

func (w *world) layer(t *testing.T, name string, zip []byte) *api.PublishLayerVersionOutput {
	t.Helper()
	out, err := w.client.PublishLayerVersion(w.Context(), &api.PublishLayerVersionInput{LayerName: name, Content: &api.LayerVersionContentInput{ZipFile: zip}})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestLayerDownload(t *testing.T) {
	w := newWorld(t)
	zip := zipOf(t, "python/m.py", "x = 1")
	at := *w.layer(t, "l", zip).Content.Location
	if status, body := w.fetch(t, http.MethodGet, at); status != 200 || body != string(zip) {
		t.Errorf("%d, %d bytes", status, len(body))
	}
	if status, _ := w.fetch(t, http.MethodPost, at); status != http.StatusMethodNotAllowed {
		t.Errorf("a post: %d", status)
	}
	for _, wrong := range []string{
		strings.Replace(at, ".", "A.", 1), "http://x/_aws/lambda-code/x/l.zip", "http://x/_aws/lambda-code/x.y/l.zip",
		"http://x/_aws/lambda-code/" + strings.Repeat("a", 2000) + "/l.zip",
	} {
		if status, _ := w.fetch(t, http.MethodGet, wrong); status != http.StatusForbidden {
			t.Errorf("%.80s: %d", wrong, status)
		}
	}
	w.Advance(10*time.Minute + time.Second)
	if status, _ := w.fetch(t, http.MethodGet, at); status != http.StatusForbidden {
		t.Errorf("after its time: %d", status)
	}
}

func TestLayerBodies(t *testing.T) {
	w := newWorld(t)
	w.layer(t, "l", zipOf(t, "m.py", "x = 1"))
	second := w.layer(t, "l", zipOf(t, "m.py", "x = 2"))
	w.bodies(t, "two versions", 2)
	if _, err := w.client.DeleteLayerVersion(w.Context(), &api.DeleteLayerVersionInput{LayerName: "l", VersionNumber: 1}); err != nil {
		t.Fatal(err)
	}
	w.later(t, blobref.Linger)
	w.bodies(t, "one is deleted", 1)
	out, err := w.client.GetLayerVersion(w.Context(), &api.GetLayerVersionInput{LayerName: "l", VersionNumber: 2})
	if err != nil || *out.Content.CodeSha256 != *second.Content.CodeSha256 {
		t.Errorf("%+v, %v", out, err)
	}
}
