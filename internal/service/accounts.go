package service

import (
	"context"
	"sync"

	"croft/internal/cloud"
)

// Warnings remembers what has been warned of, so that a hot path does not fill the log. Nil remembers nothing and is always told to
// warn. It is safe for concurrent use.
type Warnings struct {
	mu   sync.Mutex
	seen map[string]bool
}

// maxWarnings bounds what is remembered; beyond it nothing more is warned of.
const maxWarnings = 256

// First reports whether what has not been warned of before.
func (w *Warnings) First(what string) bool {
	if w == nil {
		return true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.seen[what] || len(w.seen) >= maxWarnings {
		return false
	}
	if w.seen == nil {
		w.seen = map[string]bool{}
	}
	w.seen[what] = true
	return true
}

// Account returns the account that named means in an ARN or queue URL: itself, or the caller's own for one of fewer than twelve
// digits, which is warned of once. given is the text that the caller wrote.
func (d Deps) Account(ctx context.Context, named, given string) string {
	const most = 256
	account, short := cloud.ResolveAccount(named, cloud.CallOf(ctx).Account)
	given = given[:min(len(given), most)]
	if short && d.Warned.First(given) {
		d.Log.WarnContext(ctx, "an account of fewer than twelve digits is taken for the caller's own", "given", given, "account", account)
	}
	return account
}
