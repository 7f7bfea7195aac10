package apigatewayv2

import (
	"context"
	"log/slog"

	api "croft/internal/awsapi/apigatewayv2"
	"croft/internal/awsapi/lambda"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/service"
)

const (
	serviceName = "apigatewayv2"
	// frontLabel is the label of the front door, and the service in the ARNs of requests to it.
	frontLabel = "execute-api"
	// principal is who invokes functions.
	principal = "apigateway.amazonaws.com"
)

// Service implements the operations and the front door. It is safe for concurrent use.
type Service struct {
	api.Unimplemented
	deps      service.Deps
	log       *slog.Logger
	functions lambda.Client
	cache     apiCache
}

// New returns the service.
func New(deps service.Deps) *Service {
	return &Service{deps: deps, log: deps.Log, functions: lambda.NewClient(deps.Caller)}
}

// Descriptor declares the service.
func (s *Service) Descriptor() service.Descriptor {
	return service.Descriptor{
		API: api.Service(), Impl: s, Resources: s.resources(),
		Fronts: []*service.Front{{Label: frontLabel, Serve: s.serve, AllowOrigin: s.allowOrigin}},
	}
}

func (s *Service) space(ctx context.Context) kv.Space { return s.deps.Space(ctx, serviceName) }

func (s *Service) shared() kv.Space { return s.deps.Shared(serviceName) }

// param is a parameter of an operation with whether the caller gave it.
type param struct {
	name  string
	given bool
}

// refuse returns an error that names the first of params that was given: what croft does not have is never accepted and ignored.
func refuse(operation string, params ...param) error {
	for _, p := range params {
		if p.given {
			return cloud.Errorf("NotImplemented", "croft does not implement the parameter %s of apigatewayv2:%s.", p.name, operation).
				WithStatus(501)
		}
	}
	return nil
}

func badRequest(format string, args ...any) error {
	return api.NewBadRequestException(format, args...)
}
