package lambda

import (
	"context"

	"croft/internal/awsapi/lambda"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

// change applies edit to the function that a request names, in one transaction, and answers with its new configuration.
func (s *Service) change(ctx context.Context, name string, revision *string, dryRun bool, edit func(context.Context, *function) error) (*lambda.FunctionConfiguration, error) {
	ref, err := s.find(ctx, name, nil)
	if err != nil {
		return nil, err
	}
	if err := ref.onlyLatest(); err != nil {
		return nil, err
	}
	var f *function
	err = s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) (err error) {
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
		return storeFunction(tx, f)
	})
	if err != nil {
		return nil, err
	}
	if !dryRun {
		s.engine.Retire(ref.arn())
	}
	return f.configuration(ref.arn(), updating), nil
}

// UpdateFunctionCode implements the operation.
func (s *Service) UpdateFunctionCode(ctx context.Context, in *lambda.UpdateFunctionCodeInput) (*lambda.UpdateFunctionCodeOutput, error) {
	if err := firstRefused(
		refusal{wire.Value(in.Publish), "Publish", "versions cannot be published"},
		refusal{in.PublishTo != nil, "PublishTo", "versions cannot be published"},
	); err != nil {
		return nil, err
	}
	// A function that is not there is reported before its code is looked at.
	if _, _, err := s.read(ctx, in.FunctionName, nil); err != nil {
		return nil, err
	}
	c, err := s.store(ctx, source{in.ZipFile, in.S3Bucket, in.S3Key, in.S3ObjectVersion, in.ImageUri, in.SourceKMSKeyArn})
	if err != nil {
		return nil, err
	}
	return s.change(ctx, in.FunctionName, in.RevisionId, wire.Value(in.DryRun), func(ctx context.Context, f *function) error {
		if !wire.Value(in.DryRun) {
			if err := s.replaceCode(ctx, f, c); err != nil {
				return err
			}
		}
		f.setCode(c)
		if len(in.Architectures) > 0 {
			f.Architecture = in.Architectures[0]
		}
		return nil
	})
}

// UpdateFunctionConfiguration implements the operation. What the request leaves out stays.
func (s *Service) UpdateFunctionConfiguration(ctx context.Context, in *lambda.UpdateFunctionConfigurationInput) (*lambda.UpdateFunctionConfigurationOutput, error) {
	if err := checkLimits(in.Timeout, in.MemorySize); err != nil {
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
	return s.change(ctx, in.FunctionName, in.RevisionId, false, func(ctx context.Context, f *function) (err error) {
		set(&f.Runtime, in.Runtime)
		set(&f.Handler, in.Handler)
		set(&f.Description, in.Description)
		set(&f.Timeout, in.Timeout)
		set(&f.Memory, in.MemorySize)
		if in.LoggingConfig != nil {
			set(&f.LogGroup, in.LoggingConfig.LogGroup)
		}
		if env != nil {
			f.Environment = env
		}
		if in.Role != nil {
			f.Role, err = s.role(ctx, *in.Role)
		}
		return err
	})
}

func set[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}
