package s3

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	api "croft/internal/awsapi/s3"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/timer"
	"croft/internal/wire"
)

// What bounds one transaction of a sweep: the rows that it looks at, and about how many it removes. An upload counts as many, since it may have maxParts.
const (
	expirePage   = 200
	expireWork   = 10_000
	uploadWeight = 2_500
)

// The phases of a sweep.
const (
	currentPhase = iota
	olderPhase
	uploadPhase
	endPhase
)

// sweep is how far the rules have got today. It is the body of the bucket's timer.
type sweep struct {
	Phase int    `json:"p,omitempty"`
	After []byte `json:"a,omitempty"`
	// Key, Newer and Kept are of the older version that was looked at last: when the next newer one was made, and how many noncurrent versions of
	// the key have been passed.
	Key   string    `json:"k,omitempty"`
	Newer time.Time `json:"n,omitzero"`
	Kept  int32     `json:"c,omitempty"`
}

// expiry is a sweep at work in one transaction.
type expiry struct {
	*sweep
	s      *Service
	tx     kv.Tx
	b      *bucket
	bucket string
	rules  []api.LifecycleRule
	now    time.Time
	work   int
}

// expire acts on a bucket's rules for a page of rows, and sets the timer for the next page or the next midnight. It runs in the transaction that removes
// the timer.
func (s *Service) expire(ctx context.Context, t timer.Timer) error {
	state := new(sweep)
	if len(t.Body) > 0 {
		if err := json.Unmarshal(t.Body, state); err != nil {
			return fmt.Errorf("s3: %w", err)
		}
	}
	return s.space().Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		at := *state
		b, err := read(tx, t.ID)
		if cloud.Code(err) == "NoSuchBucket" || err == nil && (b.Account != t.Account || b.Region != t.Region) {
			return nil // the bucket of that name is another one, or none
		}
		if err != nil {
			return err
		}
		var c lifecycle
		if has, err := readSetting(tx, t.ID, lifecycleSetting, &c); err != nil || !has {
			return err
		}
		quiet := *b
		quiet.Notifies = false // S3 does not tell of expiry as of deletion
		e := &expiry{sweep: &at, s: s, tx: tx, b: &quiet, bucket: t.ID, now: cloud.CallOf(ctx).Now}
		e.rules = slices.DeleteFunc(c.Rules, func(r api.LifecycleRule) bool { return r.Status != api.ExpirationStatusEnabled })
		if err := e.page(ctx); err != nil {
			return err
		}
		next := timer.Timer{Handler: lifecycleHandler, ID: t.ID, Account: t.Account, Region: t.Region, Due: e.now}
		if at.Phase == endPhase {
			next.Due = midnight(e.now)
		} else if next.Body, err = json.Marshal(at); err != nil {
			return err
		}
		return s.deps.Timers.Set(ctx, next)
	})
}

// page goes through the next rows of the phase. Rows are looked at outside the conflict set and read again before they go.
func (e *expiry) page(ctx context.Context) error {
	base, look := e.phase()
	from := kv.PrefixRange(base)
	if e.After != nil {
		from.Start = append(slices.Clone(e.After), 0)
	}
	n := 0
	for row, err := range e.tx.Loose().Scan(from, kv.ScanOptions{Limit: expirePage}) {
		if err != nil {
			return err
		}
		n++
		e.After = slices.Clone(row.Key)
		if err := look(ctx, e.After, row.Value); err != nil || e.work >= expireWork {
			return err
		}
	}
	if n < expirePage {
		*e.sweep = sweep{Phase: e.Phase + 1}
	}
	return nil
}

func (e *expiry) phase() (kv.Key, func(ctx context.Context, key, value []byte) error) {
	switch e.Phase {
	case currentPhase:
		return objectsPrefix(e.bucket), e.current
	case olderPhase:
		return versionsPrefix(e.bucket), e.older
	}
	return uploadsPrefix(e.bucket), e.upload
}

// expired reports whether a rule ends the current version of a key.
func (e *expiry) expired(key string, o *object) bool {
	return slices.ContainsFunc(e.rules, func(r api.LifecycleRule) bool {
		c, x := criteriaOf(&r), r.Expiration
		return x != nil && c.match(key, o) && (x.Days != nil && due(o.Modified, *x.Days, e.now) || x.Date != nil && !x.Date.After(e.now))
	})
}

func (e *expiry) current(ctx context.Context, row, value []byte) error {
	key := string(row[len(objectsPrefix(e.bucket)):])
	o, err := decodeObject(value)
	if err != nil || !e.expired(key, o) && e.transition(key, o) == o.Class {
		return err
	}
	if o, err = lookObject(e.tx, e.bucket, key); err != nil || o == nil {
		return err
	}
	if !e.expired(key, o) {
		e.work++
		o.Class = e.transition(key, o)
		return writeVersion(e.tx, name{e.bucket, key}, o, true)
	}
	e.work += 1 + o.Parts
	_, err = e.s.remove(ctx, e.tx, e.b, name{e.bucket, key}, nil, nil)
	return err
}

// older looks at a row of the older versions, which come by key and the newest first.
func (e *expiry) older(ctx context.Context, row, value []byte) error {
	k := kv.ReadKey(row, versionsPrefix(e.bucket))
	key := k.Str()
	o, err := decodeObject(value)
	if err = errors.Join(err, k.Err()); err != nil {
		return err
	}
	at := name{e.bucket, key}
	if key != e.Key || e.Newer.IsZero() {
		current, err := lookObject(e.tx.Loose(), e.bucket, key)
		if err != nil {
			return err
		}
		e.Key, e.Kept, e.Newer = key, 0, o.Modified
		if current == nil {
			return e.marker(ctx, at, o)
		}
		e.Newer = current.Modified
	}
	since, kept := e.Newer, e.Kept
	e.Newer, e.Kept = o.Modified, e.Kept+1
	gone := slices.ContainsFunc(e.rules, func(r api.LifecycleRule) bool {
		c, x := criteriaOf(&r), r.NoncurrentVersionExpiration
		return x != nil && c.match(key, o) && due(since, *x.NoncurrentDays, e.now) && kept >= wire.Value(x.NewerNoncurrentVersions)
	})
	if !gone {
		return nil
	}
	return e.drop(ctx, at, o)
}

// drop removes an older version if it is one still.
func (e *expiry) drop(ctx context.Context, at name, o *object) error {
	_, err := e.tx.Get(versionKey(at.bucket, at.key, o.Seq))
	if errors.Is(err, kv.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	e.work += 1 + o.Parts
	return e.s.dropOlder(ctx, e.tx, at, o)
}

// marker looks at a delete marker that is the newest version of its key: once it is the only one, it is expired itself.
func (e *expiry) marker(ctx context.Context, at name, o *object) error {
	wanted := slices.ContainsFunc(e.rules, func(r api.LifecycleRule) bool {
		c, x := criteriaOf(&r), r.Expiration
		return x != nil && c.match(at.key, o) && wire.Value(x.ExpiredObjectDeleteMarker)
	})
	if !wanted && !e.expired(at.key, o) {
		return nil
	}
	n := 0
	for _, err := range e.tx.Scan(versionsRange(at.bucket, at.key), kv.ScanOptions{Limit: 2}) {
		if err != nil {
			return err
		}
		n++
	}
	if there, err := lookObject(e.tx, at.bucket, at.key); err != nil || there != nil || n != 1 {
		return err
	}
	return e.drop(ctx, at, o)
}

// upload looks at an upload in parts that has not ended.
func (e *expiry) upload(ctx context.Context, row, value []byte) error {
	k := kv.ReadKey(row, uploadsPrefix(e.bucket))
	key, id := k.Str(), string(k.Rest())
	u := new(upload)
	if err := errors.Join(json.Unmarshal(value, u), k.Err()); err != nil {
		return err
	}
	old := slices.ContainsFunc(e.rules, func(r api.LifecycleRule) bool {
		c, x := criteriaOf(&r), r.AbortIncompleteMultipartUpload
		return x != nil && c.match(key, &object{}) && due(u.Begun, *x.DaysAfterInitiation, e.now)
	})
	if !old {
		return nil
	}
	if _, err := readUpload(e.tx, e.bucket, key, id); err != nil {
		if cloud.Code(err) == "NoSuchUpload" {
			return nil
		}
		return err
	}
	e.work += uploadWeight
	return e.s.abort(ctx, e.tx, e.bucket, key, id)
}
