package httpevent

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// CORS is a front door's CORS configuration, in the form in which it is stored. A nil one allows nothing and leaves answers as they are.
type CORS struct {
	Credentials *bool    `json:"credentials,omitempty"`
	Headers     []string `json:"headers,omitempty"`
	Methods     []string `json:"methods,omitempty"`
	Origins     []string `json:"origins,omitempty"`
	Expose      []string `json:"expose,omitempty"`
	// MaxAge is in seconds.
	MaxAge *int32 `json:"maxAge,omitempty"`
}

// Allow returns the value of access-control-allow-origin for a page of origin, or "" for none.
func (c *CORS) Allow(origin string) string {
	if c == nil || origin == "" {
		return ""
	}
	if slices.Contains(c.Origins, "*") {
		return "*"
	}
	for _, o := range c.Origins {
		scheme, wild := strings.CutSuffix(o, "://*")
		if strings.EqualFold(o, origin) || wild && strings.HasPrefix(origin, scheme+"://") {
			return origin
		}
	}
	return ""
}

// Set replaces the CORS headers of an answer: once there is a CORS configuration, what functions say is not heard.
func (c *CORS) Set(h http.Header, origin string) {
	if c == nil {
		return
	}
	for name := range h {
		if strings.HasPrefix(name, "Access-Control-") {
			h.Del(name)
		}
	}
	allowed := c.Allow(origin)
	if allowed == "" {
		return
	}
	credentials := c.Credentials != nil && *c.Credentials
	if credentials {
		allowed = origin // to a request with credentials, browsers take no wildcard for an answer
		h.Set("Access-Control-Allow-Credentials", "true")
	}
	h.Set("Access-Control-Allow-Origin", allowed)
	if len(c.Expose) > 0 {
		h.Set("Access-Control-Expose-Headers", strings.Join(c.Expose, ","))
	}
	if allowed != "*" {
		h.Add("Vary", "Origin")
	}
}

// Preflight adds what a preflight request asks for.
func (c *CORS) Preflight(h http.Header, origin string) {
	c.Set(h, origin)
	if c.Allow(origin) == "" {
		return
	}
	if len(c.Methods) > 0 {
		h.Set("Access-Control-Allow-Methods", strings.Join(c.Methods, ","))
	}
	if len(c.Headers) > 0 {
		h.Set("Access-Control-Allow-Headers", strings.Join(c.Headers, ","))
	}
	if c.MaxAge != nil {
		h.Set("Access-Control-Max-Age", strconv.Itoa(int(*c.MaxAge)))
	}
}

// IsPreflight reports whether a browser asks whether a page may make a request.
func IsPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
}
