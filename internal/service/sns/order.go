package sns

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"croft/internal/awsapi/sns"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

// What FIFO topics do. Source: the service's developer guide, "Amazon SNS message ordering and deduplication".
const (
	// dedupWindow is for how long a deduplication id is remembered.
	dedupWindow = 5 * time.Minute
	// pruneBatch bounds how many expired ids one publish removes; more than one, so that they do not pile up.
	pruneBatch = 20
	// maxOrdered is how many subscriptions a FIFO topic may have.
	maxOrdered = 100
	// firstSequence is the number below the first one. Sequence numbers have 20 digits.
	firstSequence = 10_000_000_000_000_000_000
)

// checkOrder checks an attribute that only FIFO topics have.
func checkOrder(topicName, name, value string) error {
	first, second := "true", "false"
	if name == "FifoThroughputScope" {
		first, second = "Topic", "MessageGroup"
	}
	if !fifo(topicName) {
		return invalid("%s Reason: The attribute is not valid for this topic type", name)
	}
	if value != first && value != second {
		return invalid("%s", name)
	}
	return nil
}

// validOrderID states the rule for groups and deduplication ids: 1 to 128 letters, digits and punctuation marks of ASCII.
func validOrderID(s string) bool {
	if len(s) < 1 || len(s) > 128 {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// setOrder takes over the parameters of FIFO topics.
func (n *notification) setOrder(topicName string, in *sns.PublishInput) error {
	for _, p := range []struct {
		name  string
		value *string
	}{{"MessageGroupId", in.MessageGroupId}, {"MessageDeduplicationId", in.MessageDeduplicationId}} {
		if p.value == nil {
			continue
		}
		if !fifo(topicName) {
			return invalid("%s Reason: The request includes %s parameter that is not valid for this topic type", p.name, p.name)
		}
		if !validOrderID(*p.value) {
			return invalid("The %s parameter can only include alphanumeric and punctuation characters. 1 to 128 in length", p.name)
		}
	}
	n.Group, n.Dedup = wire.Value(in.MessageGroupId), wire.Value(in.MessageDeduplicationId)
	if fifo(topicName) && n.Group == "" {
		return invalid("The MessageGroupId parameter is required for FIFO topics")
	}
	return nil
}

// optional is a value that is left out when it is empty.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// remembered is a message that a FIFO topic knows by its deduplication id.
type remembered struct {
	ID       string    `json:"i"`
	Sequence string    `json:"q"`
	Time     time.Time `json:"t"`
}

// publishInOrder delivers a notification of a FIFO topic, within the transaction that gives it its sequence number: what lies in the queues is
// in the order of these numbers. A duplicate gets the answer that its original got, and is delivered to nobody.
func (s *Service) publishInOrder(ctx context.Context, tx kv.Tx, t *topic, n *notification) error {
	if n.Dedup == "" {
		if t.Attributes["ContentBasedDeduplication"] != "true" {
			return invalid("The topic should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly")
		}
		sum := sha256.Sum256([]byte(n.body))
		n.Dedup = hex.EncodeToString(sum[:])
	}
	duplicate, err := remember(tx, t, n)
	if err != nil || duplicate {
		return err
	}
	look, call := filtered{n: n}, cloud.CallOf(ctx)
	for e, err := range tx.Scan(membersAfter(t.ID, nil), kv.ScanOptions{Limit: maxOrdered}) {
		if err != nil {
			return err
		}
		sub, err := decodeSubscription(e.Value)
		if err != nil {
			return err
		}
		wanted, err := look.wanted(sub)
		if err != nil {
			return err
		}
		if !wanted {
			continue
		}
		d := sub.delivery(call)
		if err := s.send(ctx, &d, n); err != nil {
			return err
		}
	}
	return nil
}

// remember gives a notification its sequence number, or makes it the duplicate of one that was published before.
func remember(tx kv.Tx, t *topic, n *notification) (duplicate bool, err error) {
	group := ""
	if t.Attributes["FifoThroughputScope"] == "MessageGroup" {
		group = n.Group
	}
	key := dedupKey(t.ID, group, n.Dedup)
	if err := prune(tx, t.ID, n.Time); err != nil {
		return false, err
	}
	row, err := tx.Get(key)
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		return false, err
	}
	if err == nil {
		var known remembered
		if err := json.Unmarshal(row, &known); err != nil {
			return false, fmt.Errorf("sns: a remembered message: %w", err)
		}
		if n.Time.Sub(known.Time) < dedupWindow {
			n.ID, n.Sequence = known.ID, known.Sequence
			return true, nil
		}
	}
	if n.Sequence, err = nextSequence(tx, t.ID); err != nil {
		return false, err
	}
	if row, err = json.Marshal(remembered{n.ID, n.Sequence, n.Time}); err != nil {
		return false, fmt.Errorf("sns: %w", err)
	}
	if err := tx.Put(key, row); err != nil {
		return false, err
	}
	return false, tx.Put(expiryPrefix(t.ID).Time(n.Time).Str(n.Sequence), key)
}

func nextSequence(tx kv.Tx, topic uint64) (string, error) {
	var last uint64
	row, err := tx.Get(sequenceKey(topic))
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		return "", err
	}
	if len(row) == 8 {
		last = binary.BigEndian.Uint64(row)
	}
	last++
	return strconv.FormatUint(firstSequence+last, 10), tx.Put(sequenceKey(topic), binary.BigEndian.AppendUint64(nil, last))
}

// prune forgets deduplication ids whose time has passed.
func prune(tx kv.Tx, topic uint64, now time.Time) error {
	prefix := expiryPrefix(topic)
	expired := kv.Range{Start: prefix, End: expiryPrefix(topic).Time(now.Add(-dedupWindow))}
	type pair struct{ entry, key []byte }
	var gone []pair
	for e, err := range tx.Scan(expired, kv.ScanOptions{Limit: pruneBatch}) {
		if err != nil {
			return err
		}
		gone = append(gone, pair{append([]byte(nil), e.Key...), append([]byte(nil), e.Value...)})
	}
	for _, p := range gone {
		if err := tx.Delete(p.entry); err != nil {
			return err
		}
		row, err := tx.Get(p.key)
		if errors.Is(err, kv.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		// The id may have been published anew meanwhile.
		var known remembered
		if json.Unmarshal(row, &known) == nil && now.Sub(known.Time) < dedupWindow {
			continue
		}
		if err := tx.Delete(p.key); err != nil {
			return err
		}
	}
	return nil
}

// forgetOrder removes what a deleted topic remembered.
func forgetOrder(tx kv.Tx, topic uint64) error {
	for _, prefix := range []kv.Key{kv.Key{'d'}.Uint(topic), expiryPrefix(topic)} {
		if err := tx.DeleteRange(kv.PrefixRange(prefix)); err != nil {
			return err
		}
	}
	return tx.Delete(sequenceKey(topic))
}

// checkRoom refuses one subscription more than a FIFO topic may have.
func checkRoom(tx kv.Tx, topicName string, topic uint64) error {
	if !fifo(topicName) {
		return nil
	}
	n := 0
	for _, err := range tx.Scan(membersAfter(topic, nil), kv.ScanOptions{Limit: maxOrdered}) {
		if err != nil {
			return err
		}
		n++
	}
	if n >= maxOrdered {
		return sns.NewSubscriptionLimitExceededException("Subscription limit exceeded: a FIFO topic has at most %d subscriptions", maxOrdered)
	}
	return nil
}
