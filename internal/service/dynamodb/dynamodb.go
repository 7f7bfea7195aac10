package dynamodb

import (
	"context"
	"errors"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/service"
	"croft/internal/timer"
)

const serviceName = "dynamodb"

// Service implements the operations. It is safe for concurrent use.
type Service struct {
	api.Unimplemented
	deps  service.Deps
	cache tableCache
}

// New returns the service.
func New(deps service.Deps) *Service {
	return &Service{deps: deps, cache: tableCache{clock: deps.Clock}}
}

// Descriptor declares the service.
func (s *Service) Descriptor() service.Descriptor {
	return service.Descriptor{API: api.Service(), Impl: s, Resources: s.resources(),
		Timers: map[string]timer.Handler{fillHandler: s.fill, trimHandler: s.trim,
			expireHandler: s.expire, enterHandler: s.enterExpiries, copyHandler: s.copyItems, restoreHandler: s.restoreItems}}
}

func (s *Service) space(ctx context.Context) kv.Space { return s.deps.Space(ctx, serviceName) }

// param is a parameter of an operation with whether the caller gave it.
type param struct {
	name  string
	given bool
}

// refuse returns an error that names the first of params that was given: what croft does not have is never accepted and ignored.
func refuse(operation string, params ...param) error {
	for _, p := range params {
		if p.given {
			return cloud.Errorf("NotImplemented", "croft does not implement the parameter %s of dynamodb:%s.", p.name, operation).
				WithStatus(501)
		}
	}
	return nil
}

// messageOf returns the text that a client sees of err.
func messageOf(err error) string {
	var e *cloud.Error
	if errors.As(err, &e) {
		return e.Message
	}
	return err.Error()
}
