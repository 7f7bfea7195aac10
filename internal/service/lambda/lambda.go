package lambda

import (
	"context"
	"sync"
	"time"

	"croft/internal/awsapi/lambda"
	"croft/internal/cfn"
	"croft/internal/engine"
	"croft/internal/kv"
	"croft/internal/outbox"
	"croft/internal/service"
	"croft/internal/timer"
)

// Engine runs functions. It is what this service needs of the execution engine, which documents the methods.
type Engine interface {
	Invoke(ctx context.Context, fn engine.Function, inv engine.Invocation) (*engine.Result, error)
	Retire(functionARN string)
	Ahead(fn engine.Function)
	Provision(fn engine.Function, n int)
	Provisioned(functionARN, version string) engine.Provision
}

// Service implements the API.
type Service struct {
	lambda.Unimplemented
	deps   service.Deps
	engine Engine
}

var _ lambda.API = (*Service)(nil)

// New returns the service, whose functions run on e.
func New(deps service.Deps, e Engine) *Service { return &Service{deps: deps, engine: e} }

// Descriptor declares the service.
func (s *Service) Descriptor() service.Descriptor {
	return service.Descriptor{
		API:  lambda.Service(),
		Impl: s,
		Outbox: map[string]outbox.Handler{
			eventMessage: {Deliver: s.deliver, Attempts: 1 + retries, Pause: func(failures int) time.Duration {
				return time.Duration(failures) * time.Minute
			}},
			aheadMessage: {Deliver: s.deliverAhead, Attempts: 1},
		},
		Timers:    map[string]timer.Handler{requeueTimer: s.requeue},
		Resources: []cfn.ResourceType{s.functionResource(), s.permissionResource(), s.mappingResource()},
		Fronts:    []*service.Front{s.downloads()},
		Run: func(ctx context.Context) {
			var work sync.WaitGroup
			work.Go(func() { s.provisioner(ctx) })
			s.run(ctx)
			work.Wait()
		},
	}
}

func (s *Service) space(ctx context.Context) kv.Space { return s.deps.Space(ctx, "lambda") }

func (s *Service) shared() kv.Space { return s.deps.Shared("lambda") }
