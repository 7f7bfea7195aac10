package s3

import (
	"encoding/base64"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"croft/internal/cloud"
)

// FuzzPostPolicy: whatever a policy says, it is refused or decides; an empty list of conditions lets no field but those of the signature in.
func FuzzPostPolicy(f *testing.F) {
	for _, s := range []string{
		`{"expiration":"2100-01-01T00:00:00Z","conditions":[]}`, `{"expiration":"2100-01-01T00:00:00Z","conditions":[{"key":"k"},["starts-with","$x",""],["content-length-range",1,"2"]]}`,
		`{"expiration":"2100-01-01T00:00:00Z","conditions":[["eq","key","k"]]}`, `{"conditions":[null,1,{}]}`, `[]`, `{"expiration":1}`,
	} {
		f.Add(s, "key", "k")
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text, field, value string) {
		p, err := parsePostPolicy(base64.StdEncoding.EncodeToString([]byte(text)))
		if err != nil {
			if cloud.Code(err) == "" {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		if p.smallest < 0 {
			t.Fatalf("%q: %d to %d", text, p.smallest, p.largest)
		}
		form := &postForm{fields: map[string]string{strings.ToLower(field): value}, order: []string{strings.ToLower(field)}}
		switch err := p.check(form, "b", now); {
		case err != nil && cloud.Code(err) != "AccessDenied":
			t.Fatal(err)
		case err == nil && len(p.conditions) == 0 && !uncovered(strings.ToLower(field)):
			t.Fatalf("%q lets %q in", text, field)
		}
	})
}

// FuzzForm: a form is refused by S3's errors or read to its file, and no field is longer than all together may be.
func FuzzForm(f *testing.F) {
	const head = "--b\r\nContent-Disposition: form-data; name=\""
	f.Add(head + "key\"\r\n\r\nk\r\n" + head + "file\"; filename=\"../x\"\r\n\r\nbody\r\n--b--\r\n")
	f.Add(head + "policy\"\r\n\r\n" + strings.Repeat("x", maxFields))
	f.Add("--b--\r\n")
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequest("POST", "/bucket", strings.NewReader(body))
		r.Header.Set("Content-Type", "multipart/form-data; boundary=b")
		form, err := readForm(r)
		if err != nil {
			if cloud.Code(err) == "" {
				t.Fatal(err)
			}
			return
		}
		for name, value := range form.fields {
			if len(name)+len(value) > maxFields {
				t.Fatalf("a field of %d bytes", len(value))
			}
		}
		if _, err := form.input("bucket"); err != nil && cloud.Code(err) == "" {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, fileReader{form.file}); err != nil && cloud.Code(err) == "" {
			t.Fatal(err)
		}
	})
}
