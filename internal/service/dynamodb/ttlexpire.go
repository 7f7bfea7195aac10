package dynamodb

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/service/dynamodb/decimal"
	"croft/internal/timer"
)

// The timers of a time to live: expireHandler deletes what is over, and enterHandler enters the items from before it, one piece after the other.
const (
	expireHandler = serviceName + ".expire"
	enterHandler  = serviceName + ".expireenter"
)

const (
	// expirePause is how often a table is looked at when nothing is over, at most and at least: the nearest expiry is waited for, but a write does not
	// set a timer, which would make all writers of a table meet in one row.
	expirePause    = time.Minute
	expirePauseMin = time.Second
	// expireItems and expireBytes bound one piece.
	expireItems = 100
	expireBytes = 4 << 20
	// expireYears is for how long a time that is over counts: one that lies further back is taken for something else. Source: DynamoDB Developer Guide,
	// "Using time to live (TTL) in DynamoDB".
	expireYears = 5
)

// expiryPrefix is what the keys of the table's expiries begin with, followed by the time in seconds and what follows the table id in the item's key.
func (t *table) expiryPrefix() kv.Key { return kv.Key{'l'}.Raw(t.id[:]...) }

func (t *table) expiryKey(at uint64, itemKey kv.Key) kv.Key {
	return t.expiryPrefix().Uint(at).Raw(itemKey[1+len(t.id):]...)
}

// expiry returns when an item's time is over, in seconds since 1970; ok is whether it has one. Only numbers count.
func (t *table) expiry(item attributes) (at uint64, ok bool) {
	if t.TTL == nil {
		return 0, false
	}
	v, there := item[t.TTL.Attribute]
	if !there || v.N == nil {
		return 0, false
	}
	d, err := decimal.Parse(*v.N)
	if err != nil {
		return 0, false
	}
	whole, _, _ := strings.Cut(string(d.Append(nil)), ".")
	at, err = strconv.ParseUint(whole, 10, 63)
	return at, err == nil && at > 0
}

// moveExpiry brings the item's entry up to date: the old one goes and the new one comes.
func (t *table) moveExpiry(tx kv.Tx, c *change) error {
	if t.TTL == nil {
		return nil
	}
	before, had := t.expiry(c.old)
	now, has := t.expiry(c.new)
	if had == has && before == now {
		return nil
	}
	if had {
		if err := tx.Delete(t.expiryKey(before, c.key)); err != nil {
			return err
		}
	}
	if !has {
		return nil
	}
	return tx.Put(t.expiryKey(now, c.key), nil)
}

// expiringTable returns the table of a job, nil when it has that time to live no longer.
func (s *Service) expiringTable(r kv.Reader, tm timer.Timer, j *expireJob) (*table, error) {
	if err := json.Unmarshal(tm.Body, j); err != nil {
		return nil, fmt.Errorf("dynamodb: the body of a timer is damaged: %w", err)
	}
	t, err := s.getTable(r, j.Table)
	if errors.Is(err, kv.ErrNotFound) || err == nil && (t.TTL == nil || t.TTL.ID != j.ID) {
		return nil, nil
	}
	return t, err
}

// enterExpiries enters the next piece of the items that were there before the time to live. Entering one twice does nothing.
func (s *Service) enterExpiries(ctx context.Context, tm timer.Timer) error {
	return s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		var j expireJob
		t, err := s.expiringTable(tx, tm, &j)
		if err != nil || t == nil {
			return err
		}
		rng := t.items()
		if j.After != nil {
			rng.Start = after(j.After)
		}
		items, size := 0, 0
		for e, err := range tx.Scan(rng, kv.ScanOptions{Limit: fillItems}) {
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return err
			}
			items, size, j.After = items+1, size+len(e.Value), bytes.Clone(e.Key)
			item, _, err := decodeItem(e.Value)
			if err != nil {
				return err
			}
			if at, ok := t.expiry(item); ok {
				if err := tx.Put(t.expiryKey(at, j.After), nil); err != nil {
					return err
				}
			}
			if size >= fillBytes {
				break
			}
		}
		if items < fillItems && size < fillBytes {
			return nil
		}
		return s.expireAt(ctx, enterHandler, &j, cloud.CallOf(ctx).Now)
	})
}

// expire deletes a piece of the items whose time is over.
func (s *Service) expire(ctx context.Context, tm timer.Timer) error {
	now := cloud.CallOf(ctx).Now
	return s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		var j expireJob
		t, err := s.expiringTable(tx, tm, &j)
		if err != nil || t == nil {
			return err
		}
		over, next, err := t.over(ctx, tx.Loose(), now)
		if err != nil {
			return err
		}
		left, err := t.expireItems(tx, over)
		if err != nil {
			return err
		}
		if left {
			next = now
		}
		return s.expireAt(ctx, expireHandler, &j, next)
	})
}

// over returns the keys of the expiries that have come, at most a piece of them, and when to look again. It may be read loosely: each item is looked at
// again before it is deleted.
func (t *table) over(ctx context.Context, r kv.Reader, now time.Time) (over []kv.Key, next time.Time, err error) {
	prefix := t.expiryPrefix()
	rng := kv.PrefixRange(prefix)
	rng.Start = prefix.Uint(uint64(max(0, now.AddDate(-expireYears, 0, 0).Unix())))
	next = now.Add(expirePause)
	for e, err := range r.Scan(rng, kv.ScanOptions{Limit: expireItems + 1}) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, next, err
		}
		k := kv.ReadKey(e.Key, prefix)
		at := time.Unix(int64(k.Uint()), 0)
		if err := k.Err(); err != nil {
			return nil, next, err
		}
		switch {
		case at.After(now):
			if at.Before(next) {
				next = at
			}
			if soon := now.Add(expirePauseMin); next.Before(soon) {
				next = soon
			}
			return over, next, nil
		case len(over) == expireItems:
			return over, now, nil
		}
		over = append(over, bytes.Clone(e.Key))
	}
	return over, next, nil
}

// expireItems deletes the items of expiries that have come, and reports whether it left some for the next piece.
func (t *table) expireItems(tx kv.Tx, over []kv.Key) (left bool, err error) {
	size := 0
	for _, key := range over {
		if size >= expireBytes {
			return true, nil
		}
		itemKey := t.itemPrefix().Raw(key[1+len(t.id)+8:]...)
		old, err := readPrevious(tx, itemKey, true)
		if err != nil {
			return false, err
		}
		size += len(old.stored)
		at, ok := t.expiry(old.attributes)
		if !ok || !bytes.Equal(t.expiryKey(at, itemKey), key) {
			// The loose read saw what has changed since.
			if err := tx.Delete(key); err != nil {
				return false, err
			}
			continue
		}
		w := write{kind: writeDelete, table: t.Name, item: make(map[string]api.AttributeValue, 2), expired: true}
		for _, part := range t.keys() {
			w.item[part.name] = old.attributes[part.name]
		}
		if _, err := w.apply(tx, t, itemKey); err != nil {
			return false, err
		}
	}
	return false, nil
}
