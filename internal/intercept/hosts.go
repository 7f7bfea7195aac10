package intercept

import (
	"net"
	"net/netip"
	"net/url"
	"strings"

	"croft/internal/cloud"
)

// destination is where a connection goes.
type destination int

const (
	elsewhere destination = iota // not AWS's: tunnelled
	toCroft                      // AWS's APIs, and the cloud itself
	refused                      // AWS's, and nothing that croft could stand in for
)

// pagesOfAWS are the names, and those below them, under which people sign in to AWS. A tool that comes here is about to use a real account.
func pagesOfAWS() [7]string {
	return [...]string{
		"console.aws.amazon.com", "signin.aws.amazon.com", "signin.aws", "awsapps.com", "awsapps.cn", "amazonaws.cn", "amazonaws-us-gov.com",
	}
}

// normal returns a host name as it is compared: lower case, without a trailing dot or the brackets of an IPv6 address.
func normal(host string) string {
	return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
}

// router decides where connections go.
type router struct {
	host, port string // of the cloud's endpoint
}

func newRouter(endpoint *url.URL) router {
	port := endpoint.Port()
	if port == "" {
		port = defaultPort(endpoint.Scheme)
	}
	return router{normal(endpoint.Hostname()), port}
}

func defaultPort(scheme string) string {
	if scheme == "https" {
		return "443"
	}
	return "80"
}

// find returns where a connection to host and port goes, and if it is refused, why.
func (r router) find(host, port string) (destination, string) {
	host = normal(host)
	switch {
	case r.served(host, port):
		return toCroft, ""
	case cloud.IsAWSHost(host):
		return refused, "croft serves AWS's hosts on ports 443 and 80 only"
	case isMetadata(host):
		return refused, "tools run by croft exec have no instance metadata; the credentials are in the environment"
	}
	for _, page := range pagesOfAWS() {
		if host == page || strings.HasSuffix(host, "."+page) {
			return refused, "it belongs to the real AWS, and croft has nothing that could stand in for it"
		}
	}
	return elsewhere, ""
}

// served reports whether requests for host go to croft: AWS's names, and those of the cloud itself, also with a prefix of an SDK's.
func (r router) served(host, port string) bool {
	if cloud.IsAWSHost(host) {
		return port == "443" || port == "80"
	}
	return cloud.IsProxiedName(host) || port == r.port && (host == r.host || strings.HasSuffix(host, "-"+r.host))
}

// isMetadata reports whether host is a literal address of the kind that clouds answer metadata and credentials at.
func isMetadata(host string) bool {
	a, err := netip.ParseAddr(host)
	return err == nil && forbiddenAddr(a)
}

// forbiddenAddr reports whether a is a link-local address or one of those that EC2 uses in fd00:ec2::/32.
func forbiddenAddr(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return a.IsLinkLocalUnicast() || netip.MustParsePrefix("fd00:ec2::/32").Contains(a)
}

// splitTarget splits the host and port of a request's target.
func splitTarget(hostport, scheme string) (host, port string) {
	if h, p, err := net.SplitHostPort(hostport); err == nil {
		if p == "" {
			p = defaultPort(scheme)
		}
		return h, p
	}
	return strings.Trim(hostport, "[]"), defaultPort(scheme)
}
