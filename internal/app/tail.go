package app

import (
	"strings"
	"sync"

	"croft/internal/control"
	"croft/internal/engine"
)

// followBuffer is how many log lines a follower may lag behind before lines are left out for it.
const followBuffer = 4096

// tail shows functions' log lines, as they come, to those who follow. What a follower misses because it is slow is still in CloudWatch Logs.
type tail struct {
	mu sync.Mutex
	// followers has the account that each follows.
	followers map[chan control.LogLine]string
	closed    bool
}

func newTail() *tail { return &tail{followers: map[chan control.LogLine]string{}} }

func (t *tail) publish(b engine.LogBatch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range b.Lines {
		line := control.LogLine{Time: l.Time, Function: strings.TrimPrefix(b.Group, functionLogs), Text: l.Text}
		for c, account := range t.followers {
			if account != b.Account {
				continue
			}
			select {
			case c <- line:
			default:
			}
		}
	}
}

// follow returns a channel of the lines to come in an account, closed by stop or when the cloud closes.
func (t *tail) follow(account string) (lines <-chan control.LogLine, stop func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := make(chan control.LogLine, followBuffer)
	if t.closed {
		close(c)
		return c, func() {}
	}
	t.followers[c] = account
	return c, func() { t.drop(c) }
}

func (t *tail) drop(c chan control.LogLine) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, there := t.followers[c]; there {
		delete(t.followers, c)
		close(c)
	}
}

func (t *tail) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for c := range t.followers {
		delete(t.followers, c)
		close(c)
	}
}
