package apigatewayv2

import (
	"context"
	"slices"
	"strings"

	api "croft/internal/awsapi/apigatewayv2"
	"croft/internal/httpevent"
)

// corsOf checks a CORS configuration.
func corsOf(in *api.Cors) (*httpevent.CORS, error) {
	if in == nil {
		return nil, nil
	}
	c := &httpevent.CORS{
		Credentials: in.AllowCredentials, Headers: in.AllowHeaders, Methods: in.AllowMethods, Origins: in.AllowOrigins,
		Expose: in.ExposeHeaders, MaxAge: in.MaxAge,
	}
	return c, checkCORS(c)
}

// maxCORSAge is a day in seconds. Source: API reference, Cors.
const maxCORSAge = 86400

func checkCORS(c *httpevent.CORS) error {
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

func describeCORS(c *httpevent.CORS) *api.Cors {
	if c == nil {
		return nil
	}
	return &api.Cors{
		AllowCredentials: c.Credentials, AllowHeaders: c.Headers, AllowMethods: c.Methods, AllowOrigins: c.Origins,
		ExposeHeaders: c.Expose, MaxAge: c.MaxAge,
	}
}

// allowOrigin reports whether pages of origin may call the API.
func (s *Service) allowOrigin(ctx context.Context, id, origin string) bool {
	_, a, err := s.find(ctx, id)
	return err == nil && a.row.CORS.Allow(origin) != ""
}
