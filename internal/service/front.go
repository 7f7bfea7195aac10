package service

import (
	"context"
	"errors"

	"croft/internal/cloud"
)

// Authenticator returns the call of whoever signed a request to a front door. body is the request's whole body, signing the service that the
// signature must be scoped to. The error is a *cloud.Error that says what is wrong with the signature, or that there is none.
type Authenticator func(body []byte, signing string) (*cloud.Call, error)

type authenticatorKey struct{}

// WithAuthenticator returns the context of a request to a front door, whose signature a verifies.
func WithAuthenticator(ctx context.Context, a Authenticator) context.Context {
	return context.WithValue(ctx, authenticatorKey{}, a)
}

// Authenticate finds out who signed the request to a front door that ctx belongs to.
func Authenticate(ctx context.Context, body []byte, signing string) (*cloud.Call, error) {
	a, ok := ctx.Value(authenticatorKey{}).(Authenticator)
	if !ok {
		return nil, errors.New("service: the context is not that of a request to a front door")
	}
	return a(body, signing)
}
