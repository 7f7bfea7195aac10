package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"croft/internal/awsapi/lambda"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

// mapping is the stored form of an event source mapping.
type mapping struct {
	ID string `json:"id"`
	// Source is the queue's ARN.
	Source string `json:"source"`
	// Function and Qualifier are the function as the caller named it.
	Function  string `json:"function"`
	Qualifier string `json:"qualifier,omitempty"`
	Enabled   bool   `json:"enabled"`
	BatchSize int32  `json:"batchSize"`
	// Window is in seconds.
	Window         int32             `json:"window,omitempty"`
	PartialAnswers bool              `json:"partialAnswers,omitempty"`
	MaxConcurrency int32             `json:"maxConcurrency,omitempty"`
	Tags           map[string]string `json:"tags,omitempty"`
	Modified       time.Time         `json:"modified"`
	// Revision changes with everything that the pollers must know.
	Revision string `json:"revision"`
}

const (
	defaultBatchSize = 10
	// maxReceive is the largest batch that needs no window: what one receive yields.
	maxReceive    = 10
	maxMappings   = 100
	mappingReason = "USER_INITIATED"
	partialAnswer = "ReportBatchItemFailures"
)

func errNoMapping() error { return notFound("The resource you requested does not exist.") }

func loadMapping(ctx context.Context, r kv.Reader, id string) (*mapping, error) {
	call := cloud.CallOf(ctx)
	v, err := r.Get(mappingKey(call.Account, call.Region, id))
	if errors.Is(err, kv.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return decodeMapping(v)
}

func decodeMapping(value []byte) (*mapping, error) {
	m := new(mapping)
	if err := json.Unmarshal(value, m); err != nil {
		return nil, fmt.Errorf("lambda: damaged event source mapping: %w", err)
	}
	return m, nil
}

func storeMapping(ctx context.Context, w kv.Writer, m *mapping) error {
	v, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("lambda: %w", err)
	}
	call := cloud.CallOf(ctx)
	return w.Put(mappingKey(call.Account, call.Region, m.ID), v)
}

func (m *mapping) changed(now time.Time) { m.Modified, m.Revision = now, cloud.NewRequestID() }

func (m *mapping) function(account, region string) reference {
	return reference{account: account, region: region, name: m.Function, qualifier: m.Qualifier}
}

// configuration returns the mapping as answers show it. transition is the state during the change that the answer is to; empty
// means that none is under way.
func (m *mapping) configuration(ctx context.Context, transition string) *lambda.EventSourceMappingConfiguration {
	call := cloud.CallOf(ctx)
	state := transition
	switch {
	case state != "":
	case m.Enabled:
		state = "Enabled"
	default:
		state = "Disabled"
	}
	c := &lambda.EventSourceMappingConfiguration{
		UUID: &m.ID, BatchSize: &m.BatchSize, MaximumBatchingWindowInSeconds: &m.Window, EventSourceArn: &m.Source,
		FunctionArn: wire.Ptr(m.function(call.Account, call.Region).qualified()), LastModified: &m.Modified,
		State: &state, StateTransitionReason: wire.Ptr(mappingReason), FunctionResponseTypes: []string{},
		EventSourceMappingArn: wire.Ptr(call.ARN("lambda", "event-source-mapping:"+m.ID)),
	}
	if m.PartialAnswers {
		c.FunctionResponseTypes = append(c.FunctionResponseTypes, partialAnswer)
	}
	if m.MaxConcurrency != 0 {
		c.ScalingConfig = &lambda.ScalingConfig{MaximumConcurrency: &m.MaxConcurrency}
	}
	return c
}

// CreateEventSourceMapping implements the operation.
func (s *Service) CreateEventSourceMapping(ctx context.Context, in *lambda.CreateEventSourceMappingInput) (*lambda.CreateEventSourceMappingOutput, error) {
	if err := checkMapping(in); err != nil {
		return nil, err
	}
	ref, err := s.find(ctx, in.FunctionName, nil)
	if err != nil {
		return nil, err
	}
	m := &mapping{
		ID: cloud.NewRequestID(), Source: s.longARN(ctx, *in.EventSourceArn), Function: ref.name, Qualifier: ref.qualifier, Enabled: true,
		BatchSize: defaultBatchSize, Window: wire.Value(in.MaximumBatchingWindowInSeconds),
		PartialAnswers: len(in.FunctionResponseTypes) > 0, Tags: in.Tags,
	}
	set(&m.Enabled, in.Enabled)
	set(&m.BatchSize, in.BatchSize)
	if in.ScalingConfig != nil {
		m.MaxConcurrency = wire.Value(in.ScalingConfig.MaximumConcurrency)
	}
	m.changed(cloud.CallOf(ctx).Now)
	err = s.shared().Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		if err := s.checkSource(ctx, m); err != nil {
			return err
		}
		if err := unique(ctx, tx, m); err != nil {
			return err
		}
		return storeMapping(ctx, tx, m)
	})
	if err != nil {
		return nil, err
	}
	return m.configuration(ctx, "Creating"), nil
}

// unique refuses a second mapping of the same queue to the same function.
func unique(ctx context.Context, tx kv.Tx, m *mapping) error {
	call := cloud.CallOf(ctx)
	for e, err := range tx.Scan(kv.PrefixRange(mappingsKey(call.Account, call.Region)), kv.ScanOptions{}) {
		if err != nil {
			return err
		}
		old, err := decodeMapping(e.Value)
		if err != nil {
			return err
		}
		if old.ID != m.ID && old.Source == m.Source && old.Function == m.Function && old.Qualifier == m.Qualifier {
			return conflict(`An event source mapping with SQS arn (" %s ") and function (" %s ") already exists. `+
				`Please update or delete the existing mapping with UUID %s`, m.Source, m.Function, old.ID)
		}
	}
	return nil
}

// GetEventSourceMapping implements the operation.
func (s *Service) GetEventSourceMapping(ctx context.Context, in *lambda.GetEventSourceMappingInput) (*lambda.GetEventSourceMappingOutput, error) {
	var m *mapping
	err := s.shared().View(ctx, func(ctx context.Context, r kv.Reader) (err error) {
		m, err = loadMapping(ctx, r, in.UUID)
		return err
	})
	if err != nil {
		return nil, err
	}
	if m == nil {
		return nil, errNoMapping()
	}
	return m.configuration(ctx, ""), nil
}

// ListEventSourceMappings implements the operation.
func (s *Service) ListEventSourceMappings(ctx context.Context, in *lambda.ListEventSourceMappingsInput) (*lambda.ListEventSourceMappingsOutput, error) {
	var ref reference
	if in.FunctionName != nil {
		var err error
		if ref, err = s.find(ctx, *in.FunctionName, nil); err != nil {
			return nil, err
		}
	}
	source := ""
	if in.EventSourceArn != nil {
		source = s.longARN(ctx, *in.EventSourceArn)
	}
	after, err := readMarker(in.Marker)
	if err != nil {
		return nil, err
	}
	limit := maxMappings
	if in.MaxItems != nil {
		limit = min(limit, int(*in.MaxItems))
	}
	out := &lambda.ListEventSourceMappingsOutput{EventSourceMappings: []lambda.EventSourceMappingConfiguration{}}
	err = s.shared().View(ctx, func(ctx context.Context, r kv.Reader) error {
		out.EventSourceMappings, out.NextMarker = out.EventSourceMappings[:0], nil
		call := cloud.CallOf(ctx)
		return page(r, mappingsKey(call.Account, call.Region), after, limit, func(_ string, value []byte) (bool, error) {
			m, err := decodeMapping(value)
			if err != nil || source != "" && m.Source != source ||
				ref.name != "" && (m.Function != ref.name || ref.qualifier != "" && m.Qualifier != ref.qualifier) {
				return false, err
			}
			out.EventSourceMappings = append(out.EventSourceMappings, *m.configuration(ctx, ""))
			return true, nil
		}, &out.NextMarker)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// UpdateEventSourceMapping implements the operation. What the request leaves out stays.
func (s *Service) UpdateEventSourceMapping(ctx context.Context, in *lambda.UpdateEventSourceMappingInput) (*lambda.UpdateEventSourceMappingOutput, error) {
	if err := checkMappingUpdate(in); err != nil {
		return nil, err
	}
	var m *mapping
	err := s.shared().Update(ctx, func(ctx context.Context, tx kv.Tx) (err error) {
		if m, err = loadMapping(ctx, tx, in.UUID); err != nil {
			return err
		}
		if m == nil {
			return errNoMapping()
		}
		if in.FunctionName != nil {
			ref, err := s.find(ctx, *in.FunctionName, nil)
			if err != nil {
				return err
			}
			m.Function, m.Qualifier = ref.name, ref.qualifier
		}
		set(&m.Enabled, in.Enabled)
		set(&m.BatchSize, in.BatchSize)
		set(&m.Window, in.MaximumBatchingWindowInSeconds)
		if in.FunctionResponseTypes != nil {
			m.PartialAnswers = len(in.FunctionResponseTypes) > 0
		}
		if in.ScalingConfig != nil {
			m.MaxConcurrency = wire.Value(in.ScalingConfig.MaximumConcurrency)
		}
		if err := checkBatch(m.BatchSize, m.Window); err != nil {
			return err
		}
		// A mapping whose queue or function is gone can still be switched off.
		if m.Enabled || in.FunctionName != nil {
			if err := s.checkSource(ctx, m); err != nil {
				return err
			}
		}
		if err := unique(ctx, tx, m); err != nil {
			return err
		}
		m.changed(cloud.CallOf(ctx).Now)
		return storeMapping(ctx, tx, m)
	})
	if err != nil {
		return nil, err
	}
	return m.configuration(ctx, "Updating"), nil
}

// DeleteEventSourceMapping implements the operation.
func (s *Service) DeleteEventSourceMapping(ctx context.Context, in *lambda.DeleteEventSourceMappingInput) (*lambda.DeleteEventSourceMappingOutput, error) {
	var m *mapping
	err := s.shared().Update(ctx, func(ctx context.Context, tx kv.Tx) (err error) {
		if m, err = loadMapping(ctx, tx, in.UUID); err != nil {
			return err
		}
		if m == nil {
			return errNoMapping()
		}
		call := cloud.CallOf(ctx)
		return tx.Delete(mappingKey(call.Account, call.Region, m.ID))
	})
	if err != nil {
		return nil, err
	}
	return m.configuration(ctx, "Deleting"), nil
}
