package identity

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"runtime"
	"testing"
	"time"

	"croft/internal/clock"
	"croft/internal/kv"
	"croft/internal/kv/pebblekv"
)

func newKeys(t *testing.T) (*Keys, *clock.Manual, kv.Store) {
	t.Helper()
	store, err := pebblekv.Open(pebblekv.Options{Ephemeral: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	c := clock.NewManual(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	k, err := New(context.Background(), store, c)
	if err != nil {
		t.Fatal(err)
	}
	return k, c, store
}

func TestRootCredentialsLast(t *testing.T) {
	k, c, store := newKeys(t)
	a, b := k.Root("111122223333"), k.Root("444455556666")
	if !regexp.MustCompile(`^AKIA[A-Z2-7]{16}$`).MatchString(a.AccessKeyID) || len(a.SecretAccessKey) != 40 || a.SessionToken != "" {
		t.Errorf("%s, a secret of %d characters", a.AccessKeyID, len(a.SecretAccessKey))
	}
	if a.AccessKeyID == b.AccessKeyID || a.SecretAccessKey == b.SecretAccessKey || k.Root("111122223333") != a {
		t.Error("credentials of accounts")
	}
	again, err := New(context.Background(), store, c)
	if err != nil || again.Root("111122223333") != a || again.Secret(a.AccessKeyID) != a.SecretAccessKey {
		t.Errorf("after a restart: %v", err)
	}
}

func TestSessions(t *testing.T) {
	k, c, _ := newKeys(t)
	want := Session{Account: "111122223333", ARN: "arn:aws:sts::111122223333:assumed-role/r/f", UserID: "AROA:f", Function: "f"}
	creds, err := k.Issue(want, time.Hour)
	if err != nil || k.Secret(creds.AccessKeyID) != creds.SecretAccessKey || !creds.Expires.Equal(c.Now().Add(time.Hour)) {
		t.Fatalf("%v, %v", creds.Expires, err)
	}
	got, err := k.Open(creds.SessionToken, creds.AccessKeyID)
	want.Key, want.Expires = creds.AccessKeyID, creds.Expires
	if err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	other, err := k.Issue(want, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	damaged := []byte(creds.SessionToken)
	damaged[len(damaged)/2] ^= 1
	for name, c := range map[string][2]string{
		"another key's token": {other.SessionToken, creds.AccessKeyID},
		"damaged":             {string(damaged), creds.AccessKeyID},
		"not base64":          {"%%%", creds.AccessKeyID},
		"short":               {"AAAA", creds.AccessKeyID},
		"empty":               {"", creds.AccessKeyID},
	} {
		if _, err := k.Open(c[0], c[1]); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c.Advance(time.Hour)
	if _, err := k.Open(creds.SessionToken, creds.AccessKeyID); !errors.Is(err, ErrExpired) {
		t.Errorf("after its end: %v", err)
	}
}

func TestReloadAfterResetEndsOldCredentials(t *testing.T) {
	k, _, store := newKeys(t)
	ctx := context.Background()
	creds, err := k.Issue(Session{Account: "1"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	root := k.Root("1")
	err = store.Update(ctx, func(_ context.Context, tx kv.Tx) error { return tx.DeleteRange(kv.Range{}) })
	if err == nil {
		err = k.Load(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Open(creds.SessionToken, creds.AccessKeyID); !errors.Is(err, ErrInvalid) {
		t.Errorf("an old token: %v", err)
	}
	if k.Root("1") == root {
		t.Error("the root credentials are the same")
	}
}

func TestDamagedMasterKeyIsRefused(t *testing.T) {
	_, c, store := newKeys(t)
	ctx := context.Background()
	err := kv.NewSpace(store, "!identity").Update(ctx, func(_ context.Context, tx kv.Tx) error { return tx.Put([]byte("master"), []byte("short")) })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(ctx, store, c); err == nil {
		t.Error("a damaged master key was taken")
	}
}

func TestRootAccount(t *testing.T) {
	k, _, _ := newKeys(t)
	other, _, _ := newKeys(t)
	for _, account := range []string{"000000000000", "111122223333", "999999999999"} {
		id := k.Root(account).AccessKeyID
		if !regexp.MustCompile(`^AKIA[A-Z2-7]{16}$`).MatchString(id) {
			t.Errorf("%s: the access key id is %q", account, id)
		}
		if got, ok := k.RootAccount(id); !ok || got != account {
			t.Errorf("%s: %q, %v", account, got, ok)
		}
		if _, ok := other.RootAccount(id); ok {
			t.Errorf("%s: another cloud takes the key", account)
		}
		forged := []byte(id)
		forged[11] ^= 'A' ^ 'B' // the account's last digit
		for _, bad := range []string{string(forged), id[:19], id + "A", "ASIA" + id[4:], "AKIA7777777777777777", "AKIAaaaaaaaaaaaaaaaa"} {
			if got, ok := k.RootAccount(bad); ok {
				t.Errorf("%q is taken for account %s", bad, got)
			}
		}
	}
	for i := range 3 * maxRoots {
		k.RootAccount(k.Root(fmt.Sprintf("%012d", i)).AccessKeyID)
	}
	if n := len(k.state.Load().roots); n > maxRoots {
		t.Errorf("%d accounts are remembered", n)
	}
}

// Another process on the store resets the cloud: what it had issued before ends here too.
func TestFollow(t *testing.T) {
	here, c, store := newKeys(t)
	there, err := New(t.Context(), store, c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		here.Follow(ctx, slog.New(slog.DiscardHandler))
	}()
	creds, err := there.Issue(Session{Account: "000000000000"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := here.Open(creds.SessionToken, creds.AccessKeyID); err != nil {
		t.Fatal(err)
	}
	err = store.Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		return errors.Join(tx.DeleteRange(kv.Range{}), there.Renew(ctx))
	})
	if err = errors.Join(err, there.Load(ctx)); err != nil {
		t.Fatal(err)
	}
	for here.Root("000000000000") != there.Root("000000000000") {
		runtime.Gosched()
	}
	if _, err := here.Open(creds.SessionToken, creds.AccessKeyID); !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
	stop()
	<-done
}
