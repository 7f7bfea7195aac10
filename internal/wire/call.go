package wire

import (
	"context"
	"fmt"
	"net/http"

	"croft/internal/cloud"
)

// Ptr returns a pointer to v: for the optional members of structures.
func Ptr[T any](v T) *T { return &v }

// Value returns what p points to, or the zero value when p is nil.
func Value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// Call makes one call through c and types its result. Generated clients use it.
func Call[Out any](ctx context.Context, c Caller, svc *Service, op *Operation, in any) (*Out, error) {
	out, err := c.Call(ctx, svc, op, in)
	if err != nil {
		return nil, err
	}
	typed, ok := out.(*Out)
	if !ok {
		return nil, fmt.Errorf("wire: %s:%s answered with %T", svc.Name, op.Name, out)
	}
	return typed, nil
}

// NotImplemented returns the answer to an operation that croft knows of and does not have.
func NotImplemented(service, operation string) *cloud.Error {
	return cloud.Errorf("NotImplemented", "croft does not implement %s:%s.", service, operation).
		WithStatus(http.StatusNotImplemented)
}

// NewError returns the cloud.Error for a service's error shape. Generated constructors use it.
func NewError(t *ErrorTrait, format string, args []any) *cloud.Error {
	e := &cloud.Error{Code: t.Code, QueryCode: t.QueryCode, Status: t.Status, Message: format}
	if len(args) > 0 {
		e.Message = fmt.Sprintf(format, args...)
	}
	return e
}

// RawDocument is a document: JSON of any form, kept as it came.
type RawDocument []byte
