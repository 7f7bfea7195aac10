package all_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"croft/internal/blob"
	"croft/internal/blob/all"
)

func TestOpen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "bodies")
	s, err := all.Open(t.Context(), dir, all.Options{Owner: "one"})
	if err != nil {
		t.Fatal(err)
	}
	ref, err := s.Put(t.Context(), strings.NewReader("x"), 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	// Another cloud would sweep away what it does not know.
	if _, err := all.Open(t.Context(), dir, all.Options{Owner: "other"}); !errors.Is(err, blob.ErrForeign) {
		t.Errorf("another owner: %v", err)
	}
	if s, err = all.Open(t.Context(), dir, all.Options{Owner: "one"}); err != nil {
		t.Fatal(err)
	}
	body, _, err := s.Open(t.Context(), ref.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(body.Close(), s.Close()); err != nil {
		t.Error(err)
	}
	for location, want := range map[string]string{"gs://bucket": `"gs"`, "s3://": "form s3://"} {
		if _, err := all.Open(t.Context(), location, all.Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", location, err)
		}
	}
}
