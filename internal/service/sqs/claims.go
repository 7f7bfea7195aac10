package sqs

import "sync"

// claims are the rows that receivers of this process are about to take. They keep receivers from choosing the same rows; that no
// message is handed out twice does not depend on them. Those of other processes on the store collide instead, and try again further
// behind (picker).
type claims struct {
	mu   sync.Mutex
	held map[string]struct{}
	// freed is closed by the next release; nil while nobody waits for one.
	freed chan struct{}
}

// take claims a row. When somebody else has it, it returns a channel that is closed once any claim is given up.
func (c *claims) take(key string) (ok bool, freed <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, taken := c.held[key]; taken {
		if c.freed == nil {
			c.freed = make(chan struct{})
		}
		return false, c.freed
	}
	if c.held == nil {
		c.held = make(map[string]struct{})
	}
	c.held[key] = struct{}{}
	return true, nil
}

// release gives claims up.
func (c *claims) release(keys []string) {
	if len(keys) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, key := range keys {
		delete(c.held, key)
	}
	if c.freed != nil {
		close(c.freed)
		c.freed = nil
	}
}
