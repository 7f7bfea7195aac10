package dynamodb

import (
	"bytes"
	"testing"
)

// FuzzKeyPart checks that key attributes keep their order behind one another, that none is the beginning of another, and that what begins
// with a value is found by its beginning.
func FuzzKeyPart(f *testing.F) {
	f.Add([]byte("a"), []byte("a\x00"), []byte("b"))
	f.Add([]byte{0}, []byte{0, 0xff}, []byte{})
	f.Add([]byte{}, []byte{1}, []byte{0, 1})
	f.Fuzz(func(t *testing.T, a, b, next []byte) {
		first, second := appendPart(appendPart(nil, a), next), appendPart(appendPart(nil, b), next)
		if got, want := bytes.Compare(first, second), bytes.Compare(a, b); got != want {
			t.Errorf("%q and %q compare as %d, their keys as %d", a, b, want, got)
		}
		if !bytes.Equal(a, b) && bytes.HasPrefix(appendPart(nil, b), appendPart(nil, a)) {
			t.Errorf("the key of %q begins with that of %q", b, a)
		}
		if got, want := bytes.HasPrefix(second, appendEscaped(nil, a)), bytes.HasPrefix(b, a); got != want {
			t.Errorf("%q begins with %q: %v, found by it: %v", b, a, want, got)
		}
	})
}
