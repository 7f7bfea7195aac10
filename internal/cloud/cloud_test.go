package cloud

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
)

func TestParseARN(t *testing.T) {
	for _, s := range []string{
		"arn:aws:sqs:us-east-1:123456789012:queue", "arn:aws:iam::123456789012:role/a/b", "arn:aws:s3:::bucket/key:with:colons",
	} {
		a, err := ParseARN(s)
		if err != nil || a.String() != s {
			t.Errorf("%s: %v, %v", s, a, err)
		}
	}
	for _, s := range []string{"", "arn", "arn:aws:sqs:us-east-1:1", "arn:aws:sqs:us-east-1:1:", "nra:aws:sqs:us-east-1:1:q", "arn::sqs:::q"} {
		if a, err := ParseARN(s); err == nil {
			t.Errorf("%q was taken for %v", s, a)
		}
	}
}

func TestResolveAccount(t *testing.T) {
	for _, c := range []struct {
		named, want string
		short       bool
	}{
		{"123456789012", "123456789012", false}, {"123456789", "own", true}, {"0", "own", true},
		{"", "", false}, {"aws", "aws", false}, {"12345678901a", "12345678901a", false}, {"1234567890123", "1234567890123", false},
	} {
		if got, short := ResolveAccount(c.named, "own"); got != c.want || short != c.short {
			t.Errorf("%q: %q, %v", c.named, got, short)
		}
	}
}

func TestCallsInContexts(t *testing.T) {
	ctx := WithCall(context.Background(), &Call{Account: "1", Region: "r", Principal: Principal{Kind: Root}})
	if got := CallOf(AsService(ctx, "sns.amazonaws.com")); got.Principal.Service != "sns.amazonaws.com" || got.Account != "1" {
		t.Errorf("%+v", got)
	}
	if got := CallOf(In(ctx, "2", "s")); got.Account != "2" || got.Region != "s" || got.Principal.Kind != Root {
		t.Errorf("%+v", got)
	}
	if got := CallOf(ctx); got.Account != "1" || got.Principal.Kind != Root {
		t.Errorf("the original has changed: %+v", got)
	}
	if got := CallOf(ctx).ARN("sqs", "q"); got != "arn:aws:sqs:r:1:q" {
		t.Error(got)
	}
	if MaybeCall(context.Background()) != nil {
		t.Error("a call out of nothing")
	}
}

func TestErrors(t *testing.T) {
	e := Errorf("Code", "no %s", "way")
	if e.HTTPStatus() != 400 || e.WithStatus(503).HTTPStatus() != 503 || e.HTTPStatus() != 400 {
		t.Error("statuses")
	}
	wrapped := fmt.Errorf("outside: %w", e)
	if Code(wrapped) != "Code" || Code(errors.New("x")) != "" || Code(nil) != "" {
		t.Error("codes")
	}
	cause := errors.New("cause")
	if !errors.Is(&Error{Cause: cause}, cause) {
		t.Error("the cause is lost")
	}
}

func TestIdentifiers(t *testing.T) {
	form := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	seen := map[string]bool{}
	for range 1000 {
		id := NewRequestID()
		if !form.MatchString(id) || seen[id] {
			t.Fatalf("%q", id)
		}
		seen[id] = true
	}
	for _, alphabet := range []string{UpperAlnum, LowerAlnum, Base32} {
		s := RandomString(500, alphabet)
		if len(s) != 500 || strings.Trim(s, alphabet) != "" {
			t.Errorf("%q", s)
		}
		for _, c := range alphabet {
			if !strings.ContainsRune(s, c) {
				t.Errorf("%c never comes up in %q", c, s)
			}
		}
	}
}
