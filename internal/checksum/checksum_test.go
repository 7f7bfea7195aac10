package checksum

import (
	"bytes"
	"encoding/base64"
	"testing"

	"pgregory.net/rapid"
)

func sum(a Algorithm, text []byte) []byte {
	h := a.New()
	h.Write(text)
	return h.Sum(nil)
}

// TestCheckValues: the CRCs of "123456789" are published with their definitions.
func TestCheckValues(t *testing.T) {
	for a, want := range map[Algorithm]string{
		CRC32: "y/Q5Jg==", CRC32C: "4waSgw==", CRC64NVME: "rosUhgp5mIg=", MD5: "JfnnlDI7RTiF9RgfG2JNCw==",
	} {
		if got := base64.StdEncoding.EncodeToString(sum(a, []byte("123456789"))); got != want {
			t.Errorf("%s: %s, want %s", a, got, want)
		}
	}
}

func TestNames(t *testing.T) {
	for _, a := range All() {
		if got, known, named := OfHeader(a.Header()); got != a || !known || !named {
			t.Errorf("%s: %s, %v, %v", a, got, known, named)
		}
		if !a.Valid(base64.StdEncoding.EncodeToString(sum(a, nil))) || a.Valid("AA==") || a.Valid("?") {
			t.Errorf("%s: its form", a)
		}
	}
	if _, known, named := OfHeader("X-Amz-Checksum-Xxhash3"); known || !named {
		t.Error("XXHASH3 is named and not known")
	}
	for _, name := range []string{"x-amz-checksum-mode", "x-amz-checksum-type", "x-amz-meta-a", ""} {
		if _, _, named := OfHeader(name); named {
			t.Errorf("%q holds no checksum", name)
		}
	}
	if _, ok := Parse("CRC16"); ok {
		t.Error("there is no CRC16")
	}
}

func TestCombine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first, second := rapid.SliceOf(rapid.Byte()).Draw(t, "first"), rapid.SliceOf(rapid.Byte()).Draw(t, "second")
		for _, a := range All() {
			if !a.Linear() {
				continue
			}
			want := sum(a, append(bytes.Clone(first), second...))
			if got := a.Combine(sum(a, first), sum(a, second), int64(len(second))); !bytes.Equal(got, want) {
				t.Fatalf("%s: %x, want %x", a, got, want)
			}
		}
	})
}
