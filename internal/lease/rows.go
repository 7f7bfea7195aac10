package lease

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"croft/internal/kv"
)

// Node is one of the processes on a store.
type Node struct {
	// ID is unique to the process.
	ID string `json:"id"`
	// Version is the croft that runs there, Address where it serves, Since when it started.
	Version string    `json:"version"`
	Address string    `json:"address"`
	Since   time.Time `json:"since"`
	// Leases are the names that the node holds: what Nodes fills in.
	Leases []string `json:"-"`
}

const space = "!lease"

// Rows is where leases lie in the store: what empties the store leaves them alone, or all nodes would have to join again.
func Rows() kv.Range { return kv.PrefixRange(kv.Key(nil).Str(space)) }

func watched() kv.Key               { return kv.Key(nil).Raw('w') }
func nodes() kv.Key                 { return watched().Raw('m') }
func holders() kv.Key               { return watched().Raw('l') }
func askers() kv.Key                { return watched().Raw('r') }
func counters() kv.Key              { return kv.Key(nil).Raw('h') }
func nodeKey(id string) kv.Key      { return nodes().Str(id) }
func holderKey(name string) kv.Key  { return holders().Str(name) }
func askerKey(name string) kv.Key   { return askers().Str(name) }
func counterKey(node string) kv.Key { return counters().Str(node) }

// get is Get with an empty answer for a key that is not there. It returns a copy.
func get(r kv.Reader, key []byte) (string, error) {
	v, err := r.Get(key)
	if errors.Is(err, kv.ErrNotFound) {
		return "", nil
	}
	return string(v), err
}

// renew shows that this node lives, and joins it first when it is new. A node that was removed by others is not brought back here: it
// has to give up its work first.
func (s *Shared) renew(ctx context.Context) error {
	began, counter := s.clock.Now(), s.counter+1
	row, err := json.Marshal(s.self)
	if err != nil {
		return fmt.Errorf("lease: %w", err)
	}
	err = s.space.Update(ctx, func(_ context.Context, tx kv.Tx) error {
		there, err := get(tx, nodeKey(s.self.ID))
		if err != nil || there == "" && s.joined {
			return err
		}
		if there == "" {
			if err := tx.Put(nodeKey(s.self.ID), row); err != nil {
				return err
			}
		}
		return tx.Put(counterKey(s.self.ID), kv.EncodeInt64(counter))
	})
	if err != nil {
		return err
	}
	s.joined, s.renewed, s.counter = true, began, counter
	return nil
}

// read returns what lies in the store.
func (s *Shared) read(ctx context.Context) (v *view, err error) {
	err = s.space.View(ctx, func(_ context.Context, r kv.Reader) error {
		v = &view{nodes: map[string]bool{}, counters: map[string]int64{}, holders: map[string]string{}, askers: map[string]string{}}
		for _, part := range []struct {
			prefix kv.Key
			take   func(name string, value []byte)
		}{
			{nodes(), func(node string, _ []byte) { v.nodes[node] = true }},
			{counters(), func(node string, value []byte) { v.counters[node] = kv.Int64(value) }},
			{holders(), func(name string, value []byte) { v.holders[name] = string(value) }},
			{askers(), func(name string, value []byte) { v.askers[name] = string(value) }},
		} {
			if err := each(r, part.prefix, part.take); err != nil {
				return err
			}
		}
		return nil
	})
	return v, err
}

// each calls fn with the name that each key below prefix ends in.
func each(r kv.Reader, prefix kv.Key, fn func(name string, value []byte)) error {
	for e, err := range r.Scan(kv.PrefixRange(prefix), kv.ScanOptions{}) {
		if err != nil {
			return err
		}
		k := kv.ReadKey(e.Key, prefix)
		name := k.Str()
		if k.Err() != nil {
			return k.Err()
		}
		fn(name, e.Value)
	}
	return nil
}

// carryOut writes a plan as far as it still holds, and returns the names that are this node's now. Nothing is written when this node has
// been removed meanwhile.
func (s *Shared) carryOut(ctx context.Context, v *view, p *plan) (got []string, err error) {
	err = s.space.Update(ctx, func(_ context.Context, tx kv.Tx) error {
		got = nil
		if there, err := get(tx, nodeKey(s.self.ID)); err != nil || there == "" {
			return err
		}
		for _, node := range p.bury {
			if err := bury(tx, v, node); err != nil {
				return err
			}
		}
		for _, name := range p.acquire {
			ok, err := s.acquire(tx, name)
			if err != nil {
				return err
			}
			if ok {
				got = append(got, name)
			}
		}
		for _, name := range p.release {
			if err := deleteOwn(tx, holderKey(name), s.self.ID); err != nil {
				return err
			}
		}
		for _, name := range p.ask {
			if err := tx.Put(askerKey(name), []byte(s.self.ID)); err != nil {
				return err
			}
		}
		for _, name := range p.withdraw {
			if err := deleteOwn(tx, askerKey(name), s.self.ID); err != nil {
				return err
			}
		}
		return nil
	})
	return got, err
}

// bury removes a node, unless it has shown since that it lives, and all that is its own.
func bury(tx kv.Tx, v *view, node string) error {
	counter, err := get(tx, counterKey(node))
	if err != nil || kv.Int64([]byte(counter)) != v.counters[node] {
		return err
	}
	if err := errors.Join(tx.Delete(nodeKey(node)), tx.Delete(counterKey(node))); err != nil {
		return err
	}
	for name, holder := range v.holders {
		if holder == node {
			if err := deleteOwn(tx, holderKey(name), node); err != nil {
				return err
			}
		}
	}
	for name, asker := range v.askers {
		if asker == node {
			if err := deleteOwn(tx, askerKey(name), node); err != nil {
				return err
			}
		}
	}
	return nil
}

// acquire takes a name unless a node that is there holds it.
func (s *Shared) acquire(tx kv.Tx, name string) (bool, error) {
	holder, err := get(tx, holderKey(name))
	if err != nil {
		return false, err
	}
	if holder != "" && holder != s.self.ID {
		if there, err := get(tx, nodeKey(holder)); err != nil || there != "" {
			return false, err
		}
	}
	if err := tx.Put(holderKey(name), []byte(s.self.ID)); err != nil {
		return false, err
	}
	return true, deleteOwn(tx, askerKey(name), s.self.ID)
}

// deleteOwn deletes a row whose value is node's id.
func deleteOwn(tx kv.Tx, key kv.Key, node string) error {
	v, err := get(tx, key)
	if err != nil || v != node {
		return err
	}
	return tx.Delete(key)
}

// leave removes this node and all that is its own.
func (s *Shared) leave(ctx context.Context) error {
	v, err := s.read(ctx)
	if err != nil {
		return err
	}
	return s.space.Update(ctx, func(_ context.Context, tx kv.Tx) error { return bury(tx, v, s.self.ID) })
}

// Nodes returns the nodes that are registered, in the order of their ids, with what they hold. One that has died is among them until the others
// notice. It joins the transaction that ctx carries.
func (s *Shared) Nodes(ctx context.Context) (out []Node, err error) {
	err = s.space.View(ctx, func(_ context.Context, r kv.Reader) error {
		out = nil
		held := map[string][]string{}
		if err := each(r, holders(), func(name string, node []byte) { held[string(node)] = append(held[string(node)], name) }); err != nil {
			return err
		}
		var damaged error
		err := each(r, nodes(), func(id string, value []byte) {
			n := Node{ID: id, Leases: held[id]}
			damaged = errors.Join(damaged, json.Unmarshal(value, &n))
			out = append(out, n)
		})
		return errors.Join(err, damaged)
	})
	return out, err
}
