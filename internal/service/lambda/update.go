package lambda

import (
	"context"
	"errors"

	"croft/internal/awsapi/lambda"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

// change applies edit to the function that a request names, in one transaction, and answers with its new configuration.
func (s *Service) change(ctx context.Context, name string, revision *string, dryRun, publish bool, edit func(context.Context, *function) error) (*lambda.FunctionConfiguration, error) {
	ref, err := s.find(ctx, name, nil)
	if err != nil {
		return nil, err
	}
	if err := ref.onlyLatest(); err != nil {
		return nil, err
	}
	var f, published *function
	err = s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) (err error) {
		published = nil
		if f, err = loadFunction(tx, ref.name); err != nil {
			return err
		}
		if f == nil {
			return notFound("Function not found: %s", ref.qualified())
		}
		if revision != nil && *revision != f.Revision {
			return errRevision()
		}
		if err := edit(ctx, f); err != nil || dryRun {
			return err
		}
		f.changed(cloud.CallOf(ctx).Now, true)
		told := f
		if publish {
			if published, _, err = s.publish(ctx, tx, f, nil); err != nil {
				return err
			}
			told = published
		}
		return errors.Join(storeFunction(tx, f), s.ahead(ctx, told))
	})
	if err != nil {
		return nil, err
	}
	if published != nil {
		return published.configuration(published.arn(ref), creating), nil
	}
	return f.configuration(ref.arn(), updating), nil
}

// UpdateFunctionCode implements the operation.
func (s *Service) UpdateFunctionCode(ctx context.Context, in *lambda.UpdateFunctionCodeInput) (*lambda.UpdateFunctionCodeOutput, error) {
	if err := firstRefused(
		refusal{in.PublishTo != nil, "PublishTo", "there are no capacity providers"},
	); err != nil {
		return nil, err
	}
	// A function that is not there is reported before its code is looked at.
	if _, err := s.target(ctx, in.FunctionName, nil); err != nil {
		return nil, err
	}
	c, err := s.store(ctx, source{in.ZipFile, in.S3Bucket, in.S3Key, in.S3ObjectVersion, in.ImageUri, in.SourceKMSKeyArn})
	if err != nil {
		return nil, err
	}
	return s.change(ctx, in.FunctionName, in.RevisionId, wire.Value(in.DryRun), wire.Value(in.Publish), func(ctx context.Context, f *function) error {
		if !wire.Value(in.DryRun) {
			if err := s.replaceCode(ctx, f, c); err != nil {
				return err
			}
		}
		f.setCode(c)
		if err := errors.Join(s.checkNative(ctx, f.Runtime, c), s.checkSize(ctx, f)); err != nil {
			return err
		}
		if len(in.Architectures) > 0 {
			f.Architecture = in.Architectures[0]
		}
		return nil
	})
}

// UpdateFunctionConfiguration implements the operation. What the request leaves out stays.
func (s *Service) UpdateFunctionConfiguration(ctx context.Context, in *lambda.UpdateFunctionConfigurationInput) (*lambda.UpdateFunctionConfigurationOutput, error) {
	if err := s.checkLimits(in.Timeout, in.MemorySize); err != nil {
		return nil, err
	}
	x := extras{
		in.VpcConfig, in.DeadLetterConfig, in.KMSKeyArn, in.TracingConfig, in.Layers, in.FileSystemConfigs, in.ImageConfig,
		in.EphemeralStorage, in.SnapStart, in.LoggingConfig, in.CapacityProviderConfig, in.DurableConfig,
	}
	if err := x.check(); err != nil {
		return nil, err
	}
	if in.Runtime != nil {
		if err := checkRuntime(*in.Runtime); err != nil {
			return nil, err
		}
	}
	env, err := environment(in.Environment)
	if err != nil {
		return nil, err
	}
	return s.change(ctx, in.FunctionName, in.RevisionId, false, false, func(ctx context.Context, f *function) (err error) {
		set(&f.Runtime, in.Runtime)
		set(&f.Handler, in.Handler)
		set(&f.Description, in.Description)
		set(&f.Timeout, in.Timeout)
		set(&f.Memory, in.MemorySize)
		if env != nil {
			f.Environment = env
		}
		if in.Role != nil {
			if f.Role, err = s.role(ctx, *in.Role); err != nil {
				return err
			}
		}
		return s.apply(ctx, f, x)
	})
}

func set[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}
