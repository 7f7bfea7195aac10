package app

import (
	"net"
	"net/http"
	"sync"
)

// maxConnections bounds the connections that are open at once. Each is a descriptor, which the store needs too.
const maxConnections = 4096

// connections counts them. A connection too many is closed at once, so that those who have one are served.
type connections struct {
	mu   sync.Mutex
	most int
	open map[net.Conn]struct{}
}

func newConnections(most int) *connections {
	return &connections{most: most, open: map[net.Conn]struct{}{}}
}

// state is a server's ConnState.
func (c *connections) state(conn net.Conn, s http.ConnState) {
	switch s {
	case http.StateNew:
		c.mu.Lock()
		defer c.mu.Unlock()
		if len(c.open) >= c.most {
			conn.Close()
			return
		}
		c.open[conn] = struct{}{}
	case http.StateClosed, http.StateHijacked:
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.open, conn)
	}
}
