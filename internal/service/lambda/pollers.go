package lambda

import (
	"context"
	"slices"
	"time"

	"croft/internal/awsapi/lambda"
	"croft/internal/awsapi/sqs"
	"croft/internal/clock"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/poller"
	"croft/internal/wire"
)

const (
	// defaultConcurrency is how many batches of a mapping without ScalingConfig are under way at most: as many as Lambda begins with.
	defaultConcurrency = 5
	// maxRecords bounds a batch's records so that the event stays within an invocation's payload.
	maxRecords = maxPayload - 64
	retryRead  = time.Second
)

// run polls for the enabled mappings of all accounts and regions until ctx ends.
func (s *Service) run(ctx context.Context) {
	watch := s.shared().Watch(allMappingsKey())
	defer watch.Close()
	set := poller.New(ctx, s.deps.Leases, s.deps.Clock, s.deps.Log)
	defer set.Close()
	for failures := 0; ; {
		mappings, err := s.enabled(ctx)
		if err == nil {
			failures = 0
			set.Apply(mappings)
		} else if ctx.Err() == nil {
			if failures++; failures == 1 {
				s.deps.Log.Error("event source mappings cannot be read; trying again", "every", retryRead, "err", err)
			}
			if clock.Sleep(ctx, s.deps.Clock, retryRead) == nil {
				continue
			}
		}
		select {
		case <-watch.C():
		case <-ctx.Done():
			return
		}
	}
}

// enabled returns what is to be polled.
func (s *Service) enabled(ctx context.Context) (out []poller.Mapping, err error) {
	err = s.shared().View(ctx, func(_ context.Context, r kv.Reader) error {
		out = out[:0]
		for e, err := range r.Scan(kv.PrefixRange(allMappingsKey()), kv.ScanOptions{}) {
			if err != nil {
				return err
			}
			account, region, _, err := readMappingKey(e.Key)
			if err != nil {
				return err
			}
			m, err := decodeMapping(e.Value)
			if err != nil {
				return err
			}
			if m.Enabled {
				out = append(out, s.polled(account, region, m))
			}
		}
		return nil
	})
	return out, err
}

// polled returns how a mapping is polled.
func (s *Service) polled(account, region string, m *mapping) poller.Mapping {
	fresh := func(ctx context.Context) context.Context {
		call := cloud.InternalCall(account, region, s.deps.Clock.Now())
		return cloud.AsService(cloud.WithCall(ctx, call), servicePrincipal)
	}
	// The ARN was parsed when the mapping was made.
	queue, _ := cloud.ParseARN(m.Source)
	concurrency := defaultConcurrency
	if m.MaxConcurrency != 0 {
		concurrency = int(m.MaxConcurrency)
	}
	return poller.Mapping{
		Key: m.ID, Revision: m.Revision,
		BatchSize: int(m.BatchSize), Window: time.Duration(m.Window) * time.Second, Concurrency: concurrency, MaxBytes: maxRecords,
		Source: &poller.Queue{Client: sqs.NewClient(s.deps.Caller), ARN: queue, Context: fresh, AttributesMD5: m.Window > 0},
		Send: func(ctx context.Context, batch []poller.Message) ([]poller.Message, error) {
			return s.send(fresh(ctx), m, batch)
		},
	}
}

// send invokes a mapping's function with a batch, and returns the messages that it handled.
func (s *Service) send(ctx context.Context, m *mapping, batch []poller.Message) ([]poller.Message, error) {
	call := cloud.CallOf(ctx)
	batch, dropped, err := s.stopLoops(ctx, m, batch)
	if err != nil || len(batch) == 0 {
		return dropped, err
	}
	handled, err := s.invokeBatch(cloud.WithTrace(ctx, mergeTraces(batch)), m.function(call.Account, call.Region), m.PartialAnswers, batch)
	if err != nil && len(dropped) > 0 {
		s.deps.Log.Warn("a batch could not be given to its function", "mapping", m.ID, "err", err)
		err = nil // the dropped ones are to be removed all the same
	}
	return append(dropped, handled...), err
}

// stopLoops takes out of a batch the messages with which a loop would go on. dropped are those of them that nobody else gets: a queue with a
// dead-letter queue moves them there by itself when they come back often enough.
func (s *Service) stopLoops(ctx context.Context, m *mapping, batch []poller.Message) (rest, dropped []poller.Message, err error) {
	if !slices.ContainsFunc(batch, func(msg poller.Message) bool { return traceField(msg.Trace, "Lineage") != "" }) {
		return batch, nil, nil
	}
	call := cloud.CallOf(ctx)
	var t *resolved
	err = s.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) (err error) {
		t, err = resolve(r, m.function(call.Account, call.Region))
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	var stopped []poller.Message
	for _, msg := range batch {
		if s.loops(t, msg.Trace) {
			stopped = append(stopped, msg)
		} else {
			rest = append(rest, msg)
		}
	}
	if len(stopped) == 0 {
		return batch, nil, nil
	}
	s.deps.Log.Warn("messages are stopped: their function is invoked in a recursive loop", "function", t.ref.arn(), "queue", m.Source, "messages", len(stopped))
	buried, err := s.hasDeadLetters(ctx, m.Source)
	if err != nil || buried {
		return rest, nil, err
	}
	return rest, stopped, nil
}

// hasDeadLetters reports whether a queue moves messages that come back often to another one.
func (s *Service) hasDeadLetters(ctx context.Context, queueARN string) (bool, error) {
	a, err := cloud.ParseARN(queueARN)
	if err != nil {
		return false, err
	}
	out, err := sqs.NewClient(s.deps.Caller).GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
		QueueUrl: "/" + a.Account + "/" + a.Resource, AttributeNames: []string{sqs.QueueAttributeNameRedrivePolicy},
	})
	if err != nil {
		return false, err
	}
	return out.Attributes[sqs.QueueAttributeNameRedrivePolicy] != "", nil
}

// invokeBatch invokes a function with a batch, and returns the messages that it handled.
func (s *Service) invokeBatch(ctx context.Context, function reference, partial bool, batch []poller.Message) ([]poller.Message, error) {
	out, err := lambda.NewClient(s.deps.Caller).Invoke(ctx, &lambda.InvokeInput{
		FunctionName: function.qualified(), Payload: poller.Event(batch),
	})
	switch {
	case err != nil:
		return nil, err
	case wire.Value(out.FunctionError) != "":
		return nil, nil
	case partial:
		return poller.Handled(out.Payload, batch), nil
	}
	return batch, nil
}
