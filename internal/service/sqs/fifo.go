package sqs

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strconv"
	"sync"
	"time"

	"croft/internal/awsapi/sqs"
	"croft/internal/kv"
)

// sequences makes sequence numbers: each greater than all before, in this process by memory and across processes and restarts by the time.
// It is safe for concurrent use.
type sequences struct {
	mu   sync.Mutex
	last uint64
}

// sequenceBase makes all sequence numbers twenty digits long.
const sequenceBase = 10_000_000_000_000_000_000

// next returns a number greater than after.
func (s *sequences) next(after uint64, now time.Time) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = max(sequenceBase+uint64(max(now.UnixNano(), 0)), s.last+1, after+1)
	return s.last
}

// sequenceNumber is a sequence number as clients see it; zero, which none is, stands for there being none.
func sequenceNumber(n uint64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatUint(n, 10)
}

// setFIFO changes an attribute that FIFO queues alone have.
func (a *attributes) setFIFO(name, value string) error {
	if !a.FIFO {
		if name == "DeduplicationScope" || name == "FifoThroughputLimit" {
			return sqs.NewInvalidAttributeName("You can specify the %s only when FifoQueue is set to true.", name)
		}
		return unknownAttribute(name)
	}
	choose := func(field *bool, no, yes string) error {
		if value != no && value != yes {
			return invalidAttributeValue(name)
		}
		*field = value == yes
		return nil
	}
	switch name {
	case "ContentBasedDeduplication":
		return choose(&a.ContentDedup, "false", "true")
	case "DeduplicationScope":
		return choose(&a.GroupScope, "queue", "messageGroup")
	case "FifoThroughputLimit":
		return choose(&a.GroupLimit, "perQueue", "perMessageGroupId")
	}
	if value != "true" {
		return sqs.NewInvalidAttributeValue("Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported.")
	}
	return nil
}

// fifoValues adds the attributes that FIFO queues alone have.
func (a *attributes) fifoValues(out map[string]string) {
	out["FifoQueue"] = "true"
	out["ContentBasedDeduplication"] = strconv.FormatBool(a.ContentDedup)
	out["DeduplicationScope"], out["FifoThroughputLimit"] = "queue", "perQueue"
	if a.GroupScope {
		out["DeduplicationScope"] = "messageGroup"
	}
	if a.GroupLimit {
		out["FifoThroughputLimit"] = "perMessageGroupId"
	}
}

// group is a message group with messages in it. Whoever changes anything in a group reads and writes its row, so that nobody else does so at the
// same time.
type group struct {
	// next is the group's place in the order of groups: when it may be looked at.
	next time.Time
	// last is the greatest sequence number.
	last uint64
}

func getGroup(r kv.Reader, q *queue, name string) (g group, found bool, err error) {
	row, err := r.Get(groupKey(q.ID, name))
	if errors.Is(err, kv.ErrNotFound) {
		return g, false, nil
	}
	if err != nil {
		return g, false, err
	}
	k := kv.ReadKey(row, nil)
	g.next, g.last = k.Time(), k.Uint()
	return g, true, k.Err()
}

func putGroup(tx kv.Tx, q *queue, name string, g group) error {
	return tx.Put(groupKey(q.ID, name), kv.Key(nil).Time(g.next).Uint(g.last))
}

// member is what can be said of a message in a group without reading it.
type member struct {
	id            messageID
	sent, visible time.Time
	received      bool
}

func (m *member) encode() []byte {
	received := byte(0)
	if m.received {
		received = 1
	}
	return kv.Key(nil).Raw(m.id[:]...).Time(m.sent).Time(m.visible).Raw(received)
}

func decodeMember(value []byte) (m member, err error) {
	if len(value) != len(m.id)+8+8+1 {
		return m, errMalformed
	}
	m.id = messageID(value[:len(m.id)])
	k := kv.ReadKey(value, value[:len(m.id)])
	m.sent, m.visible = k.Time(), k.Time()
	m.received = value[len(value)-1] == 1
	return m, k.Err()
}

// locked reports whether the message is in flight, and with it its group.
func (m *member) locked(now time.Time) bool { return m.received && m.visible.After(now) }

// place is when the group may be looked at whose first message this is, if none is in flight.
func (m *member) place(now time.Time) time.Time {
	if m.visible.After(now) {
		return m.visible
	}
	// The group whose first message is oldest comes first.
	return m.sent
}

// putMember writes a message of a group. row must be that of f.
func putMember(tx kv.Tx, q *queue, r *record, f *flight, row []byte) error {
	if err := tx.Put(flightKey(q.ID, r.id), row); err != nil {
		return err
	}
	m := member{r.id, r.sent, f.visible, f.receives > 0}
	return tx.Put(memberKey(q.ID, r.group, r.sequence), m.encode())
}

// enqueue puts a message behind the others of its group and gives it its sequence number.
func (s *Service) enqueue(tx kv.Tx, q *queue, r *record, f *flight, now time.Time) error {
	g, found, err := getGroup(tx, q, r.group)
	if err != nil {
		return err
	}
	g.last = s.sequences.next(g.last, now)
	r.sequence = g.last
	if err := putMember(tx, q, r, f, f.with(r.encode())); err != nil {
		return err
	}
	if !found {
		m := member{sent: r.sent, visible: f.visible}
		g.next = m.place(now)
		if err := tx.Put(groupOrderKey(q.ID, g.next, r.group), []byte{1}); err != nil {
			return err
		}
	}
	return putGroup(tx, q, r.group, g)
}

// regroup finds a group its new place after its messages have changed. A receive takes at most maxEntries messages from the start of a
// group, and nobody takes more until these are gone or visible: all that are in flight are among the first maxEntries.
func regroup(tx kv.Tx, q *queue, name string, now time.Time) error {
	g, found, err := getGroup(tx, q, name)
	if err != nil || !found {
		return err
	}
	var first *member
	var locked time.Time
	for e, err := range tx.Loose().Scan(kv.PrefixRange(membersOf(q.ID, name)), kv.ScanOptions{Limit: maxEntries}) {
		if err != nil {
			return err
		}
		m, err := decodeMember(e.Value)
		if err != nil {
			return err
		}
		if first == nil {
			first = &m
		}
		if m.locked(now) && m.visible.After(locked) {
			locked = m.visible
		}
	}
	if err := tx.Delete(groupOrderKey(q.ID, g.next, name)); err != nil {
		return err
	}
	if first == nil {
		return tx.Delete(groupKey(q.ID, name))
	}
	if g.next = locked; locked.IsZero() {
		g.next = first.place(now)
	}
	if err := tx.Put(groupOrderKey(q.ID, g.next, name), []byte{1}); err != nil {
		return err
	}
	return putGroup(tx, q, name, g)
}

// sendFIFO puts a message into a FIFO queue, unless one with its deduplication id was sent less than five minutes ago: then the draft becomes that one.
func (s *Service) sendFIFO(tx kv.Tx, q *queue, d *draft, delay time.Duration, now time.Time) error {
	r := *d.record
	if r.dedup == "" {
		sum := sha256.Sum256([]byte(r.body))
		r.dedup = hex.EncodeToString(sum[:])
	}
	// Ids remembered for the whole queue hold for every group, as they do after the scope has changed.
	keys := []kv.Key{dedupKey(q.ID, "", r.dedup)}
	if q.Settings.GroupScope {
		keys = append(keys, dedupKey(q.ID, r.group, r.dedup))
	}
	for _, key := range keys {
		known, err := getToken(tx, key, now)
		if err != nil {
			return err
		}
		if len(known) == len(r.id)+8 {
			d.id, d.sequence = messageID(known[:len(r.id)]), binary.BigEndian.Uint64(known[len(r.id):])
			return nil
		}
	}
	f := flight{visible: now.Add(delay), nonce: randomUint64()}
	if err := s.enqueue(tx, q, &r, &f, now); err != nil {
		return err
	}
	d.id, d.sequence = r.id, r.sequence
	value := binary.BigEndian.AppendUint64(append([]byte(nil), r.id[:]...), r.sequence)
	return putToken(tx, q, keys[len(keys)-1], now.Add(remembered), value)
}

// removeMember removes a message of a group.
func removeMember(tx kv.Tx, q *queue, r *record, now time.Time) error {
	if err := tx.Delete(flightKey(q.ID, r.id)); err != nil {
		return err
	}
	if err := tx.Delete(memberKey(q.ID, r.group, r.sequence)); err != nil {
		return err
	}
	return regroup(tx, q, r.group, now)
}

// countFIFO walks the groups of a FIFO queue. oldest is when the oldest message was sent that has not expired.
func countFIFO(ctx context.Context, r kv.Reader, q *queue, oldest, now time.Time) (n counts, err error) {
	for e, err := range r.Scan(kv.PrefixRange(membersPrefix(q.ID)), kv.ScanOptions{}) {
		m, err := firstError(err, ctx.Err(), e.Value, decodeMember)
		switch {
		case err != nil:
			return n, err
		case m.sent.Before(oldest):
		case !m.visible.After(now):
			n.visible++
		case m.received:
			n.flying++
		default:
			n.delayed++
		}
	}
	return n, nil
}
