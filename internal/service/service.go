// Package service is the contract between a service and the rest of croft: what a service is given, and what it declares.
//
// A service is a folder below this one. Its type implements the interface that apigen made of its model, keeps its state in the
// Space that Deps gives it, and calls other services through their generated clients over the Dispatcher alone.
package service

import (
	"context"
	"log/slog"
	"net/http"

	"croft/internal/blob"
	"croft/internal/blobref"
	"croft/internal/cfn"
	"croft/internal/clock"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/lease"
	"croft/internal/outbox"
	"croft/internal/timer"
	"croft/internal/wire"
)

// Deps is what every service is made of.
type Deps struct {
	Clock clock.Clock
	Store kv.Store
	Blobs blob.Store
	// Refs counts who names the bodies in Blobs: a body is put, and then retained in the transaction that names it.
	Refs   *blobref.Refs
	Outbox *outbox.Outbox
	Timers *timer.Timers
	// Leases say which of the processes on the store does a piece of background work.
	Leases lease.Leases
	// Caller reaches the other services, through their generated clients. A call made with a context that carries a
	// transaction joins it.
	Caller wire.Caller
	Log    *slog.Logger
	// BaseURL is under which the cloud can be reached from its own machine, without a trailing slash.
	BaseURL string
	// SettleLogs stores the log lines of functions that wait to be stored: who reads logs finds what has happened before. Nil when nothing logs.
	SettleLogs func()
	// PlainObjects has objects lie as they come, but for those whose request or bucket asks for encryption. Otherwise all are encrypted at rest.
	PlainObjects bool
	// Warned remembers the warnings that Account has given.
	Warned *Warnings
}

// Endpoint returns the base of URLs in answers: as the client addressed the cloud, or BaseURL for calls of the cloud's own machinery.
func (d Deps) Endpoint(ctx context.Context) string {
	if e := cloud.CallOf(ctx).Endpoint; e != "" {
		return e
	}
	return d.BaseURL
}

// Space returns the part of the store that belongs to the service in the account and region of ctx's call.
func (d Deps) Space(ctx context.Context, service string) kv.Space {
	c := cloud.CallOf(ctx)
	return kv.NewSpace(d.Store, c.Account, c.Region, service)
}

// Global returns the part of the store that belongs to the service in the account of ctx's call, whatever the region: for services such
// as IAM.
func (d Deps) Global(ctx context.Context, service string) kv.Space {
	return kv.NewSpace(d.Store, cloud.CallOf(ctx).Account, "", service)
}

// Shared returns the part of the store that belongs to the service across accounts and regions: for what its background work reads.
func (d Deps) Shared(service string) kv.Space { return kv.NewSpace(d.Store, "!service", service) }

// Descriptor is what a service declares. The lists are read once, before the first call.
type Descriptor struct {
	// API is the generated model; Impl implements the API interface beside it.
	API  *wire.Service
	Impl any
	// Outbox and Timers handle the messages and timers whose handler names begin with the service's own name.
	Outbox map[string]outbox.Handler
	Timers map[string]timer.Handler
	// Resources are the CloudFormation types that the service owns.
	Resources []cfn.ResourceType
	// Run is background work: it starts when the cloud serves and returns when ctx ends. Nil for none. It runs in every process on the
	// store; what one alone should do takes a lease.
	Run func(ctx context.Context)
	// Traced services give each call a trace, of which answers tell, where the client named none.
	Traced bool
	// Fronts are the HTTP front doors of a service that has some beside its API.
	Fronts []*Front
	// Web is what the service lets web pages do. Nil for nothing: pages of other origins are refused.
	Web *Web
}

// Front serves requests that are not AWS calls: those for the APIs that users publish. A request belongs to it when its host is
// ID.LABEL.anything, or its path /_aws/LABEL/ID/rest.
type Front struct {
	// Label is "execute-api".
	Label string
	// Serve answers a request. Its context carries an anonymous Call; the account and region are the service's to find out from id.
	// r.URL.Path and RawPath are those below the API, whichever form the request had.
	Serve func(w http.ResponseWriter, r *http.Request, id string)
	// AllowOrigin reports whether web pages of origin may call the API with that id. Pages of other origins are refused.
	AllowOrigin func(ctx context.Context, id, origin string) bool
}
