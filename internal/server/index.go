package server

import (
	"net/http"
	"net/url"
	"strings"

	"croft/internal/cloud"
	"croft/internal/service"
	"croft/internal/sigv4"
	"croft/internal/wire"
)

// index finds the service that a request is for.
type index struct {
	byTarget  map[string]service.Descriptor
	bySigning map[string][]service.Descriptor
	byHost    map[string]service.Descriptor
	byVersion map[string][]service.Descriptor
	// inHosts are the services whose hosts may name more than the service, as S3's name a bucket.
	inHosts []service.Descriptor
}

func newIndex(all []service.Descriptor) index {
	x := index{
		byTarget: map[string]service.Descriptor{}, bySigning: map[string][]service.Descriptor{},
		byHost: map[string]service.Descriptor{}, byVersion: map[string][]service.Descriptor{},
	}
	for _, d := range all {
		if d.API.TargetPrefix != "" {
			x.byTarget[d.API.TargetPrefix] = d
		}
		x.bySigning[d.API.SigningName] = append(x.bySigning[d.API.SigningName], d)
		x.byHost[d.API.EndpointPrefix] = d
		for alias, name := range aliases() {
			if name == d.API.Name {
				x.byHost[alias] = d
			}
		}
		x.byVersion[d.API.APIVersion] = append(x.byVersion[d.API.APIVersion], d)
		if d.API.S3Rules {
			x.inHosts = append(x.inHosts, d)
		}
	}
	return x
}

// find resolves the service as SDKs name it: by X-Amz-Target, by the path of Smithy's RPC v2, by the scope of the signature, by the host, or
// by the version of the query protocol. The error names what was asked for; both results are nil when the request does not say.
func (x index) find(r *http.Request, scope sigv4.Scope, signed bool) (*service.Descriptor, *cloud.Error) {
	prefix, _, ok := cutLast(r.Header.Get("X-Amz-Target"), ".")
	if !ok {
		prefix = ""
	}
	if rpc := wire.RPCService(r); rpc != "" {
		prefix = rpc
	}
	if prefix != "" {
		if d, known := x.byTarget[prefix]; known {
			return &d, nil
		}
		if !signed {
			return nil, unknownService(prefix, r)
		}
	}
	if signed {
		d := pick(x.bySigning[scope.Service], r.URL.Path)
		if d == nil {
			return nil, unknownService(scope.Service, r)
		}
		return d, nil
	}
	d, named := x.ofHost(hostname(r.Host))
	if d == nil && named != "" {
		return nil, unknownService(named, r)
	}
	if v := version(r.URL); d == nil && v != "" && len(x.byVersion[v]) == 1 {
		d = &x.byVersion[v][0]
	}
	return d, nil
}

// pick chooses between services that share a signing name by the version that their paths begin with, as the two APIs of API
// Gateway do. It returns nil when none fits.
func pick(candidates []service.Descriptor, path string) (plain *service.Descriptor) {
	for i := range candidates {
		v := pathVersion(candidates[i])
		if v == "" {
			plain = &candidates[i]
		} else if path == "/"+v || strings.HasPrefix(path, "/"+v+"/") {
			return &candidates[i]
		}
	}
	return plain
}

// pathVersion returns the first segment of a REST service's paths where that is a version such as "v2".
func pathVersion(d service.Descriptor) string {
	if ops := d.API.Operations; len(ops) > 0 && len(ops[0].Route.Segments) > 0 && isVersion(ops[0].Route.Segments[0]) {
		return ops[0].Route.Segments[0]
	}
	return ""
}

func isVersion(segment string) bool {
	return len(segment) >= 2 && segment[0] == 'v' && segment[1] >= '0' && segment[1] <= '9'
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

func version(u *url.URL) string {
	if u.RawQuery == "" {
		return ""
	}
	return u.Query().Get("Version")
}
