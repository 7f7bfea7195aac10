package relay

import (
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"croft/internal/clock"
)

// notes tells people what was refused: once for a while, as programs try again and again. It is safe for concurrent use.
type notes struct {
	clock clock.Clock
	log   *slog.Logger

	mu   sync.Mutex
	told map[string]time.Time
}

const (
	// tellAgain is how long the same thing is not said again, maxTold how many things are remembered.
	tellAgain = 10 * time.Minute
	maxTold   = 512
)

func newNotes(c clock.Clock, log *slog.Logger) *notes {
	return &notes{clock: c, log: log, told: map[string]time.Time{}}
}

// due says whether what is known by key is to be said now.
func (n *notes) due(key string) bool {
	now := n.clock.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	if last, ok := n.told[key]; ok && now.Sub(last) < tellAgain {
		return false
	}
	if len(n.told) >= maxTold {
		for k, last := range n.told {
			if now.Sub(last) >= tellAgain {
				delete(n.told, k)
			}
		}
		if len(n.told) >= maxTold {
			return false // somebody goes through all addresses: those that were said are enough
		}
	}
	n.told[key] = now
	return true
}

// refused says that a function, called who, was not let through to an address, and how it can be.
func (n *notes) refused(who, network string, to netip.AddrPort, why refusal) {
	if !n.due("refused " + who + " " + network + " " + to.String()) {
		return
	}
	n.log.Warn("a function was not let through to "+to.String()+", as "+string(why), "function", who, "network", network,
		"to allow it", "--allow-host "+to.String())
}

// full says that something is bounded, and that the bound was met.
func (n *notes) full(who, what string) {
	if n.due("full " + who + " " + what) {
		n.log.Warn("a function has more "+what+" than it may have, or all of them together have", "function", who)
	}
}

// failed says that the relay itself could not do something.
func (n *notes) failed(what string, err error) {
	if n.due("failed " + what) {
		n.log.Error("the relay could not "+what, "error", err)
	}
}
