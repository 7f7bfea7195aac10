package sqs

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"time"

	"croft/internal/kv"
)

// fillFIFO takes messages from the groups that are free, oldest first. It looks at the head of the order of groups alone: what is
// in flight or delayed stands behind it, so that neither the number of messages nor that of groups counts.
func (rc *receiver) fillFIFO(ctx context.Context, tx kv.Tx, a *attempt, now time.Time) error {
	if rc.retry != nil {
		if done, err := rc.repeat(tx, a, now); done || err != nil {
			return err
		}
	}
	var passed [][]byte
	seen := map[string]bool{}
	for e, err := range tx.Loose().Scan(visibleBy(a.queue.ID, now), kv.ScanOptions{}) {
		if err != nil {
			return err
		}
		key := bytes.Clone(e.Key)
		if len(passed) < a.skip {
			passed = append(passed, key)
			continue
		}
		if err := rc.takeGroup(ctx, tx, a, key, seen, now); err != nil {
			return err
		}
		if a.again || len(a.taken) == rc.most {
			break
		}
	}
	for _, key := range passed {
		if a.again || len(a.taken) == rc.most {
			break
		}
		if err := rc.takeGroup(ctx, tx, a, key, seen, now); err != nil {
			return err
		}
	}
	// What expired or went to the dead-letter queue may have had others behind it.
	a.again = a.again && len(a.taken) == 0
	if rc.retry == nil || len(a.taken) == 0 {
		return nil
	}
	return rc.remember(tx, a, now)
}

// groupMember is a member with its sequence number's row.
type groupMember struct {
	member
	key []byte
}

// takeGroup takes messages from the start of one group, until there are enough.
func (rc *receiver) takeGroup(ctx context.Context, tx kv.Tx, a *attempt, key []byte, seen map[string]bool, now time.Time) error {
	k := kv.ReadKey(key, orderPrefix(a.queue.ID))
	next := k.Time()
	name := string(k.Rest())
	// A scan may come upon a group again in the place that this attempt has given it.
	if k.Err() != nil || seen[name] || !rc.claim(a, key) {
		return k.Err()
	}
	seen[name] = true
	g, found, err := getGroup(tx, a.queue, name)
	if err != nil || !found || !g.next.Equal(next) {
		return err
	}
	members, err := rc.head(tx, a, name)
	if err != nil {
		return err
	}
	gone := 0
	oldest := now.Add(-a.queue.Settings.retention())
	for _, m := range members {
		if len(a.taken) == rc.most || m.visible.After(now) && !m.sent.Before(oldest) {
			break
		}
		if gone == expiredBatch {
			a.again = true
			break
		}
		left, err := rc.takeMember(ctx, tx, a, m, oldest, now)
		if err != nil {
			return err
		}
		if left {
			gone++
		}
	}
	a.again = a.again || gone > 0
	return regroup(tx, a.queue, name, now)
}

// head returns the first members of a group: as many as may be taken or found to be over.
func (rc *receiver) head(tx kv.Tx, a *attempt, name string) (members []groupMember, err error) {
	limit := rc.most - len(a.taken) + expiredBatch
	for e, err := range tx.Loose().Scan(kv.PrefixRange(membersOf(a.queue.ID, name)), kv.ScanOptions{Limit: limit}) {
		if err != nil {
			return nil, err
		}
		m, err := decodeMember(e.Value)
		if err != nil {
			return nil, err
		}
		members = append(members, groupMember{m, bytes.Clone(e.Key)})
	}
	return members, nil
}

// takeMember receives a message of a group. left reports that it left the group instead: expired, or for the dead-letter queue.
func (rc *receiver) takeMember(ctx context.Context, tx kv.Tx, a *attempt, m groupMember, oldest, now time.Time) (left bool, err error) {
	row, err := tx.Get(flightKey(a.queue.ID, m.id))
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		return false, err
	}
	if row == nil || m.sent.Before(oldest) {
		if err := tx.Delete(flightKey(a.queue.ID, m.id)); err != nil {
			return false, err
		}
		return true, tx.Delete(m.key)
	}
	f, record, err := splitFlight(row)
	if err != nil {
		return false, err
	}
	if a.queue.Settings.exhausted(&f) {
		buried, err := rc.s.bury(ctx, tx, rc.name, a.queue, f, record, now)
		if err != nil {
			return false, err
		}
		if buried {
			return true, tx.Delete(m.key)
		}
	}
	rc.depart(a, &f, now)
	return false, rc.fly(tx, a, m, f, record)
}

// fly writes the rows of a message of a group that is in flight, and hands it out.
func (rc *receiver) fly(tx kv.Tx, a *attempt, m groupMember, f flight, record []byte) error {
	row := f.with(record)
	if err := tx.Put(flightKey(a.queue.ID, m.id), row); err != nil {
		return err
	}
	m.visible, m.received = f.visible, true
	if err := tx.Put(m.key, m.encode()); err != nil {
		return err
	}
	a.taken = append(a.taken, taken{handle{a.queue.ID, m.id, f.nonce}, f, row[flightHead:]})
	return nil
}

// remember notes what an attempt was given, for its repetition.
func (rc *receiver) remember(tx kv.Tx, a *attempt, now time.Time) error {
	var value []byte
	for _, t := range a.taken {
		value = append(value, t.handle.id[:]...)
		value = binary.BigEndian.AppendUint64(value, t.handle.nonce)
		value = binary.BigEndian.AppendUint64(value, uint64(t.flight.visible.UnixNano()))
	}
	return putToken(tx, a.queue, retryKey(a.queue.ID, *rc.retry), now.Add(remembered), value)
}

// repeat hands out again what an attempt of the same id was given, with the same handles and a new visibility timeout, as long as none of it
// has been deleted, changed or become visible. Source: Amazon SQS API Reference, ReceiveMessage.
func (rc *receiver) repeat(tx kv.Tx, a *attempt, now time.Time) (done bool, err error) {
	const each = len(messageID{}) + 8 + 8
	value, err := getToken(tx, retryKey(a.queue.ID, *rc.retry), now)
	if err != nil || len(value) == 0 || len(value)%each != 0 {
		return false, err
	}
	groups := map[string]bool{}
	rollback := tx.Savepoint()
	for ; len(value) > 0; value = value[each:] {
		id := messageID(value[:len(messageID{})])
		nonce := binary.BigEndian.Uint64(value[len(id):])
		visible := time.Unix(0, int64(binary.BigEndian.Uint64(value[len(id)+8:])))
		row, err := tx.Get(flightKey(a.queue.ID, id))
		if err != nil && !errors.Is(err, kv.ErrNotFound) {
			return false, err
		}
		f, record, err := splitFlight(row)
		if row == nil || err != nil || f.nonce != nonce || !f.visible.Equal(visible) || !visible.After(now) {
			rollback()
			a.taken = nil
			return false, nil
		}
		r, err := decodeRecord(record)
		if err != nil {
			return false, err
		}
		f.visible = now.Add(rc.timeout(a))
		m := groupMember{member{r.id, r.sent, f.visible, true}, memberKey(a.queue.ID, r.group, r.sequence)}
		if err := rc.fly(tx, a, m, f, record); err != nil {
			return false, err
		}
		groups[r.group] = true
	}
	for name := range groups {
		if err := regroup(tx, a.queue, name, now); err != nil {
			return false, err
		}
	}
	return true, rc.remember(tx, a, now)
}

// sweepGroups removes expired messages of the groups whose first message has expired: they stand first in the order.
func sweepGroups(tx kv.Tx, q *queue, oldest, now time.Time) (more bool, err error) {
	removed := 0
	for e, err := range tx.Loose().Scan(visibleBy(q.ID, oldest), kv.ScanOptions{Limit: sweepBatch}) {
		if err != nil {
			return false, err
		}
		k := kv.ReadKey(e.Key, orderPrefix(q.ID))
		k.Time()
		name := string(k.Rest())
		if _, found, err := getGroup(tx, q, name); err != nil || !found {
			return false, err
		}
		for e, err := range tx.Loose().Scan(kv.PrefixRange(membersOf(q.ID, name)), kv.ScanOptions{Limit: sweepBatch}) {
			if err != nil {
				return false, err
			}
			m, err := decodeMember(e.Value)
			if err != nil {
				return false, err
			}
			if !m.sent.Before(oldest) || removed >= sweepBatch {
				break
			}
			if err := tx.Delete(flightKey(q.ID, m.id)); err != nil {
				return false, err
			}
			if err := tx.Delete(bytes.Clone(e.Key)); err != nil {
				return false, err
			}
			removed++
		}
		if err := regroup(tx, q, name, now); err != nil {
			return false, err
		}
	}
	return removed >= sweepBatch, nil
}
