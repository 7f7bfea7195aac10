package lease

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
	"time"
)

// view is what lies in the store, with what this node thinks of it.
type view struct {
	nodes    map[string]bool
	counters map[string]int64
	// holders and askers are node ids by name.
	holders, askers map[string]string
	// dead are the nodes whose counter has stood still too long.
	dead map[string]bool
}

// alive reports whether a node is there and not dead.
func (v *view) alive(node string) bool { return v.nodes[node] && !v.dead[node] }

// preferred returns the node that should have a name: of those alive the one with the highest hash.
func (v *view) preferred(name string) (best string) {
	var highest uint64
	for node := range v.nodes {
		if v.dead[node] {
			continue
		}
		sum := sha256.Sum256([]byte(name + "\x00" + node))
		if h := binary.BigEndian.Uint64(sum[:]); best == "" || h > highest {
			best, highest = node, h
		}
	}
	return best
}

// plan is what is to be written.
type plan struct {
	bury                            []string
	acquire, release, ask, withdraw []string
}

func (p *plan) empty() bool {
	return len(p.bury)+len(p.acquire)+len(p.release)+len(p.ask)+len(p.withdraw) == 0
}

// plan decides. Work that is to end is told so at once; the rows follow.
func (s *Shared) plan(v *view, now time.Time) *plan {
	p := &plan{bury: slices.Sorted(maps.Keys(v.dead))}
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, e := range s.entries {
		switch {
		case e.held:
			s.keep(v, p, name, e)
		case e.users == 0:
			if e.end == nil {
				delete(s.entries, name)
			}
		default:
			s.seek(v, p, name, e, now)
		}
	}
	for name, holder := range v.holders {
		if holder == s.self.ID && s.entries[name] == nil {
			p.release = append(p.release, name) // the answer to an earlier release was lost
		}
	}
	for name, asker := range v.askers {
		if e := s.entries[name]; asker == s.self.ID && (e == nil || e.users == 0 || e.held) {
			p.withdraw = append(p.withdraw, name)
		}
	}
	p.clip(s.poke)
	return p
}

// clip bounds the plan; the rest is done in the next round.
func (p *plan) clip(again func()) {
	for _, list := range []*[]string{&p.acquire, &p.release, &p.ask, &p.withdraw} {
		if len(*list) > most {
			*list = (*list)[:most]
			again()
		}
	}
}

// keep decides about a name that this node holds. The mutex is held.
func (s *Shared) keep(v *view, p *plan, name string, e *entry) {
	if v.holders[name] != s.self.ID {
		e.held, e.giving = false, false
		if e.end != nil {
			e.end(ErrLost)
		}
		s.poke()
		return
	}
	asker := v.askers[name]
	if e.users == 0 || asker != "" && asker != s.self.ID && v.alive(asker) {
		e.giving = true
	}
	switch {
	case !e.giving:
	case e.end != nil:
		e.end(ErrHandOver)
	default:
		p.release = append(p.release, name)
	}
}

// seek decides about a name that this node wants. The mutex is held.
func (s *Shared) seek(v *view, p *plan, name string, e *entry, now time.Time) {
	holder, mine := v.holders[name], v.preferred(name) == s.self.ID
	switch {
	case holder == s.self.ID:
		p.acquire = append(p.acquire, name) // the answer to an earlier attempt was lost
	case holder != "" && v.alive(holder):
		e.free = time.Time{}
		if mine && v.askers[name] != s.self.ID {
			p.ask = append(p.ask, name)
		}
	case mine || !e.free.IsZero() && now.Sub(e.free) >= patience:
		p.acquire = append(p.acquire, name)
	case e.free.IsZero():
		e.free = now
	}
}

// settle takes note of what has been written.
func (s *Shared) settle(p *plan, got []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range p.release {
		if e := s.entries[name]; e != nil && e.giving {
			e.held, e.giving = false, false
		}
	}
	for _, name := range got {
		if e := s.entries[name]; e != nil {
			e.held, e.free = true, time.Time{}
			e.wake()
		}
	}
	for node := range s.seen {
		if slices.Contains(p.bury, node) {
			delete(s.seen, node)
			s.log.Warn("another node has gone without a word; its background work is taken over", "gone", node)
		}
	}
}

// judge finds the nodes whose counter has stood still too long. A time in which this node could not look itself does not count.
func (s *Shared) judge(v *view) {
	now := s.clock.Now()
	blind := now.Sub(s.looked) > 2*beat
	s.looked = now
	for node := range s.seen {
		if !v.nodes[node] {
			delete(s.seen, node)
		}
	}
	v.dead = map[string]bool{}
	for node := range v.nodes {
		if node == s.self.ID {
			continue
		}
		last, known := s.seen[node]
		switch {
		case !known || blind || last.counter != v.counters[node]:
			s.seen[node] = sighting{v.counters[node], now}
		case now.Sub(last.since) >= takeover:
			v.dead[node] = true
		}
	}
}

// look reads all rows.
func (s *Shared) look(ctx context.Context) (*view, error) {
	v, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	s.judge(v)
	return v, nil
}
