package logs

import (
	"context"

	"croft/internal/awsapi/logs"
	"croft/internal/cfn"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/service"
	"croft/internal/timer"
)

// Service implements the API.
type Service struct {
	logs.Unimplemented
	deps  service.Deps
	tails sessions
}

var _ logs.API = (*Service)(nil)

// New returns the service.
func New(deps service.Deps) *Service { return &Service{deps: deps} }

// Descriptor declares the service.
func (s *Service) Descriptor() service.Descriptor {
	return service.Descriptor{
		API:       logs.Service(),
		Impl:      s,
		Timers:    map[string]timer.Handler{retentionTimer: s.expire},
		Resources: []cfn.ResourceType{s.logGroupResource()},
	}
}

func (s *Service) space(ctx context.Context) kv.Space { return s.deps.Space(ctx, "logs") }

const (
	maxNameLength = 512
	// maxPageBytes bounds the events of one answer.
	maxPageBytes = 1 << 20
	maxPage      = 10_000
	// eventOverhead is what an event counts beyond its message. Source: the service's quotas.
	eventOverhead = 26
)

func errGroupNotFound() error {
	return logs.NewResourceNotFoundException("The specified log group does not exist.")
}

func errStreamNotFound() error {
	return logs.NewResourceNotFoundException("The specified log stream does not exist.")
}

func errToken() error {
	return logs.NewInvalidParameterException("The specified nextToken is invalid.")
}

// refused names a parameter that croft does not honour.
func refused(parameter, why string) error {
	return logs.NewInvalidParameterException("croft does not support the parameter %s: %s.", parameter, why)
}

func checkNames(names ...string) error {
	for _, n := range names {
		if len([]rune(n)) > maxNameLength {
			return logs.NewInvalidParameterException("Invalid LogGroup or LogStream, both must have length less than or equal to 512.")
		}
	}
	return nil
}

// resolve returns the name of the group that a request names, by name or by identifier (a name or an ARN).
func (s *Service) resolve(ctx context.Context, name, identifier *string) (string, error) {
	switch {
	case name != nil && identifier != nil:
		return "", logs.NewValidationException("LogGroup name and LogGroup ARN are mutually exclusive parameters.")
	case name != nil:
		return *name, checkNames(*name)
	case identifier == nil:
		return "", logs.NewInvalidParameterException("Either logGroupName or logGroupIdentifier must be given.")
	}
	group, err := s.groupOf(ctx, *identifier)
	if err != nil {
		return "", err
	}
	return group, checkNames(group)
}

func nowMillis(ctx context.Context) int64 { return cloud.CallOf(ctx).Now.UnixMilli() }

// settle makes what functions have logged readable.
func (s *Service) settle() {
	if s.deps.SettleLogs != nil {
		s.deps.SettleLogs()
	}
}
