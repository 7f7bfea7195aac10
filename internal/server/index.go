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
		x.byVersion[d.API.APIVersion] = append(x.byVersion[d.API.APIVersion], d)
		if d.API.S3Rules {
			x.inHosts = append(x.inHosts, d)
		}
	}
	return x
}

// find resolves the service as SDKs name it: by X-Amz-Target, by the scope of the signature, by the host, or by the version of the
// query protocol. The error names what was asked for; both results are nil when the request does not say.
func (x index) find(r *http.Request, scope sigv4.Scope, signed bool) (*service.Descriptor, *cloud.Error) {
	target := r.Header.Get("X-Amz-Target")
	if prefix, _, ok := cutLast(target, "."); ok {
		if d, known := x.byTarget[prefix]; known {
			return &d, nil
		}
		if !signed {
			return nil, unknownService(prefix)
		}
	}
	if signed {
		return pick(x.bySigning[scope.Service], r.URL.Path, scope.Service)
	}
	if label, _, ok := strings.Cut(hostname(r.Host), "."); ok {
		if d, known := x.byHost[label]; known {
			return &d, nil
		}
	}
	for i := range x.inHosts {
		if _, ok := wire.BucketOfHost(x.inHosts[i].API, hostname(r.Host)); ok {
			return &x.inHosts[i], nil
		}
	}
	if v := version(r.URL); v != "" && len(x.byVersion[v]) == 1 {
		return &x.byVersion[v][0], nil
	}
	return nil, nil
}

func unknownService(name string) *cloud.Error {
	return cloud.Errorf("NotImplemented", "croft does not implement the service %q. Nothing was sent to AWS.", name).WithStatus(http.StatusNotImplemented)
}

// pick chooses between services that share a signing name by the version that their paths begin with, as the two APIs of API
// Gateway do.
func pick(candidates []service.Descriptor, path, name string) (*service.Descriptor, *cloud.Error) {
	var plain *service.Descriptor
	for i := range candidates {
		v := pathVersion(candidates[i])
		if v == "" {
			plain = &candidates[i]
		} else if path == "/"+v || strings.HasPrefix(path, "/"+v+"/") {
			return &candidates[i], nil
		}
	}
	if plain == nil {
		return nil, unknownService(name)
	}
	return plain, nil
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
