// Package cloud is croft's vocabulary: ARNs, principals, the call that is being served, and the one error type that every
// service returns. It does no I/O.
package cloud

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// DefaultAccount and DefaultRegion are what a new cloud has until it is told otherwise.
const (
	DefaultAccount = "000000000000"
	DefaultRegion  = "us-east-1"
	// Partition is the only AWS partition that croft serves.
	Partition = "aws"
)

// AssetBucket is the name under which templates and CreateFunction refer to deployment packages that were uploaded to the cloud itself;
// the key is the body's SHA-256. Nobody can make a bucket of that name.
const AssetBucket = "croft-assets"

// ARN is a parsed Amazon Resource Name. Source: IAM User Guide, "Identify AWS resources with Amazon Resource Names (ARNs)".
type ARN struct {
	Partition, Service, Region, Account, Resource string
}

// String returns the ARN's usual form.
func (a ARN) String() string {
	return "arn:" + a.Partition + ":" + a.Service + ":" + a.Region + ":" + a.Account + ":" + a.Resource
}

// ParseARN splits s. It checks the form alone: six parts, the first "arn"; the last part keeps its colons.
func ParseARN(s string) (ARN, error) {
	p := strings.SplitN(s, ":", 6)
	if len(p) != 6 || p[0] != "arn" || p[1] == "" || p[2] == "" || p[5] == "" {
		return ARN{}, fmt.Errorf("%q is not an ARN", s)
	}
	return ARN{p[1], p[2], p[3], p[4], p[5]}, nil
}

// IsAccount reports whether s has the form of an account id: twelve digits.
func IsAccount(s string) bool { return len(s) == 12 && strings.Trim(s, "0123456789") == "" }

// ResolveAccount returns the account that named means to a caller of account caller. An account of fewer than twelve digits, as
// published examples often carry, means the caller's own: a documented deviation from AWS. short reports that it applied,
// so that the caller can warn.
func ResolveAccount(named, caller string) (account string, short bool) {
	if len(named) == 0 || len(named) >= 12 {
		return named, false
	}
	for _, r := range named {
		if r < '0' || r > '9' {
			return named, false
		}
	}
	return caller, true
}

// PrincipalKind says what sort of identity a Principal is.
type PrincipalKind string

// The kinds of principals.
const (
	Anonymous   PrincipalKind = "Anonymous"
	Root        PrincipalKind = "Account"
	User        PrincipalKind = "User"
	AssumedRole PrincipalKind = "AssumedRole"
	// ServicePrincipal is a service that acts for itself, such as sns.amazonaws.com.
	ServicePrincipal PrincipalKind = "AWSService"
)

// Principal is who makes a call.
type Principal struct {
	Kind        PrincipalKind
	Account     string
	ARN         string
	UserID      string
	AccessKeyID string
	// Service is set for a ServicePrincipal: "sns.amazonaws.com".
	Service string
}

// Call is what a service knows of the request it serves. It is immutable once it is in a context.
type Call struct {
	RequestID string
	Account   string
	Region    string
	Principal Principal
	// Now is the time of the request: one for the whole call, so that what it writes agrees with itself.
	Now time.Time
	// Endpoint is the base URL under which the client reached croft, without a trailing slash: what queue URLs start with.
	Endpoint string
	// SourceIP is the client's address without a port.
	SourceIP string
	// Function is the ARN of the function in whose environment the call was made, empty for calls from outside.
	Function string
	// SourceARN is the resource on whose behalf a service principal makes the call: what policies know as aws:SourceArn. Empty
	// when the service names none.
	SourceARN string
	// Trace is the trace header that the call belongs to, complete; empty when the client named none and the service takes no part in traces.
	Trace string
}

type callKey struct{}

// WithCall returns a context that carries c.
func WithCall(ctx context.Context, c *Call) context.Context {
	return context.WithValue(ctx, callKey{}, c)
}

// CallOf returns the call that ctx carries. A context without one is a programming error, and CallOf panics: no operation runs
// outside a call.
func CallOf(ctx context.Context) *Call {
	c, ok := ctx.Value(callKey{}).(*Call)
	if !ok {
		panic("cloud: context carries no Call")
	}
	return c
}

// MaybeCall returns the call that ctx carries, or nil.
func MaybeCall(ctx context.Context) *Call {
	c, _ := ctx.Value(callKey{}).(*Call)
	return c
}

// ARN returns the ARN of a resource of service in the call's account and region.
func (c *Call) ARN(service, resource string) string {
	return ARN{Partition, service, c.Region, c.Account, resource}.String()
}

// InternalService is the principal under which croft's own machinery (timers, outbox) acts.
const InternalService = "croft.internal"

// InternalCall returns the call under which croft's own machinery acts in an account and region.
func InternalCall(account, region string, now time.Time) *Call {
	return &Call{
		RequestID: NewRequestID(), Account: account, Region: region, Now: now,
		Principal: Principal{Kind: ServicePrincipal, Account: account, ARN: InternalService, Service: InternalService},
	}
}

// AsService returns a context whose call is made by the service principal named, for example "sns.amazonaws.com", and otherwise as
// the call that ctx carries.
func AsService(ctx context.Context, service string) context.Context {
	return AsServiceFor(ctx, service, "")
}

// AsServiceFor is AsService for a service that acts on behalf of one of its resources, for example an API.
func AsServiceFor(ctx context.Context, service, sourceARN string) context.Context {
	c := *CallOf(ctx)
	c.Principal = Principal{Kind: ServicePrincipal, Account: c.Account, ARN: service, Service: service}
	c.SourceARN = sourceARN
	return WithCall(ctx, &c)
}

// WithTrace returns a context whose call belongs to the trace of that header.
func WithTrace(ctx context.Context, trace string) context.Context {
	c := *CallOf(ctx)
	c.Trace = trace
	return WithCall(ctx, &c)
}

// In returns a context whose call acts in another account and region.
func In(ctx context.Context, account, region string) context.Context {
	c := *CallOf(ctx)
	c.Account, c.Region = account, region
	return WithCall(ctx, &c)
}
