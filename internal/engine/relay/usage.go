package relay

import (
	"sync/atomic"
)

// gauge counts what is taken of something that is bounded, here and in what it is a part of. It is safe for concurrent use.
type gauge struct {
	limit int64
	above *gauge
	used  atomic.Int64
}

// take reports whether n more are within the bounds; then they are taken.
func (g *gauge) take(n int64) bool {
	if g.used.Add(n) > g.limit || g.above != nil && !g.above.take(n) {
		g.used.Add(-n)
		return false
	}
	return true
}

func (g *gauge) give(n int64) {
	g.used.Add(-n)
	if g.above != nil {
		g.above.give(n)
	}
}

// usage is what a sandbox, or the whole server, takes.
type usage struct{ connections, flows, questions, buffers gauge }

func newUsage(b Bounds, above *usage) *usage {
	u := &usage{}
	u.connections.limit, u.flows.limit, u.questions.limit, u.buffers.limit = int64(b.Connections), int64(b.Flows), int64(b.Questions), b.Buffers
	if above != nil {
		u.connections.above, u.flows.above, u.questions.above, u.buffers.above =
			&above.connections, &above.flows, &above.questions, &above.buffers
	}
	return u
}
