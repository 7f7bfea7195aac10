package dynamodb

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/timer"
	"croft/internal/wire"
)

// tableTTL is the time to live of a table. It is made anew whenever it is enabled.
type tableTTL struct {
	ID        string `json:"id"`
	Attribute string `json:"attribute"`
}

const enabled, disabled = "ENABLED", "DISABLED"

// UpdateTimeToLive enables or disables the time to live of a table. It counts at once; items from before it are entered in the background.
func (s *Service) UpdateTimeToLive(ctx context.Context, in *api.UpdateTimeToLiveInput) (*api.UpdateTimeToLiveOutput, error) {
	name, err := s.tableName(ctx, in.TableName)
	if err != nil {
		return nil, err
	}
	spec := in.TimeToLiveSpecification
	err = s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		t, err := s.namedTable(tx, name)
		if err != nil {
			return err
		}
		if err := t.checkMade(); err != nil {
			return err
		}
		if err := t.checkTTL(spec); err != nil {
			return err
		}
		changed := *t
		changed.wantTTL(spec)
		if err := s.moveTTL(ctx, tx, t, &changed); err != nil {
			return err
		}
		return putTable(tx, &changed)
	})
	if err != nil {
		return nil, err
	}
	return &api.UpdateTimeToLiveOutput{TimeToLiveSpecification: spec}, nil
}

// checkTTL refuses a change that is none, and one to or of another attribute.
func (t *table) checkTTL(spec *api.TimeToLiveSpecification) error {
	switch {
	case t.TTL == nil && !spec.Enabled:
		return validation("TimeToLive is already disabled")
	case t.TTL != nil && t.TTL.Attribute != spec.AttributeName:
		return validation("TimeToLive is active on a different AttributeName: current AttributeName is %s", t.TTL.Attribute)
	case t.TTL != nil && spec.Enabled:
		return validation("TimeToLive is already enabled")
	}
	return nil
}

// wantTTL makes the table's time to live what spec says; nil means none.
func (t *table) wantTTL(spec *api.TimeToLiveSpecification) {
	switch {
	case spec == nil || !spec.Enabled:
		t.TTL = nil
	case t.TTL == nil || t.TTL.Attribute != spec.AttributeName:
		t.TTL = &tableTTL{ID: cloud.NewRequestID(), Attribute: spec.AttributeName}
	}
}

// moveTTL stores what a change of the table's time to live means: the entries of the old one go, and the items are entered for the new one. A nil
// table is one that is not there. It joins the transaction of ctx.
func (s *Service) moveTTL(ctx context.Context, tx kv.Tx, was, is *table) error {
	if was != nil && was.TTL != nil && (is == nil || is.TTL == nil || is.TTL.ID != was.TTL.ID) {
		if err := tx.DeleteRange(kv.PrefixRange(was.expiryPrefix())); err != nil {
			return err
		}
	}
	if is == nil || is.TTL == nil || was != nil && was.TTL != nil && was.TTL.ID == is.TTL.ID {
		return nil
	}
	j := &expireJob{Table: is.Name, ID: is.TTL.ID}
	now := cloud.CallOf(ctx).Now
	if err := s.expireAt(ctx, enterHandler, j, now); err != nil {
		return err
	}
	return s.expireAt(ctx, expireHandler, j, now.Add(expirePause))
}

// DescribeTimeToLive describes the time to live of a table.
func (s *Service) DescribeTimeToLive(ctx context.Context, in *api.DescribeTimeToLiveInput) (*api.DescribeTimeToLiveOutput, error) {
	name, err := s.tableName(ctx, in.TableName)
	if err != nil {
		return nil, err
	}
	out := new(api.DescribeTimeToLiveOutput)
	err = s.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) error {
		t, err := s.namedTable(r, name)
		if err != nil {
			return err
		}
		if t.restoring() {
			return validation("Cannot describe time to live while table is in CREATING state: Current table state is CREATING")
		}
		out.TimeToLiveDescription = t.describeTTL()
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (t *table) describeTTL() *api.TimeToLiveDescription {
	if t.TTL == nil {
		return &api.TimeToLiveDescription{TimeToLiveStatus: wire.Ptr(disabled)}
	}
	return &api.TimeToLiveDescription{TimeToLiveStatus: wire.Ptr(enabled), AttributeName: wire.Ptr(t.TTL.Attribute)}
}

// expireJob is the body of the timers of a time to live.
type expireJob struct {
	Table string `json:"table"`
	// ID is the time to live that the timer belongs to.
	ID string `json:"id"`
	// After is the key of the last item that has been entered; nil at the beginning.
	After []byte `json:"after,omitempty"`
}

// expireAt sets one of the two timers of a time to live. It joins the transaction of ctx.
func (s *Service) expireAt(ctx context.Context, handler string, j *expireJob, due time.Time) error {
	body, err := json.Marshal(j)
	if err != nil {
		return fmt.Errorf("dynamodb: time to live of table %s: %w", j.Table, err)
	}
	call := cloud.CallOf(ctx)
	return s.deps.Timers.Set(ctx, timer.Timer{Handler: handler, ID: j.ID, Account: call.Account, Region: call.Region, Due: due, Body: body})
}
