package server

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestSettingsAreCompared is about bodies that are read at once, such as the tags of a bucket.
func TestSettingsAreCompared(t *testing.T) {
	const body = "<Tagging/>"
	for _, c := range []struct{ name, path, header, value, want string }{
		{"nothing is said", "/b?tagging", "X-Other", "x", ""},
		{"its MD5", "/b?tagging", "Content-Md5", "5MKq9Afjj8VFAV5vB64atA==", ""},
		{"another's MD5", "/b?tagging", "Content-Md5", "XUFAKrxLKna5cZ2REBfFkg==", "BadDigest"},
		{"no MD5", "/b?tagging", "Content-Md5", "XUFA", "InvalidDigest"},
		{"its CRC32", "/b?tagging", "X-Amz-Checksum-Crc32", "KGSaeQ==", ""},
		{"another's CRC32", "/b?tagging", "X-Amz-Checksum-Crc32", "AAAAAA==", "BadDigest"},
		{"of the object that an upload makes", "/b/k?uploadId=1", "X-Amz-Checksum-Crc32", "AAAAAA==", ""},
		{"one that is not computed", "/b?tagging", "X-Amz-Checksum-Xxhash64", "AAAAAA==", "NotImplemented"},
		{"the algorithm is no digest", "/b?tagging", "X-Amz-Checksum-Algorithm", "CRC32", ""},
	} {
		r := httptest.NewRequest(http.MethodPut, c.path, strings.NewReader(body))
		r.Header.Set(c.header, c.value)
		got := ""
		if err := checkDigests(r, []byte(body)); err != nil {
			got = err.Code
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
