// Package lease says which of several processes on one store does a piece of background work.
//
// A lease only keeps work from being done twice at the same time. It cannot promise that: a process may stand still, find when it goes on
// that others have taken over, and still finish the step it was in. What must happen once therefore happens in a transaction that looks
// whether it has happened already, and what happens outside any transaction may happen again, lease or no lease.
//
// No two clocks have to agree. A node that lives advances a counter in the store every two seconds. Who has seen that counter
// stand still for eight seconds of its own clock removes the node, and with it all its leases; a node that could not
// advance its counter for six seconds of its own stops its work, and one that finds itself removed does so at once and joins again.
//
// The work is spread evenly: of the nodes that live, a name prefers the one with the highest hash of both. A node that wants a name which prefers
// it and which another holds asks for it; the holder ends its work, waits until it has returned, and hands the name over.
//
// Key layout, below the space "!lease":
//
//	w m node   a node: JSON of Node
//	w l name   who holds the name: a node's id
//	w r name   who asks for the name: a node's id
//	h node     the node's counter (8 bytes): apart from the others, so that a watch on those sees nothing of it
package lease

import (
	"context"
	"errors"
)

// Leases gives work to one process at a time.
type Leases interface {
	// Run runs work while this process holds the lease called name. It returns when ctx ends, or when work has returned although its
	// context had not ended: then the work is done. The context of work ends, with ErrLost or ErrHandOver as its cause, when the lease
	// must be given up; work is run again when the lease is regained. With a cause of ErrHandOver nobody else begins until work has
	// returned. Run may be called from several goroutines; for one name they take turns.
	Run(ctx context.Context, name string, work func(ctx context.Context))
}

// ErrHandOver is the cause of a context that ended because another node is to have the lease: there is time to finish.
var ErrHandOver = errors.New("lease: another node takes over")

// ErrLost is the cause of a context that ended because the lease is no longer this node's, or can no longer be renewed.
var ErrLost = errors.New("lease: lost")

// Local returns the leases of a process that has its store to itself: it holds them all, always.
func Local() Leases { return local{} }

type local struct{}

func (local) Run(ctx context.Context, _ string, work func(ctx context.Context)) { work(ctx) }
