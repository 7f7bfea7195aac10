package service

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"croft/internal/cloud"
)

func TestAccount(t *testing.T) {
	var log bytes.Buffer
	d := Deps{Log: slog.New(slog.NewTextHandler(&log, nil)), Warned: new(Warnings)}
	ctx := cloud.WithCall(context.Background(), &cloud.Call{Account: "111122223333"})
	for _, c := range []struct{ named, want string }{
		{"444455556666", "444455556666"}, {"123456789", "111122223333"}, {"123456789", "111122223333"}, {"aws", "aws"}, {"", ""},
	} {
		if got := d.Account(ctx, c.named, "arn:aws:sns:us-east-1:"+c.named+":topic"); got != c.want {
			t.Errorf("%q: %q, want %q", c.named, got, c.want)
		}
	}
	if n := strings.Count(log.String(), "123456789"); n != 1 {
		t.Errorf("warned %d times:\n%s", n, log.String())
	}
}
