package s3

import (
	"strings"
	"testing"

	"croft/internal/kv"
)

func TestNames(t *testing.T) {
	for name, want := range map[string]bool{
		"abc": true, "a.b": true, "1-2": true, "my.bucket-1": true, strings.Repeat("a", 63): true, "1.2.3": true, "1.2.3.x": true, "a-.b": true,
		"": false, "ab": false, strings.Repeat("a", 64): false, "Abc": false, "a_b": false, "a b": false, "äbc": false, "-ab": false, "ab-": false,
		".ab": false, "ab.": false, "a..b": false, "192.168.5.4": false, "999.999.999.999": false, "xn--a": false, "sthree-a": false, "amzn-s3-demo-a": false,
		"a-s3alias": false, "a--ol-s3": false, "a.mrap": false, "a--use1-az1--x-s3": false, "a--table-s3": false, "a/b": false, "a\x00b": false,
	} {
		if validName(name) != want {
			t.Errorf("validName(%q) = %v", name, !want)
		}
	}
	for name, want := range map[string]bool{"A_b": true, "a": true, strings.Repeat("a", 255): true, strings.Repeat("a", 256): false, "": false, "a b": false, "a/b": false, "ä": false, "@[": false} {
		if askableName(name) != want {
			t.Errorf("askableName(%q) = %v", name, !want)
		}
	}
}

func TestHosts(t *testing.T) {
	for endpoint, want := range map[string]string{
		"http://127.0.0.1:4566":                      "b.s3.eu-west-1.localhost:4566",
		"http://[::1]:4566":                          "b.s3.eu-west-1.localhost:4566",
		"http://localhost":                           "b.s3.eu-west-1.localhost",
		"http://x.s3.us-east-1.localhost:4566":       "b.s3.eu-west-1.localhost:4566",
		"https://s3.amazonaws.com":                   "b.s3.eu-west-1.amazonaws.com",
		"http://cloud.example.com:80":                "b.s3.cloud.example.com:80",
		"http://s3.cloud.example.com":                "b.s3.cloud.example.com",
		"http://other.bucket.s3.cloud.example.com:1": "b.s3.cloud.example.com:1",
		"": "b.s3.eu-west-1.localhost",
	} {
		if got := host(endpoint, "b", "eu-west-1"); got != want {
			t.Errorf("host(%q) = %q, want %q", endpoint, got, want)
		}
	}
}

// FuzzNames checks that a name that is taken can be part of a host, and that its keys hold nothing else.
func FuzzNames(f *testing.F) {
	f.Add("a.b-c", "a")
	f.Add("192.168.5.4", "\xff")
	f.Fuzz(func(t *testing.T, name, prefix string) {
		if validName(name) && (!askableName(name) || strings.ToLower(name) != name || strings.ContainsAny(name, "/:@ \x00")) {
			t.Fatalf("%q is valid", name)
		}
		in := ownedRange("1", prefix, "").Contains(ownedKey("1", name))
		if in != strings.HasPrefix(name, prefix) {
			t.Fatalf("%q below %q: %v", name, prefix, in)
		}
		if after := ownedRange("1", prefix, name); name != "" && after.Contains(ownedKey("1", name)) && kv.PrefixRange(ownedKey("1", prefix)).Contains(ownedKey("1", name)) {
			t.Fatalf("%q follows itself below %q", name, prefix)
		}
	})
}
