package intercept

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"
)

const (
	idleUpstream    = time.Minute
	continueWithin  = 10 * time.Second
	maxIdleUpstream = 64
)

// forwarder returns what sends requests to the cloud: there, and nowhere else. The Host stays, for croft finds the service by it and
// the signature covers it.
func (p *Proxy) forwarder() *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = p.cfg.Endpoint.Scheme, p.cfg.Endpoint.Host
			r.Out.URL.RawQuery = r.In.URL.RawQuery // the signature covers it too, whatever it is
		},
		Transport: &http.Transport{
			DialContext:        (&net.Dialer{Timeout: dialLimit}).DialContext,
			DisableCompression: true, MaxIdleConnsPerHost: maxIdleUpstream, IdleConnTimeout: idleUpstream, ExpectContinueTimeout: continueWithin,
		},
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0),
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if errors.Is(err, context.Canceled) {
				panic(http.ErrAbortHandler) // the client went away
			}
			fail(w, http.StatusBadGateway, "the cloud at "+p.cfg.Endpoint.String()+" did not answer: "+err.Error()+"; is it running? Start one with: croft up")
		},
	}
}

// passer returns what passes plain HTTP requests on to other hosts.
func (p *Proxy) passer() *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.Out.URL.RawQuery = r.In.URL.RawQuery },
		Transport: &http.Transport{
			Proxy:              func(r *http.Request) (*url.URL, error) { return p.cfg.Upstream(r.URL) },
			DialContext:        p.cfg.Dial,
			DisableCompression: true, MaxIdleConnsPerHost: maxIdleUpstream, IdleConnTimeout: idleUpstream, ExpectContinueTimeout: continueWithin,
		},
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0),
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if errors.Is(err, context.Canceled) {
				panic(http.ErrAbortHandler)
			}
			fail(w, http.StatusBadGateway, err.Error())
		},
	}
}

// basicAuth returns the user:password of a header of the Basic scheme.
func basicAuth(header string) (string, bool) {
	scheme, rest, ok := strings.Cut(header, " ")
	if !ok || !strings.EqualFold(scheme, "Basic") {
		return "", false
	}
	text, err := base64.StdEncoding.DecodeString(strings.TrimSpace(rest))
	return string(text), err == nil
}
