package cloudformation

import (
	"context"
	"time"

	"croft/internal/cfn"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/timer"
)

const (
	expireHandler = "cloudformation.expire"
	// keepDeleted is how long a deleted stack can be described by its id, as on AWS.
	keepDeleted = 90 * 24 * time.Hour
)

// forgetLater sets the time at which a deleted stack is forgotten.
func (s *Service) forgetLater(ctx context.Context, st *cfn.Stack) error {
	call := cloud.CallOf(ctx)
	return s.deps.Timers.Set(ctx, timer.Timer{
		Handler: expireHandler, ID: uid(st.ID), Account: call.Account, Region: call.Region, Due: call.Now.Add(keepDeleted),
	})
}

// expire removes all rows of a stack that was deleted long ago.
func (s *Service) expire(ctx context.Context, t timer.Timer) error {
	return s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		st, err := load(tx, t.ID)
		if st == nil || err != nil {
			return err
		}
		for _, key := range []kv.Key{stackKey(t.ID), createdKey(st.Created, t.ID), textKey(st.Current.Template)} {
			if err := tx.Delete(key); err != nil {
				return err
			}
		}
		for _, prefix := range []kv.Key{recordsPrefix(t.ID), eventsLog(t.ID), tokensPrefix(t.ID), exportsOfPrefix(t.ID), usesPrefix(t.ID)} {
			if err := tx.DeleteRange(kv.PrefixRange(prefix)); err != nil {
				return err
			}
		}
		return nil
	})
}
