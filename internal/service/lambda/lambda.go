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
	limits Limits
	// known are the functions that invocations have found lately.
	known decoded
}

// Limits are limits of Lambda's that a server may lift: on a machine of one's own they are arbitrary. Zero means Lambda's own.
type Limits struct {
	// MaxTimeout is the longest timeout that a function may have; Lambda's is 900 seconds.
	MaxTimeout time.Duration
	// MaxPayload is how many bytes an event or an answer may have; Lambda's are 6 MiB, and 1 MiB for events of the type Event. Less changes nothing.
	MaxPayload int
}

// Lift changes the limits, before the service is used, and returns the service.
func (s *Service) Lift(l Limits) *Service {
	s.limits = l
	return s
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
			eventMessage: {Run: s.deliver, Attempts: 1},
			aheadMessage: {Deliver: s.deliverAhead, Attempts: 1},
		},
		Timers: map[string]timer.Handler{requeueTimer: s.requeue},
		Resources: []cfn.ResourceType{
			s.functionResource(), s.versionResource(), s.aliasResource(), s.urlResource(), s.permissionResource(), s.mappingResource(),
			s.layerResource(), s.layerPermissionResource(), s.eventConfigResource(),
		},
		Fronts: []*service.Front{s.downloads(), s.urlFront()},
		Traced: true,
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
