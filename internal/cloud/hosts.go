package cloud

import "strings"

// awsSuffixes are the names below which AWS serves its APIs, of all partitions. Sources: partitions.json and endpoints.json of botocore
// (dnsSuffix and dualStackDnsSuffix); on.aws for function URLs and dual-stack registries; amazoncognito.com for the hosted
// pages and token endpoints of Cognito.
func awsSuffixes() [16]string {
	return [...]string{
		"amazonaws.com", "amazonaws.com.cn", "amazonaws.eu",
		"api.aws", "on.aws", "api.amazonwebservices.com.cn", "api.amazonwebservices.eu",
		"amazoncognito.com",
		"c2s.ic.gov", "api.aws.ic.gov", "sc2s.sgov.gov", "api.aws.scloud", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk",
		"csp.hci.ic.gov", "api.aws.hci.ic.gov",
	}
}

// AWSSuffixes returns the domains below which AWS serves its APIs, without a leading dot.
func AWSSuffixes() []string {
	all := awsSuffixes()
	return all[:]
}

// IsAWSHost reports whether host, a name without a port, is one under which AWS serves its APIs. Case and a trailing dot do not matter.
func IsAWSHost(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	for _, suffix := range awsSuffixes() {
		if rest, ok := strings.CutSuffix(host, suffix); ok && (rest == "" || strings.HasSuffix(rest, ".")) {
			return true
		}
	}
	return false
}

// ProxiedName is a name of the cloud that nothing resolves: it leads there through the proxy of croft exec alone. Endpoints of services whose
// SDKs put a prefix before the host ("sync-" for StartSyncExecution) have it, since "sync-127.0.0.1" leads nowhere.
const ProxiedName = "croft.internal"

// IsProxiedName reports whether host, a name without a port, is ProxiedName, alone or after a prefix.
func IsProxiedName(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	rest, ok := strings.CutSuffix(host, ProxiedName)
	return ok && (rest == "" || strings.HasSuffix(rest, "-") || strings.HasSuffix(rest, "."))
}
