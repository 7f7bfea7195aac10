package s3

import (
	api "croft/internal/awsapi/s3"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/outbox"
	"croft/internal/service"
	"croft/internal/timer"
)

const serviceName = "s3"

// Service implements the operations. It is safe for concurrent use.
type Service struct {
	api.Unimplemented
	deps service.Deps
}

var _ api.API = (*Service)(nil)

// New returns the service.
func New(deps service.Deps) *Service { return &Service{deps: deps} }

// Descriptor declares the service.
func (s *Service) Descriptor() service.Descriptor {
	return service.Descriptor{
		API: api.Service(), Impl: s, Resources: s.resources(),
		Outbox: map[string]outbox.Handler{notifyHandler: {Apply: s.notify}},
		Timers: map[string]timer.Handler{lifecycleHandler: s.expire},
		Web:    &service.Web{Grant: s.grant, Post: s.post, Links: true},
	}
}

func (s *Service) space() kv.Space { return s.deps.Shared(serviceName) }

func arn(bucket string) string {
	return cloud.ARN{Partition: cloud.Partition, Service: serviceName, Resource: bucket}.String()
}
