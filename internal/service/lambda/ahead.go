package lambda

import (
	"context"
	"encoding/json"
	"fmt"

	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/outbox"
)

// aheadMessage tells the engine of a version that is new or has changed, once that is committed.
const aheadMessage = "lambda.ahead"

// aheadOf is the body of such a message.
type aheadOf struct {
	Function string `json:"f"`
	Version  string `json:"v"`
}

// ahead has an environment of a version initialised before anybody asks for it, once the transaction that ctx carries has committed.
func (s *Service) ahead(ctx context.Context, v *function) error {
	body, err := json.Marshal(aheadOf{v.Name, v.version()})
	if err != nil {
		return fmt.Errorf("lambda: %w", err)
	}
	return s.deps.Outbox.Put(ctx, outbox.Message{Handler: aheadMessage, Key: v.Name, Body: body})
}

// deliverAhead tells the engine. A version that is gone by then needs nothing.
func (s *Service) deliverAhead(ctx context.Context, m outbox.Message) error {
	var a aheadOf
	if err := json.Unmarshal(m.Body, &a); err != nil {
		return fmt.Errorf("lambda: message %s: %w", m.ID, err)
	}
	call := cloud.CallOf(ctx)
	ref := reference{account: call.Account, region: call.Region, name: a.Function, qualifier: a.Version}
	var t *resolved
	err := s.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) (err error) {
		t, err = resolve(r, ref)
		return err
	})
	switch {
	case cloud.Code(err) == "ResourceNotFoundException":
		return nil
	case err != nil:
		return err
	}
	s.engine.Ahead(t.toEngine())
	return nil
}
