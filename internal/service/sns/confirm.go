package sns

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"croft/internal/awsapi/sns"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/timer"
	"croft/internal/wire"
)

const (
	// expireHandler is the timer that ends a token; its id is the topic's name, a colon and the token.
	expireHandler = "sns.expire"
	// tokenLife is how long a token holds. Source: the service's API reference, Subscribe.
	tokenLife  = 2 * 24 * time.Hour
	tokenBytes = 96
)

// confirmation is what a token stands for: a subscription that waits, or one that was removed and can be had back.
type confirmation struct {
	TopicID      uint64       `json:"t"`
	Subscription subscription `json:"s"`
}

// askToConfirm sends an endpoint a token: to confirm its subscription, or to take it up again after it was removed.
func (s *Service) askToConfirm(ctx context.Context, tx kv.Tx, t *topic, sub *subscription, kind string) error {
	var random [tokenBytes]byte
	rand.Read(random[:])
	token, call := hex.EncodeToString(random[:]), cloud.CallOf(ctx)
	row, err := json.Marshal(confirmation{t.ID, *sub})
	if err != nil {
		return fmt.Errorf("sns: %w", err)
	}
	if err := tx.Put(tokenKey(sub.Topic, token), row); err != nil {
		return err
	}
	err = s.deps.Timers.Set(ctx, timer.Timer{
		Handler: expireHandler, ID: sub.Topic + ":" + token, Account: call.Account, Region: call.Region, Due: call.Now.Add(tokenLife),
	})
	if err != nil {
		return err
	}
	d := sub.delivery(call)
	d.Kind, d.Token, d.Dead, d.Sign = kind, token, "", t.Attributes["SignatureVersion"]
	if sub.web() {
		if d.Policy, err = sub.effectivePolicy(t.Attributes["DeliveryPolicy"]); err != nil {
			return err
		}
	}
	arn := call.ARN("sns", sub.Topic)
	message := "You have chosen to subscribe to the topic " + arn + ".\nTo confirm the subscription, visit the SubscribeURL included in this message."
	if kind == typeUnsubscribe {
		message = "You have chosen to deactivate subscription " + d.ARN +
			".\nTo cancel this operation and restore the subscription, visit the SubscribeURL included in this message."
	}
	return s.letter(ctx, &d, arn, message)
}

// ConfirmSubscription confirms a subscription with the token that its endpoint got, or takes one up again that was removed.
func (s *Service) ConfirmSubscription(ctx context.Context, in *sns.ConfirmSubscriptionInput) (*sns.ConfirmSubscriptionOutput, error) {
	guard := wire.Value(in.AuthenticateOnUnsubscribe)
	if guard != "" && !strings.EqualFold(guard, "true") && !strings.EqualFold(guard, "false") {
		return nil, invalid("AuthenticateOnUnsubscribe")
	}
	name, err := s.topicName(ctx, "TopicArn", in.TopicArn)
	if err != nil {
		return nil, err
	}
	if _, err := hex.DecodeString(in.Token); err != nil || in.Token == "" {
		return nil, sns.NewInvalidParameterException("Invalid token")
	}
	call := cloud.CallOf(ctx)
	var arn string
	err = s.space(ctx).Update(ctx, func(_ context.Context, tx kv.Tx) error {
		row, err := tx.Get(tokenKey(name, in.Token))
		if errors.Is(err, kv.ErrNotFound) {
			return invalid("Token")
		}
		if err != nil {
			return err
		}
		var c confirmation
		if err := json.Unmarshal(row, &c); err != nil {
			return fmt.Errorf("sns: a token's row: %w", err)
		}
		sub, err := c.current(tx)
		if err != nil {
			return err
		}
		if sub.Pending {
			sub.Pending, sub.Authenticated = false, call.Principal.Kind != cloud.Anonymous
			sub.Guarded = sub.Authenticated && strings.EqualFold(guard, "true")
		}
		arn = sub.arn(call)
		return putSubscription(tx, sub, c.TopicID)
	})
	if err != nil {
		return nil, err
	}
	return &sns.ConfirmSubscriptionOutput{SubscriptionArn: &arn}, nil
}

// current returns the subscription as it is now, or as it was when the token was made if there is none for its endpoint any more. The topic must
// still be the one of that time.
func (c *confirmation) current(tx kv.Tx) (*subscription, error) {
	t, err := getTopic(tx, c.Subscription.Topic)
	if err != nil {
		return nil, err
	}
	if t.ID != c.TopicID {
		return nil, invalid("Token")
	}
	row, err := tx.Get(memberKey(c.TopicID, c.Subscription.Protocol, c.Subscription.Endpoint))
	if errors.Is(err, kv.ErrNotFound) {
		return &c.Subscription, nil
	}
	if err != nil {
		return nil, err
	}
	return decodeSubscription(row)
}

// expire ends a token, and removes the subscription that it should have confirmed if that still waits.
func (s *Service) expire(ctx context.Context, t timer.Timer) error {
	name, token, _ := strings.Cut(t.ID, ":")
	return s.space(ctx).Update(ctx, func(_ context.Context, tx kv.Tx) error {
		row, err := tx.Get(tokenKey(name, token))
		if errors.Is(err, kv.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := tx.Delete(tokenKey(name, token)); err != nil {
			return err
		}
		var c confirmation
		if err := json.Unmarshal(row, &c); err != nil {
			return fmt.Errorf("sns: a token's row: %w", err)
		}
		sub, topic, err := getSubscription(tx, name, c.Subscription.ID)
		if cloud.Code(err) == subscriptionNotFound().Code {
			return nil
		}
		if err != nil || !sub.Pending {
			return err
		}
		return deleteSubscription(tx, sub, topic)
	})
}

// unsubscribe removes a subscription. An HTTP endpoint that had confirmed it learns of that, with a token to have it back.
func (s *Service) unsubscribe(ctx context.Context, tx kv.Tx, sub *subscription, topic uint64) error {
	if sub.Guarded && cloud.CallOf(ctx).Principal.Kind == cloud.Anonymous {
		return sns.NewAuthorizationErrorException("The subscription %s can only be removed by a signed request", sub.ID)
	}
	if err := deleteSubscription(tx, sub, topic); err != nil {
		return err
	}
	if !sub.web() || sub.Pending {
		return nil
	}
	t, err := getTopic(tx, sub.Topic)
	if cloud.Code(err) == topicNotFound().Code {
		return nil
	}
	if err != nil {
		return err
	}
	return s.askToConfirm(ctx, tx, t, sub, typeUnsubscribe)
}
