package lambda

import (
	"context"
	"errors"

	"croft/internal/awsapi/lambda"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

// CreateFunction implements the operation.
func (s *Service) CreateFunction(ctx context.Context, in *lambda.CreateFunctionInput) (*lambda.CreateFunctionOutput, error) {
	ref, err := s.find(ctx, in.FunctionName, nil)
	if err != nil {
		return nil, err
	}
	f, err := s.newFunction(ref, in)
	if err != nil {
		return nil, err
	}
	src := source{in.Code.ZipFile, in.Code.S3Bucket, in.Code.S3Key, in.Code.S3ObjectVersion, in.Code.ImageUri, in.Code.SourceKMSKeyArn}
	c, err := s.store(ctx, src)
	if err != nil {
		return nil, err
	}
	if err := s.checkNative(ctx, f.Runtime, c); err != nil {
		return nil, err
	}
	f.setCode(c)
	f.changed(cloud.CallOf(ctx).Now, true)
	var answer *function
	err = s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) (err error) {
		if f.Role, err = s.role(ctx, in.Role); err != nil {
			return err
		}
		old, err := loadFunction(tx, f.Name)
		if err != nil {
			return err
		}
		if old != nil {
			return conflict("Function already exist: %s", f.Name)
		}
		f.Layers = nil
		if err := errors.Join(s.takeCode(ctx, c), s.apply(ctx, f, createExtras(in))); err != nil {
			return err
		}
		answer = f
		if wire.Value(in.Publish) {
			if answer, _, err = s.publish(ctx, tx, f, nil); err != nil {
				return err
			}
		}
		return errors.Join(storeFunction(tx, f), s.ahead(ctx, answer))
	})
	if err != nil {
		return nil, err
	}
	return answer.configuration(ref.arn(), creating), nil
}

// newFunction makes the function that a request describes, but for its role and code, which lie elsewhere.
func (s *Service) newFunction(ref reference, in *lambda.CreateFunctionInput) (*function, error) {
	if len(ref.name) > maxNameLength {
		return nil, invalid("1 validation error detected: Value '%s' at 'functionName' failed to satisfy constraint: "+
			"Member must have length less than or equal to %d", ref.name, maxNameLength)
	}
	if err := ref.onlyLatest(); err != nil {
		return nil, err
	}
	if err := s.checkCreate(in); err != nil {
		return nil, err
	}
	env, err := environment(in.Environment)
	if err != nil {
		return nil, err
	}
	f := &function{
		Name: ref.name, Runtime: wire.Value(in.Runtime), Handler: wire.Value(in.Handler), Description: wire.Value(in.Description),
		Timeout: defaultTimeout, Memory: defaultMemory, Environment: env, Architecture: machine(), Tags: in.Tags,
	}
	if in.Timeout != nil {
		f.Timeout = *in.Timeout
	}
	if in.MemorySize != nil {
		f.Memory = *in.MemorySize
	}
	if len(in.Architectures) > 0 {
		f.Architecture = in.Architectures[0]
	}
	return f, nil
}

func (s *Service) checkCreate(in *lambda.CreateFunctionInput) error {
	if err := s.checkLimits(in.Timeout, in.MemorySize); err != nil {
		return err
	}
	if err := firstRefused(
		refusal{wire.Value(in.PackageType) == lambda.PackageTypeImage, "PackageType Image", "functions run from zip packages"},
		refusal{in.PublishTo != nil, "PublishTo", "there are no capacity providers"},
		refusal{in.CodeSigningConfigArn != nil, "CodeSigningConfigArn", "code is not signed"},
		refusal{in.TenancyConfig != nil, "TenancyConfig", "functions have no tenants"},
	); err != nil {
		return err
	}
	if err := createExtras(in).check(); err != nil {
		return err
	}
	if in.Runtime == nil || in.Handler == nil {
		return invalid("Runtime and Handler are mandatory parameters for functions created with deployment packages.")
	}
	if err := checkRuntime(*in.Runtime); err != nil {
		return err
	}
	return checkTags(in.Tags)
}

func createExtras(in *lambda.CreateFunctionInput) extras {
	return extras{
		in.VpcConfig, in.DeadLetterConfig, in.KMSKeyArn, in.TracingConfig, in.Layers, in.FileSystemConfigs, in.ImageConfig,
		in.EphemeralStorage, in.SnapStart, in.LoggingConfig, in.CapacityProviderConfig, in.DurableConfig,
	}
}
