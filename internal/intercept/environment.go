package intercept

import (
	"net"
	"net/netip"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpproxy"

	"croft/internal/cloud"
)

// environment is a list of NAME=value, as processes have it. The last of a name counts.
type environment []string

func (e environment) get(name string) string {
	for i := len(e) - 1; i >= 0; i-- {
		if n, v, ok := strings.Cut(e[i], "="); ok && n == name {
			return v
		}
	}
	return ""
}

// first returns the first of the variables that has a value.
func (e environment) first(names ...string) string {
	for _, n := range names {
		if v := e.get(n); v != "" {
			return v
		}
	}
	return ""
}

// with returns e with set in place of what e has under the same names.
func (e environment) with(set map[string]string, order []string) environment {
	out := make(environment, 0, len(e)+len(set))
	for _, kv := range e {
		name, _, _ := strings.Cut(kv, "=")
		if _, replaced := set[name]; !replaced {
			out = append(out, kv)
		}
	}
	for _, name := range order {
		out = append(out, name+"="+set[name])
	}
	return out
}

// upstream returns what the environment says about proxies.
func (e environment) upstream() func(*url.URL) (*url.URL, error) {
	c := httpproxy.Config{
		HTTPProxy:  e.first("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"),
		HTTPSProxy: e.first("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"),
		NoProxy:    e.first("no_proxy", "NO_PROXY"),
	}
	return c.ProxyFunc()
}

// prepare returns e with what leads the tool to the proxy.
func (p *Proxy) prepare(e environment, m *material) environment {
	set, order := map[string]string{}, []string(nil)
	put := func(value string, names ...string) {
		for _, n := range names {
			set[n] = value
			order = append(order, n)
		}
	}
	put(p.URL(), "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")
	put(p.direct(e.first("no_proxy", "NO_PROXY")), "NO_PROXY", "no_proxy")
	put(m.bundle, "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "DENO_CERT")
	put(m.extra, "NODE_EXTRA_CA_CERTS")
	if e.get("NIX_SSL_CERT_FILE") != "" {
		put(m.bundle, "NIX_SSL_CERT_FILE") // goes before SSL_CERT_FILE in programs built by Nix
	}
	if e.get("AWS_ENDPOINT_URL") != "" {
		put("http://"+cloud.ProxiedName, "AWS_ENDPOINT_URL_SFN", "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS")
	}
	put(join(`--require "`+strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(m.shim)+`"`, e.get("NODE_OPTIONS")), "NODE_OPTIONS")
	put(join(e.get("JAVA_TOOL_OPTIONS"), p.java(m)), "JAVA_TOOL_OPTIONS")
	return e.with(set, order)
}

func join(a, b string) string { return strings.TrimSpace(a + " " + b) }

// java returns the options that Java's own clients take a proxy and a trust store from. There is no token among them: Java prints them.
func (p *Proxy) java(m *material) string {
	host, port, _ := net.SplitHostPort(p.Addr()) // our own address has both
	return strings.Join([]string{
		"-Dhttp.proxyHost=" + host, "-Dhttp.proxyPort=" + port, "-Dhttps.proxyHost=" + host, "-Dhttps.proxyPort=" + port,
		`"-Dhttp.nonProxyHosts=localhost|127.*|[::1]"`,
		`"-Djavax.net.ssl.trustStore=` + m.store + `"`, "-Djavax.net.ssl.trustStoreType=PKCS12", "-Djavax.net.ssl.trustStorePassword=" + storePassword,
	}, " ")
}

// direct returns the hosts that tools reach without the proxy: this machine, and what the user listed, but for what would let AWS or
// metadata addresses past the proxy.
func (p *Proxy) direct(users string) string {
	list := []string{"localhost", "127.0.0.1", "::1"}
	if h := p.route.host; h != "localhost" && net.ParseIP(h) == nil {
		list = append(list, h)
	}
	for _, entry := range strings.FieldsFunc(users, func(r rune) bool { return r == ',' || r == ' ' }) {
		if !exempts(entry) {
			list = append(list, entry)
		}
	}
	return strings.Join(list, ",")
}

// exempts reports whether an entry of NO_PROXY holds for a host of AWS or a metadata address, in the reading of any tool.
func exempts(entry string) bool {
	if prefix, err := netip.ParsePrefix(entry); err == nil {
		metadata := netip.MustParsePrefix("169.254.0.0/16")
		return prefix.Overlaps(metadata) || prefix.Overlaps(netip.MustParsePrefix("fe80::/10")) || prefix.Overlaps(netip.MustParsePrefix("fd00:ec2::/32"))
	}
	name := normal(strings.TrimLeft(entry, "*."))
	if host, _, err := net.SplitHostPort(name); err == nil {
		name = host
	}
	if name == "" || cloud.IsAWSHost(name) || isMetadata(name) {
		return true
	}
	for _, suffix := range cloud.AWSSuffixes() {
		if strings.HasSuffix(suffix, name) { // tools differ in whether "com" or "aws.com" need a dot before them
			return true
		}
	}
	return false
}
