package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"croft/internal/awsapi/lambda"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

// eventConfig is the stored form of how Event invocations of a function, a version or an alias are treated.
type eventConfig struct {
	// Retries and MaxAge, in seconds, are nil when the default counts.
	Retries   *int32    `json:"retries,omitempty"`
	MaxAge    *int32    `json:"maxAge,omitempty"`
	OnSuccess string    `json:"onSuccess,omitempty"` // an ARN
	OnFailure string    `json:"onFailure,omitempty"` // an ARN
	Modified  time.Time `json:"modified"`
}

// attempts is how often an event is run at most.
func (c *eventConfig) attempts() int {
	if c.Retries == nil {
		return 1 + defaultRetries
	}
	return 1 + int(*c.Retries)
}

// age is how long an event is kept.
func (c *eventConfig) age() time.Duration {
	if c.MaxAge == nil {
		return maxEventAge
	}
	return time.Duration(*c.MaxAge) * time.Second
}

// eventConfigsKey is the prefix of the configurations of a function and of its versions and aliases.
func eventConfigsKey(name string) kv.Key { return kv.Key(nil).Raw('e').Str(name) }

func eventConfigKey(name, qualifier string) kv.Key {
	if qualifier == "" {
		qualifier = latest
	}
	return eventConfigsKey(name).Str(qualifier)
}

// loadEventConfig returns a configuration, or nil.
func loadEventConfig(r kv.Reader, name, qualifier string) (*eventConfig, error) {
	v, err := r.Get(eventConfigKey(name, qualifier))
	if errors.Is(err, kv.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return decodeEventConfig(v)
}

func decodeEventConfig(value []byte) (*eventConfig, error) {
	c := new(eventConfig)
	if err := json.Unmarshal(value, c); err != nil {
		return nil, fmt.Errorf("lambda: damaged event invoke configuration: %w", err)
	}
	return c, nil
}

// described returns the configuration as answers show it. The ARN always has a qualifier.
func (c *eventConfig) described(ref reference) *lambda.FunctionEventInvokeConfig {
	out := &lambda.FunctionEventInvokeConfig{
		FunctionArn: wire.Ptr(ref.versioned()), LastModified: &c.Modified, MaximumRetryAttempts: c.Retries, MaximumEventAgeInSeconds: c.MaxAge,
		DestinationConfig: &lambda.DestinationConfig{OnSuccess: &lambda.OnSuccess{}, OnFailure: &lambda.OnFailure{}},
	}
	if c.OnSuccess != "" {
		out.DestinationConfig.OnSuccess.Destination = &c.OnSuccess
	}
	if c.OnFailure != "" {
		out.DestinationConfig.OnFailure.Destination = &c.OnFailure
	}
	return out
}

// versioned returns the function's ARN with the qualifier that the caller gave or that of its unpublished version.
func (r reference) versioned() string {
	if r.qualifier == "" {
		r.qualifier = latest
	}
	return r.qualified()
}

// PutFunctionEventInvokeConfig implements the operation. What the request leaves out gets its default.
func (s *Service) PutFunctionEventInvokeConfig(ctx context.Context, in *lambda.PutFunctionEventInvokeConfigInput) (*lambda.PutFunctionEventInvokeConfigOutput, error) {
	return s.putEventConfig(ctx, in, true)
}

// UpdateFunctionEventInvokeConfig implements the operation. What the request leaves out stays.
func (s *Service) UpdateFunctionEventInvokeConfig(ctx context.Context, in *lambda.UpdateFunctionEventInvokeConfigInput) (*lambda.UpdateFunctionEventInvokeConfigOutput, error) {
	return s.putEventConfig(ctx, (*lambda.PutFunctionEventInvokeConfigInput)(in), false)
}

func (s *Service) putEventConfig(ctx context.Context, in *lambda.PutFunctionEventInvokeConfigInput, anew bool) (*lambda.FunctionEventInvokeConfig, error) {
	if in.MaximumRetryAttempts == nil && in.MaximumEventAgeInSeconds == nil && in.DestinationConfig == nil {
		return nil, invalid("You must specify at least one of error handling or destination setting.")
	}
	ref, err := s.find(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	var c *eventConfig
	err = s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) (err error) {
		if _, err := resolve(tx, ref); err != nil {
			if cloud.Code(err) == "ResourceNotFoundException" {
				return notFound("The function %s doesn't exist.", ref.versioned())
			}
			return err
		}
		if err := s.checkDestinations(ctx, tx, ref, in.DestinationConfig); err != nil {
			return err
		}
		c = new(eventConfig)
		if !anew {
			if c, err = loadEventConfig(tx, ref.name, ref.qualifier); err != nil {
				return err
			}
			if c == nil {
				return errNoEventConfig(ref)
			}
		}
		c.edit(ctx, in, s)
		v, err := json.Marshal(c)
		if err != nil {
			return fmt.Errorf("lambda: %w", err)
		}
		return tx.Put(eventConfigKey(ref.name, ref.qualifier), v)
	})
	if err != nil {
		return nil, err
	}
	return c.described(ref), nil
}

func (c *eventConfig) edit(ctx context.Context, in *lambda.PutFunctionEventInvokeConfigInput, s *Service) {
	if in.MaximumRetryAttempts != nil {
		c.Retries = in.MaximumRetryAttempts
	}
	if in.MaximumEventAgeInSeconds != nil {
		c.MaxAge = in.MaximumEventAgeInSeconds
	}
	if d := in.DestinationConfig; d != nil {
		if d.OnSuccess != nil {
			c.OnSuccess = s.longARN(ctx, wire.Value(d.OnSuccess.Destination))
		}
		if d.OnFailure != nil {
			c.OnFailure = s.longARN(ctx, wire.Value(d.OnFailure.Destination))
		}
	}
	c.Modified = cloud.CallOf(ctx).Now
}

func errNoEventConfig(ref reference) error {
	return notFound("The function %s doesn't have an EventInvokeConfig", ref.versioned())
}

// GetFunctionEventInvokeConfig implements the operation.
func (s *Service) GetFunctionEventInvokeConfig(ctx context.Context, in *lambda.GetFunctionEventInvokeConfigInput) (*lambda.GetFunctionEventInvokeConfigOutput, error) {
	ref, err := s.find(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	var c *eventConfig
	err = s.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) error {
		c, err = loadEventConfig(r, ref.name, ref.qualifier)
		return err
	})
	if err == nil && c == nil {
		err = errNoEventConfig(ref)
	}
	if err != nil {
		return nil, err
	}
	return c.described(ref), nil
}

// DeleteFunctionEventInvokeConfig implements the operation.
func (s *Service) DeleteFunctionEventInvokeConfig(ctx context.Context, in *lambda.DeleteFunctionEventInvokeConfigInput) (*lambda.DeleteFunctionEventInvokeConfigOutput, error) {
	ref, err := s.find(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	err = s.space(ctx).Update(ctx, func(_ context.Context, tx kv.Tx) error {
		c, err := loadEventConfig(tx, ref.name, ref.qualifier)
		if err != nil {
			return err
		}
		if c == nil {
			return errNoEventConfig(ref)
		}
		return tx.Delete(eventConfigKey(ref.name, ref.qualifier))
	})
	if err != nil {
		return nil, err
	}
	return &lambda.DeleteFunctionEventInvokeConfigOutput{}, nil
}

// ListFunctionEventInvokeConfigs implements the operation.
func (s *Service) ListFunctionEventInvokeConfigs(ctx context.Context, in *lambda.ListFunctionEventInvokeConfigsInput) (*lambda.ListFunctionEventInvokeConfigsOutput, error) {
	ref, err := s.find(ctx, in.FunctionName, nil)
	if err != nil {
		return nil, err
	}
	after, err := readMarker(in.Marker)
	if err != nil {
		return nil, err
	}
	out := &lambda.ListFunctionEventInvokeConfigsOutput{}
	err = s.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) error {
		out.FunctionEventInvokeConfigs, out.NextMarker = []lambda.FunctionEventInvokeConfig{}, nil
		f, err := loadFunction(r, ref.name)
		if err != nil {
			return err
		}
		if f == nil {
			return notFound("The function %s doesn't exist.", ref.arn())
		}
		return page(r, eventConfigsKey(ref.name), after, pageLimit(in.MaxItems), func(qualifier string, value []byte) (bool, error) {
			c, err := decodeEventConfig(value)
			if err != nil {
				return false, err
			}
			of := ref
			of.qualifier = qualifier
			out.FunctionEventInvokeConfigs = append(out.FunctionEventInvokeConfigs, *c.described(of))
			return true, nil
		}, &out.NextMarker)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// checkDestinations checks where the results of a function's events are to go.
func (s *Service) checkDestinations(ctx context.Context, r kv.Reader, ref reference, d *lambda.DestinationConfig) error {
	if d == nil {
		return nil
	}
	success, failure := wire.Value(wire.Value(d.OnSuccess).Destination), wire.Value(wire.Value(d.OnFailure).Destination)
	for _, arn := range []string{failure, success} {
		if arn == "" {
			continue
		}
		ok, err := s.checkDestination(ctx, r, ref, arn)
		if err != nil {
			return err
		}
		if !ok {
			return invalid("The provided destination config DestinationConfig(onSuccess=%s, onFailure=%s) is invalid.",
				destinationText("OnSuccess", success), destinationText("OnFailure", failure))
		}
	}
	return nil
}

func destinationText(kind, arn string) string {
	if arn == "" {
		return "null"
	}
	return kind + "(destination=" + arn + ")"
}

// checkDestination checks one destination; ok says that its ARN is one of a kind that can be a destination.
func (s *Service) checkDestination(ctx context.Context, r kv.Reader, ref reference, arn string) (ok bool, err error) {
	a, err := cloud.ParseARN(arn)
	if err != nil {
		return false, nil
	}
	switch a.Service {
	case "sqs", "sns":
		return true, nil
	case "events":
		return false, refused("DestinationConfig with "+arn, "EventBridge is not part of this cloud")
	case "s3":
		return false, refused("DestinationConfig with "+arn, "records are not written into buckets")
	case "lambda":
		if !strings.HasPrefix(a.Resource, "function:") {
			return false, nil
		}
		to := parseReference(s.longARN(ctx, arn), ref.account, ref.region)
		if to.name == ref.name && to.account == ref.account && to.region == ref.region {
			return false, invalid("You can't specify the function as a destination for itself.")
		}
		if f, err := loadFunction(r, to.name); err != nil || f == nil || to.account != ref.account || to.region != ref.region {
			if err == nil {
				err = invalid("The destination ARN %s is invalid.", arn)
			}
			return false, err
		}
		return true, nil
	}
	return false, nil
}
