package iam_test

import (
	"context"
	"strings"
	"testing"

	api "croft/internal/awsapi/iam"
	"croft/internal/cfn"
	"croft/internal/service"
	"croft/internal/service/iam"
	"croft/internal/service/servicetest"
)

func descriptor(d service.Deps) service.Descriptor { return iam.New(d).Descriptor() }

func TestScripts(t *testing.T) { servicetest.Run(t, "testdata/*.txtar", descriptor) }

func document(element, value string) map[string]any {
	return map[string]any{
		"Version": "2012-10-17", "Statement": []any{map[string]any{"Effect": "Allow", "Action": "x:*", element: value}},
	}
}

func TestRoleAndPolicyResources(t *testing.T) {
	e := servicetest.New(t, descriptor)
	c := api.NewClient(e.Dispatcher)
	role, policy := e.Resource("AWS::IAM::Role"), e.Resource("AWS::IAM::Policy")
	r := &cfn.Request{GeneratedName: "stack-Role-1"}
	const basic, tracing = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole", "arn:aws:iam::aws:policy/AWSXRayDaemonWriteAccess"
	before := map[string]any{
		"AssumeRolePolicyDocument": document("Principal", "*"), "ManagedPolicyArns": []any{basic},
		"Policies": []any{map[string]any{"PolicyName": "one", "PolicyDocument": document("Resource", "*")}},
	}
	after := map[string]any{
		"AssumeRolePolicyDocument": document("Principal", "*"), "ManagedPolicyArns": []any{tracing}, "MaxSessionDuration": 7200,
		"Policies": []any{map[string]any{"PolicyName": "two", "PolicyDocument": document("Resource", "*")}}, "Description": "new",
	}
	extra := map[string]any{"PolicyName": "extra", "PolicyDocument": document("Resource", "*"), "Roles": []any{"stack-Role-1"}}
	steps := []func(ctx context.Context) error{
		func(ctx context.Context) error {
			res, err := role.Create(ctx, r, before)
			if err == nil && (res.PhysicalID != "stack-Role-1" || res.Attributes["Arn"] != "arn:aws:iam::000000000000:role/stack-Role-1") {
				t.Errorf("got %+v", res)
			}
			r.PhysicalID = "stack-Role-1"
			return err
		},
		func(ctx context.Context) error {
			_, err := policy.Create(ctx, &cfn.Request{GeneratedName: "p"}, extra)
			return err
		},
		func(ctx context.Context) error { _, err := role.Update(ctx, r, before, after); return err },
	}
	for _, step := range steps {
		if err := e.Update(step); err != nil {
			t.Fatal(err)
		}
	}
	got, err := c.GetRole(e.Context(), &api.GetRoleInput{RoleName: "stack-Role-1"})
	if err != nil || *got.Role.MaxSessionDuration != 7200 || *got.Role.Description != "new" {
		t.Errorf("got %+v (%v)", got, err)
	}
	inline, err := c.ListRolePolicies(e.Context(), &api.ListRolePoliciesInput{RoleName: "stack-Role-1"})
	if err != nil || strings.Join(inline.PolicyNames, " ") != "extra two" {
		t.Errorf("got %+v (%v)", inline, err)
	}
	attached, err := c.ListAttachedRolePolicies(e.Context(), &api.ListAttachedRolePoliciesInput{RoleName: "stack-Role-1"})
	if err != nil || len(attached.AttachedPolicies) != 1 || *attached.AttachedPolicies[0].PolicyArn != tracing {
		t.Errorf("got %+v (%v)", attached, err)
	}
	err = e.Update(func(ctx context.Context) error { return role.Delete(ctx, r, after) })
	if err == nil || err.Error() != "DeleteConflict: Cannot delete entity, must delete policies first." {
		t.Errorf("a role with a foreign policy: %v", err)
	}
	for range 2 {
		if err := e.Update(func(ctx context.Context) error { return policy.Delete(ctx, &cfn.Request{PhysicalID: "p"}, extra) }); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := e.Update(func(ctx context.Context) error { return role.Delete(ctx, r, after) }); err != nil {
			t.Fatal(err)
		}
	}
}
