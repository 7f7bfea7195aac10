package sandbox

import (
	"context"
	"net"
)

// Divisible is a Running whose processes can be divided into parts, each of which is used like a Running of its own.
type Divisible interface {
	// Divide has the process at the other end of via fork, and returns the part that the child is. The process gets a fork frame with descriptors
	// (docs/architecture/engine.md); of p, Output and Files alone count. memory is the part's limit in bytes, and comes on top of the sandbox's.
	//
	// A part is a session of processes: what leaves the session belongs to the sandbox alone. Everything else is shared among the parts, the network,
	// /tmp and the numbers of processes. Booted returns the child; Run is refused.
	Divide(ctx context.Context, via *net.UnixConn, p Program, memory int64) (Running, error)
}
