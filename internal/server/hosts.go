package server

import (
	"net"
	"net/http"
	"slices"
	"strings"

	"croft/internal/cloud"
	"croft/internal/service"
	"croft/internal/wire"
)

// HostPrefixes returns what SDKs put right before the endpoint's name, for some operations of some services: the trait endpoint.hostPrefix
// of botocore's models, where it ends in a dash. Those that end in a dot make names below the endpoint's, which need no list.
// "streaming-" is what logs had until April 2026.
func HostPrefixes() []string {
	return []string{
		"analytics-", "control-storage-", "data-", "query-", "runtime-", "storage-", "stream-", "streaming-", "sync-", "tags-", "workflows-",
	}
}

// withoutPrefix returns host without what SDKs may have put before it.
func withoutPrefix(host string) string {
	for _, p := range HostPrefixes() {
		if rest, ok := strings.CutPrefix(host, p); ok && rest != "" {
			return rest
		}
	}
	return host
}

// knownHost reports whether the cloud is served under host. No other name may be, whoever resolves it to this machine: names below
// localhost never leave it, AWS's own resolve to this machine only where somebody forges them, against whom guardBrowser and guardControl
// go further, and a name with one of SDKs' prefixes before localhost or an address is one that no DNS has.
func (s *Server) knownHost(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") || redirected(host) {
		return true
	}
	bare := withoutPrefix(host)
	if ip := net.ParseIP(bare); ip != nil {
		return ip.IsLoopback()
	}
	if bare == "localhost" {
		return true
	}
	return slices.ContainsFunc(s.Hosts, func(h string) bool { return bare == h || strings.HasSuffix(host, "."+h) })
}

// aliases are the names that services have in hosts beside their endpoints' own. Sources: SQS Developer Guide, "Amazon SQS endpoints
// and quotas", legacy endpoints; DynamoDB Developer Guide, account-based endpoints.
func aliases() map[string]string { return map[string]string{"queue": "sqs", "ddb": "dynamodb"} }

// ofHost returns the service that a host names: SERVICE.anything, BUCKET.s3.anything, REGION.queue.amazonaws.com,
// ACCOUNT.ddb.REGION.anything. named says that the host names a service, which may be one that is not there.
func (x index) ofHost(host string) (d *service.Descriptor, named string) {
	labels := strings.Split(host, ".")
	if len(labels) < 2 {
		return nil, ""
	}
	// A bucket may have the name of a service.
	for i := range x.inHosts {
		if _, ok := wire.BucketOfHost(x.inHosts[i].API, host); ok {
			return &x.inHosts[i], x.inHosts[i].API.EndpointPrefix
		}
	}
	first := serviceLabel(labels[0])
	if d, known := x.byHost[first]; known {
		return &d, first
	}
	if second := labels[1]; aliases()[second] != "" {
		if d, known := x.byHost[second]; known {
			return &d, second
		}
	}
	if cloud.IsAWSHost(host) {
		return nil, first
	}
	return nil, ""
}

// serviceLabel returns a host's first label without what may stand around a service's name in it.
func serviceLabel(label string) string { return strings.TrimSuffix(withoutPrefix(label), "-fips") }

// unknownService refuses a request for a service that is not there, and names what it asked for.
func unknownService(name string, r *http.Request) *cloud.Error {
	what := ""
	if _, operation, ok := cutLast(r.Header.Get("X-Amz-Target"), "."); ok && operation != "" && len(operation) <= 128 {
		what = ", to which " + operation + " belongs"
	}
	return cloud.Errorf("NotImplemented", "croft does not implement the service %q%s. Nothing was sent to AWS.", name, what).WithStatus(http.StatusNotImplemented)
}
