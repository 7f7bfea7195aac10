package iam

import (
	"context"

	api "croft/internal/awsapi/iam"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/service"
)

const serviceName = "iam"

// Service implements the operations. It is safe for concurrent use.
type Service struct {
	api.Unimplemented
	deps service.Deps
}

// New returns the service.
func New(deps service.Deps) *Service { return &Service{deps: deps} }

// Descriptor declares the service.
func (s *Service) Descriptor() service.Descriptor {
	return service.Descriptor{API: api.Service(), Impl: s, Resources: s.resources()}
}

func (s *Service) space(ctx context.Context) kv.Space { return s.deps.Global(ctx, serviceName) }

func validation(format string, args ...any) error {
	return cloud.Errorf("ValidationError", format, args...)
}
