package apigatewayv2

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"

	api "croft/internal/awsapi/apigatewayv2"
)

// corsOf checks a CORS configuration.
func corsOf(in *api.Cors) (*corsRow, error) {
	if in == nil {
		return nil, nil
	}
	c := &corsRow{
		Credentials: in.AllowCredentials, Headers: in.AllowHeaders, Methods: in.AllowMethods, Origins: in.AllowOrigins,
		Expose: in.ExposeHeaders, MaxAge: in.MaxAge,
	}
	return c, c.check()
}

// maxCORSAge is a day in seconds. Source: API reference, Cors.
const maxCORSAge = 86400

func (c *corsRow) check() error {
	if c.Credentials != nil && *c.Credentials && slices.Contains(c.Origins, "*") {
		return badRequest("Invalid CORS configuration: AllowCredentials is not supported when the allowed origins include *")
	}
	for _, m := range c.Methods {
		if m != "*" && !slices.Contains(methods(), m) {
			return badRequest("Invalid CORS configuration: %q is no HTTP method", m)
		}
	}
	for _, o := range c.Origins {
		scheme, rest, ok := strings.Cut(o, "://")
		if o != "*" && (!ok || scheme == "" || rest == "" || strings.ContainsAny(rest, "/ ") || strings.Contains(rest, "*") && rest != "*") {
			return badRequest("Invalid CORS configuration: the origin %q is not of the form SCHEME://HOST", o)
		}
	}
	if c.MaxAge != nil && (*c.MaxAge < -1 || *c.MaxAge > maxCORSAge) {
		return badRequest("Invalid CORS configuration: MaxAge must be from -1 to %d", maxCORSAge)
	}
	return nil
}

func (c *corsRow) describe() *api.Cors {
	if c == nil {
		return nil
	}
	return &api.Cors{
		AllowCredentials: c.Credentials, AllowHeaders: c.Headers, AllowMethods: c.Methods, AllowOrigins: c.Origins,
		ExposeHeaders: c.Expose, MaxAge: c.MaxAge,
	}
}

// allow returns the value of access-control-allow-origin for a page of origin, or "" for none.
func (c *corsRow) allow(origin string) string {
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

// set replaces the CORS headers of an answer: once an API has a CORS configuration, what its functions say is not heard.
func (c *corsRow) set(h http.Header, origin string) {
	if c == nil {
		return
	}
	for name := range h {
		if strings.HasPrefix(name, "Access-Control-") {
			h.Del(name)
		}
	}
	allowed := c.allow(origin)
	if allowed == "" {
		return
	}
	h.Set("Access-Control-Allow-Origin", allowed)
	if c.Credentials != nil && *c.Credentials {
		h.Set("Access-Control-Allow-Credentials", "true")
	}
	if len(c.Expose) > 0 {
		h.Set("Access-Control-Expose-Headers", strings.Join(c.Expose, ","))
	}
	if allowed != "*" {
		h.Add("Vary", "Origin")
	}
}

// preflight adds what a preflight request asks for.
func (c *corsRow) preflight(h http.Header, origin string) {
	c.set(h, origin)
	if c.allow(origin) == "" {
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

func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
}

// allowOrigin reports whether pages of origin may call the API.
func (s *Service) allowOrigin(ctx context.Context, id, origin string) bool {
	_, a, err := s.find(ctx, id)
	return err == nil && a.row.CORS.allow(origin) != ""
}
