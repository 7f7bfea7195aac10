package sts

import (
	"context"

	"croft/internal/awsapi/iam"
	api "croft/internal/awsapi/sts"
	"croft/internal/cloud"
	"croft/internal/identity"
	"croft/internal/service"
	"croft/internal/wire"
)

// Service implements the operations. It is safe for concurrent use.
type Service struct {
	api.Unimplemented
	deps  service.Deps
	keys  *identity.Keys
	roles iam.Client
}

// New returns the service, which issues credentials through keys.
func New(deps service.Deps, keys *identity.Keys) *Service {
	return &Service{deps: deps, keys: keys, roles: iam.NewClient(deps.Caller)}
}

// Descriptor declares the service.
func (s *Service) Descriptor() service.Descriptor {
	return service.Descriptor{API: api.Service(), Impl: s}
}

// GetCallerIdentity says who calls.
func (s *Service) GetCallerIdentity(ctx context.Context, _ *api.GetCallerIdentityInput) (*api.GetCallerIdentityOutput, error) {
	p := cloud.CallOf(ctx).Principal
	return &api.GetCallerIdentityOutput{UserId: wire.Ptr(p.UserID), Account: wire.Ptr(p.Account), Arn: wire.Ptr(p.ARN)}, nil
}
