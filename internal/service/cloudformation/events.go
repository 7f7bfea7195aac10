package cloudformation

import (
	"context"
	"encoding/json"
	"fmt"

	"croft/internal/awsapi/cloudformation"
	"croft/internal/cfn"
	"croft/internal/kv"
	"croft/internal/wire"
)

// Event adds to the history.
func (j *journal) Event(e cfn.Event) error {
	value, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("cloudformation: %w", err)
	}
	return j.tx.Append(eventsLog(j.stack), value)
}

// DescribeStackEvents returns a stack's events, the latest first.
func (s *Service) DescribeStackEvents(ctx context.Context, in *cloudformation.DescribeStackEventsInput) (*cloudformation.DescribeStackEventsOutput, error) {
	out := &cloudformation.DescribeStackEventsOutput{StackEvents: []cloudformation.StackEvent{}}
	err := s.space(ctx).View(ctx, func(ctx context.Context, r kv.Reader) error {
		st, err := s.need(ctx, r, in.StackName, noStack)
		if err != nil {
			return err
		}
		out.NextToken, err = page(r, eventsLog(uid(st.ID)), in.NextToken, true, func(e kv.Entry) (bool, error) {
			var ev cfn.Event
			if err := decode(e.Value, &ev); err != nil {
				return false, err
			}
			out.StackEvents = append(out.StackEvents, eventOf(st, &ev))
			return true, nil
		})
		return err
	})
	return out, err
}

func eventOf(st *cfn.Stack, e *cfn.Event) cloudformation.StackEvent {
	out := cloudformation.StackEvent{
		StackId: st.ID, StackName: st.Name, EventId: e.ID, Timestamp: e.At,
		LogicalResourceId: &e.LogicalID, PhysicalResourceId: &e.PhysicalID, ResourceType: &e.Type,
		ResourceStatus:       wire.Ptr(string(e.Status)),
		ResourceStatusReason: optional(e.Reason), ResourceProperties: optional(e.Properties), ClientRequestToken: optional(e.Token),
	}
	return out
}

// optional returns nil for an empty string.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
