package service

import (
	"context"
	"fmt"

	"croft/internal/cloud"
	"croft/internal/wire"
)

// Dispatcher brings calls to services, for the server and for the services' own clients alike. It implements wire.Caller. Services
// are added before the first call; after that it is safe for concurrent use.
type Dispatcher struct {
	services map[string]Descriptor
	order    []string
}

// NewDispatcher returns a dispatcher without services.
func NewDispatcher() *Dispatcher { return &Dispatcher{services: map[string]Descriptor{}} }

// Add adds a service. Two services of one name are a programming error and panic.
func (d *Dispatcher) Add(desc Descriptor) {
	if _, dup := d.services[desc.API.Name]; dup {
		panic("service: " + desc.API.Name + " is added twice")
	}
	d.services[desc.API.Name] = desc
	d.order = append(d.order, desc.API.Name)
}

// Service returns the service of that name.
func (d *Dispatcher) Service(name string) (Descriptor, bool) {
	desc, ok := d.services[name]
	return desc, ok
}

// All returns the services in the order in which they were added.
func (d *Dispatcher) All() []Descriptor {
	out := make([]Descriptor, len(d.order))
	for i, name := range d.order {
		out[i] = d.services[name]
	}
	return out
}

// Call validates in and invokes op. The call is made by the principal of the Call that ctx carries; services act under their own
// name with cloud.AsService.
func (d *Dispatcher) Call(ctx context.Context, svc *wire.Service, op *wire.Operation, in any) (any, error) {
	if err := wire.Validate(op, in); err != nil {
		return nil, err
	}
	return d.Invoke(ctx, svc, op, in)
}

// Invoke runs op on input that has been validated.
func (d *Dispatcher) Invoke(ctx context.Context, svc *wire.Service, op *wire.Operation, in any) (any, error) {
	desc, ok := d.services[svc.Name]
	if !ok {
		return nil, cloud.Errorf("NotImplemented", "The service %s is not part of this cloud.", svc.Name).WithStatus(501)
	}
	if cloud.MaybeCall(ctx) == nil {
		return nil, fmt.Errorf("service: %s:%s without a Call", svc.Name, op.Name)
	}
	return op.Invoke(ctx, desc.Impl, in)
}
