package sts_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"croft/internal/awsapi/iam"
	api "croft/internal/awsapi/sts"
	"croft/internal/cloud"
	"croft/internal/identity"
	"croft/internal/service"
	iamservice "croft/internal/service/iam"
	"croft/internal/service/servicetest"
	"croft/internal/service/sts"
	"croft/internal/wire"
)

type world struct {
	*servicetest.Env
	keys *identity.Keys
	sts  api.Client
	t    *testing.T
}

func start(t *testing.T) *world {
	w := &world{t: t}
	w.Env = servicetest.New(t,
		func(d service.Deps) service.Descriptor { return iamservice.New(d).Descriptor() },
		func(d service.Deps) service.Descriptor {
			keys, err := identity.New(t.Context(), d.Store, d.Clock)
			if err != nil {
				t.Fatal(err)
			}
			w.keys = keys
			return sts.New(d, keys).Descriptor()
		})
	w.sts = api.NewClient(w.Dispatcher)
	return w
}

// role makes a role whose trust policy is one statement that allows sts:AssumeRole, with the elements given.
func (w *world) role(name, elements string) {
	w.t.Helper()
	_, err := iam.NewClient(w.Dispatcher).CreateRole(w.Context(), &iam.CreateRoleInput{
		RoleName: name, Path: wire.Ptr("/p/"),
		AssumeRolePolicyDocument: `{"Statement":[{"Effect":"Allow","Action":"sts:Assume*",` + elements + `}]}`,
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) as(p cloud.Principal) context.Context {
	ctx := w.Context()
	c := *cloud.CallOf(ctx)
	c.Principal = p
	return cloud.WithCall(ctx, &c)
}

func (w *world) assume(ctx context.Context, change func(*api.AssumeRoleInput)) (*api.AssumeRoleOutput, error) {
	in := &api.AssumeRoleInput{RoleArn: "arn:aws:iam::000000000000:role/p/app", RoleSessionName: "me"}
	if change != nil {
		change(in)
	}
	return w.sts.AssumeRole(ctx, in)
}

func (w *world) refused(err error, want string) {
	w.t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		w.t.Errorf("got %v, want %s", err, want)
	}
}

func TestGetCallerIdentity(t *testing.T) {
	w := start(t)
	out, err := w.sts.GetCallerIdentity(w.Context(), &api.GetCallerIdentityInput{})
	if err != nil || *out.Account != "000000000000" || *out.Arn != "arn:aws:iam::000000000000:root" || *out.UserId != "000000000000" {
		t.Errorf("got %+v (%v)", out, err)
	}
}

func TestAssumeRole(t *testing.T) {
	w := start(t)
	w.role("app", `"Principal":{"AWS":"000000000000"}`)
	for _, arn := range []string{"arn:aws:iam::000000000000:role/p/app", "arn:aws:iam::123456789:role/p/app"} {
		out, err := w.assume(w.Context(), func(in *api.AssumeRoleInput) { in.RoleArn, in.DurationSeconds = arn, wire.Ptr[int32](900) })
		if err != nil {
			t.Fatal(err)
		}
		if out.AssumedRoleUser.Arn != "arn:aws:sts::000000000000:assumed-role/app/me" || !strings.HasSuffix(out.AssumedRoleUser.AssumedRoleId, ":me") {
			t.Errorf("got %+v", out.AssumedRoleUser)
		}
		c := out.Credentials
		session, err := w.keys.Open(c.SessionToken, c.AccessKeyId)
		if err != nil || session.ARN != out.AssumedRoleUser.Arn || !session.Expires.Equal(w.Clock.Now().Add(15*time.Minute)) || !session.Expires.Equal(c.Expiration) {
			t.Errorf("got %+v (%v)", session, err)
		}
	}
}

func TestAssumeRoleIsRefused(t *testing.T) {
	w := start(t)
	w.role("app", `"Principal":{"AWS":"000000000000"}`)
	const denied = "AccessDenied: User: arn:aws:iam::000000000000:root is not authorized to perform: sts:AssumeRole on resource: "
	for arn, want := range map[string]string{
		"nothing-valid-in-here":                 "ValidationError: nothing-valid-in-here is invalid",
		"arn::b:::something/test-role":          "ValidationError: arn::b:::something/test-role is invalid",
		"arn:a::::something/test-role":          "ValidationError: arn:a::::something/test-role is invalid",
		"arn:a:::something/test-role":           "ValidationError: arn:a:::something/test-role is invalid",
		"arn:a:a::aaaaaaaaaa:":                  "ValidationError: arn:a:a::aaaaaaaaaa: is invalid",
		"arn:aws:iam::000000000000:role/none":   denied + "arn:aws:iam::000000000000:role/none",
		"arn:aws:iam::000000000000:role/app":    denied + "arn:aws:iam::000000000000:role/app",
		"arn:aws:iam::111122223333:role/p/app":  denied + "arn:aws:iam::111122223333:role/p/app",
		"arn:aws:iam::000000000000:user/p/app":  denied + "arn:aws:iam::000000000000:user/p/app",
		"arn:aws:s3:::some-bucket-of-some-sort": denied,
	} {
		_, err := w.assume(w.Context(), func(in *api.AssumeRoleInput) { in.RoleArn = arn })
		w.refused(err, want)
	}
	for want, change := range map[string]func(*api.AssumeRoleInput){
		"NotImplemented: croft does not implement the parameter Policy of sts:AssumeRole.": func(in *api.AssumeRoleInput) { in.Policy = wire.Ptr("{}") },
		"NotImplemented: croft does not implement the parameter Tags of sts:AssumeRole.":   func(in *api.AssumeRoleInput) { in.Tags = []api.Tag{} },
		"The requested DurationSeconds exceeds the MaxSessionDuration set for this role.":  func(in *api.AssumeRoleInput) { in.DurationSeconds = wire.Ptr[int32](3601) },
		"Value 'a:b' at 'roleSessionName' failed to satisfy constraint":                    func(in *api.AssumeRoleInput) { in.RoleSessionName = "a:b" },
	} {
		_, err := w.assume(w.Context(), change)
		w.refused(err, want)
	}
}

func TestTrustPolicies(t *testing.T) {
	root := cloud.Principal{Kind: cloud.Root, Account: "000000000000", ARN: "arn:aws:iam::000000000000:root"}
	session := cloud.Principal{Kind: cloud.AssumedRole, Account: "000000000000", ARN: "arn:aws:sts::000000000000:assumed-role/caller/s"}
	foreign := cloud.Principal{Kind: cloud.Root, Account: "111122223333", ARN: "arn:aws:iam::111122223333:root"}
	lambda := cloud.Principal{Kind: cloud.ServicePrincipal, Account: "000000000000", ARN: "lambda.amazonaws.com", Service: "lambda.amazonaws.com"}
	for _, c := range []struct {
		elements, externalID string
		caller               cloud.Principal
		want                 string
	}{
		{elements: `"Principal":"*"`, caller: foreign},
		{elements: `"Principal":{"AWS":["111122223333"]}`, caller: foreign},
		{elements: `"Principal":{"AWS":"arn:aws:iam::000000000000:root"}`, caller: session},
		{elements: `"Principal":{"AWS":"arn:aws:iam::000000000000:role/x/caller"}`, caller: session},
		{elements: `"Principal":{"AWS":"arn:aws:iam::000000000000:role/call"}`, caller: session, want: "AccessDenied"},
		{elements: `"Principal":{"AWS":"arn:aws:iam::000000000000:root"}`, caller: foreign, want: "AccessDenied"},
		{elements: `"Principal":{"Service":"lambda.amazonaws.com"}`, caller: root, want: "AccessDenied"},
		{elements: `"Principal":{"Service":"lambda.amazonaws.com"}`, caller: lambda},
		{elements: `"Principal":"*","Condition":{"StringEquals":{"sts:ExternalId":"x"}}`, caller: root, externalID: "xyz", want: "AccessDenied"},
		{elements: `"Principal":"*","Condition":{"StringEquals":{"sts:ExternalId":["y","xyz"]}}`, caller: root, externalID: "xyz"},
		{elements: `"Principal":"*","Condition":{"Bool":{"aws:MultiFactorAuthPresent":"true"}}`, caller: root, want: "Bool aws:MultiFactorAuthPresent"},
		{elements: `"Principal":"*"},{"Effect":"Deny","Action":"*","Principal":{"AWS":"111122223333"}`, caller: foreign, want: "AccessDenied"},
	} {
		w := start(t)
		w.role("app", c.elements)
		_, err := w.assume(w.as(c.caller), func(in *api.AssumeRoleInput) {
			if c.externalID != "" {
				in.ExternalId = &c.externalID
			}
		})
		if c.want != "" {
			w.refused(err, c.want)
		} else if err != nil {
			t.Errorf("%s: %v", c.elements, err)
		}
	}
}
