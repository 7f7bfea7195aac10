package s3

import (
	"strings"
	"testing"
	"time"

	"croft/internal/cloud"
)

// FuzzRange: a range that is served lies in the body and is not empty; one that is not is InvalidRange.
func FuzzRange(f *testing.F) {
	for _, s := range []string{"bytes=0-0", "bytes=-1", "bytes=1-", "bytes=5-1", "bytes=0-0,2-3", "bytes=-0", "lines=1-2", "bytes=99999999999999999999-", "bytes= 1-2 "} {
		f.Add(s, int64(10))
	}
	f.Fuzz(func(t *testing.T, header string, size int64) {
		if size < 0 {
			return
		}
		offset, n, ok, err := parseRange(header, size)
		switch {
		case err != nil && cloud.Code(err) != "InvalidRange":
			t.Fatal(err)
		case err == nil && ok && (offset < 0 || n <= 0 || offset+n > size):
			t.Fatalf("%q of %d: %d at %d", header, size, n, offset)
		case err == nil && !ok && (offset != 0 || n != size):
			t.Fatalf("%q of %d is not all: %d at %d", header, size, n, offset)
		}
	})
}

// FuzzConditions: conditions are met, or answered with one of the two refusals that there are; a star is always met.
func FuzzConditions(f *testing.F) {
	f.Add(`"a", W/"b"`, "*", int64(5))
	f.Fuzz(func(t *testing.T, match, none string, at int64) {
		o := &object{ETag: "b", Modified: time.Unix(100, 0)}
		when := time.Unix(at, 0)
		for _, c := range []readCondition{{match: &match}, {noneMatch: &none}, {match: &match, noneMatch: &none}, {modified: &when}, {unmodified: &when}, {match: &match, unmodified: &when}} {
			switch err := c.check(o); cloud.Code(err) {
			case "", "PreconditionFailed", "NotModified":
			default:
				t.Fatal(err)
			}
		}
		star := "*"
		if err := (readCondition{match: &star}).check(o); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzSource: the source of a copy has a bucket and a key, or is refused.
func FuzzSource(f *testing.F) {
	f.Add("/bucket/a%20b/c?versionId=null")
	f.Fuzz(func(t *testing.T, header string) {
		src, err := parseSource(header)
		if err == nil && (src.bucket == "" || src.key == "") {
			t.Fatalf("%q: %+v", header, src)
		}
	})
}

// FuzzPolicy: the check of policies ends with an answer, whatever they are.
func FuzzPolicy(f *testing.F) {
	f.Add(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":["*"]},"Action":"s3:*","Resource":"arn:aws:s3:::b/*"}}`)
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := checkPolicy("b", text); err != nil && cloud.Code(err) != "MalformedPolicy" {
			t.Fatal(err)
		}
	})
}

// FuzzVersionID: what is taken for a version's id is one that was made, and every one that was made is taken for its number.
func FuzzVersionID(f *testing.F) {
	f.Add("HPniJFCxqTsMuIH9KX8K8wEjNUgmABCD", uint64(1))
	f.Fuzz(func(t *testing.T, text string, number uint64) {
		made := newVersionID(number)
		if got, err := versionSeq(made); err != nil || got != number || len(made) != 32 {
			t.Fatalf("%q of %d: %d, %v", made, number, got, err)
		}
		if _, err := versionSeq(text); err != nil && cloud.Code(err) != "InvalidArgument" {
			t.Fatal(err)
		}
		if other := strings.Replace(made, made[:1], "_", 1); other != made {
			if _, err := versionSeq(other); err == nil {
				t.Fatalf("%q is no id", other)
			}
		}
	})
}
