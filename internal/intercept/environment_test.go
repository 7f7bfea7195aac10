package intercept

import (
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"croft/internal/clock"
	"software.sslmate.com/src/go-pkcs12"
)

func TestEntriesThatWouldLetAWSPast(t *testing.T) {
	for entry, want := range map[string]bool{
		"*": true, ".amazonaws.com": true, "*.amazonaws.com": true, "s3.amazonaws.com:443": true, "com": true, ".com": true, "aws": true, "aws.com": true,
		"169.254.169.254": true, "169.254.0.0/16": true, "0.0.0.0/0": true, "::/0": true, "fd00::/8": true, "AmazonAWS.com.": true, "uk": true,
		"localhost": false, "10.0.0.0/8": false, "corp.example": false, ".corp.example": false, "example.com": false, "intranet": false, "10.1.2.3": false,
	} {
		if exempts(entry) != want {
			t.Errorf("%q: %v", entry, !want)
		}
	}
}

func TestEnvironmentOfTheTool(t *testing.T) {
	w := newWorld(t, echo)
	own := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: newTestRoot(t)})
	before := filepath.Join(t.TempDir(), "own.pem")
	if err := os.WriteFile(before, own, 0o600); err != nil {
		t.Fatal(err)
	}
	env := environment{
		"PATH=/bin", "NO_PROXY=corp.example,*.amazonaws.com,.com", "https_proxy=http://old:1", "HTTP_PROXY=http://old:1", "NODE_OPTIONS=--max-old-space-size=9",
		"JAVA_TOOL_OPTIONS=-Dx=y", "AWS_CA_BUNDLE=" + before, "NODE_EXTRA_CA_CERTS=" + before, "SSL_CERT_FILE=/nowhere", "AWS_ENDPOINT_URL=http://127.0.0.1:4566",
	}
	m, err := w.write(env)
	if err != nil {
		t.Fatal(err)
	}
	got := w.prepare(env, m)
	for name, want := range map[string]string{
		"PATH": "/bin", "NO_PROXY": "localhost,127.0.0.1,::1,corp.example", "no_proxy": "localhost,127.0.0.1,::1,corp.example",
		"HTTPS_PROXY": w.URL(), "https_proxy": w.URL(), "HTTP_PROXY": w.URL(), "http_proxy": w.URL(),
		"AWS_CA_BUNDLE": m.bundle, "SSL_CERT_FILE": m.bundle, "NODE_EXTRA_CA_CERTS": m.extra, "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
		"NODE_OPTIONS": `--require "` + m.shim + `" --max-old-space-size=9`, "AWS_ENDPOINT_URL_SFN": "http://croft.internal",
	} {
		if v := got.get(name); v != want {
			t.Errorf("%s=%q, want %q", name, v, want)
		}
	}
	if j := got.get("JAVA_TOOL_OPTIONS"); !strings.HasPrefix(j, "-Dx=y -Dhttp.proxyHost=127.0.0.1 ") || strings.Contains(j, w.token) {
		t.Errorf("JAVA_TOOL_OPTIONS=%s", j)
	}
	seen := map[string]bool{}
	for _, kv := range got {
		name, _, _ := strings.Cut(kv, "=")
		if seen[name] {
			t.Errorf("%s twice", name)
		}
		seen[name] = true
	}
	checkFiles(t, w, m, own)
}

func newTestRoot(t *testing.T) []byte {
	a, err := newAuthority(clock.Real(), "croft exec", validFor)
	if err != nil {
		t.Fatal(err)
	}
	return a.root.Raw
}

// checkFiles checks that the files are for their owner alone, trust what they should, hold no key, and go away.
func checkFiles(t *testing.T, w *world, m *material, own []byte) {
	t.Helper()
	if info, err := os.Stat(m.dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder: %v %v", info.Mode(), err)
	}
	for _, path := range []string{m.bundle, m.extra, m.store, m.shim} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", path, info.Mode(), err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "PRIVATE KEY") {
			t.Errorf("%s holds a key", path)
		}
		switch path {
		case m.bundle, m.extra:
			if !strings.Contains(string(text), string(w.Certificate())) || !strings.Contains(string(text), string(own)) {
				t.Errorf("%s lacks a certificate", path)
			}
		case m.store:
			certs, err := pkcs12.DecodeTrustStore(text, storePassword)
			if err != nil || !slices.ContainsFunc(certs, func(c *x509.Certificate) bool { return c.Equal(w.ca.root) }) {
				t.Errorf("the store: %d certificates, %v", len(certs), err)
			}
		}
	}
	if err := m.remove(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(m.dir); !os.IsNotExist(err) {
		t.Errorf("the folder is still there: %v", err)
	}
}

// TestTheUsersOwnProxyIsUsedForOthers has a proxy outside that wants credentials.
func TestTheUsersOwnProxyIsUsedForOthers(t *testing.T) {
	other := httptest.NewTLSServer(http.HandlerFunc(echo))
	defer other.Close()
	far := newWorld(t, echo)
	far.outside.hosts["example.com:443"] = other.Listener.Addr().String()
	far.outside.hosts["plain.example:80"] = "127.0.0.1:1"
	env := environment{"https_proxy=" + far.URL(), "http_proxy=" + far.URL(), "no_proxy=direct.example"}
	near := newWorld(t, echo, func(c *Config) { c.Upstream = env.upstream() })
	near.outside.hosts[far.Addr()] = far.Addr()
	near.client.Transport.(*http.Transport).TLSClientConfig = other.Client().Transport.(*http.Transport).TLSClientConfig
	if status, body := near.get(t, "https://example.com/x"); status != 200 || body != "GET example.com /x auth= " {
		t.Errorf("%d %s", status, body)
	}
	if _, body := near.get(t, "https://unknown.example/"); !strings.Contains(body, "Bad Gateway") {
		t.Errorf("a host that the far proxy does not reach: %s", body)
	}
	near.get(t, "http://plain.example/")
	near.get(t, "https://direct.example/")
	near.get(t, "https://sqs.us-east-1.amazonaws.com/")
	if got, want := far.outside.calls(), []string{"example.com:443", "unknown.example:443", "plain.example:80"}; !slices.Equal(got, want) {
		t.Errorf("through the far proxy: %q, want %q", got, want)
	}
	if got := near.outside.calls(); !slices.Contains(got, "direct.example:443") || slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, "amazonaws") }) {
		t.Errorf("from the near proxy: %q", got)
	}
}

func TestAnUpstreamOfAnUnknownKind(t *testing.T) {
	w := newWorld(t, echo, func(c *Config) {
		c.Upstream = func(*url.URL) (*url.URL, error) { return url.Parse("gopher://x:1") }
	})
	if _, body := w.get(t, "https://example.com/"); !strings.Contains(body, "Bad Gateway") {
		t.Error(body)
	}
}
