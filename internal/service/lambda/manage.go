package lambda

import (
	"context"

	"croft/internal/awsapi/lambda"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

// What is set of a function apart from its configuration: when its runtime changes, what happens to loops, who signed its code.

func (s *Service) managed(ctx context.Context, name string, qualifier *string) (reference, error) {
	ref, err := s.find(ctx, name, qualifier)
	if err == nil && isAlias(ref.qualifier) {
		err = invalid("Aliases have no runtime management configuration: please name the version, or $LATEST.")
	}
	return ref, err
}

// PutRuntimeManagementConfig implements the operation. Manual is refused: it would hold a function to an interpreter that the machine
// may not have.
func (s *Service) PutRuntimeManagementConfig(ctx context.Context, in *lambda.PutRuntimeManagementConfigInput) (*lambda.PutRuntimeManagementConfigOutput, error) {
	if in.UpdateRuntimeOn == lambda.UpdateRuntimeOnManual {
		return nil, refused("UpdateRuntimeOn Manual", "functions run on the machine's own interpreters")
	}
	if in.RuntimeVersionArn != nil {
		return nil, refused("RuntimeVersionArn", "functions run on the machine's own interpreters")
	}
	ref, err := s.managed(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	err = s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		t, err := resolve(tx, ref)
		if err != nil {
			return err
		}
		t.fn.UpdateRuntimeOn = in.UpdateRuntimeOn
		t.fn.changed(cloud.CallOf(ctx).Now, false)
		return storeFunction(tx, t.fn)
	})
	if err != nil {
		return nil, err
	}
	return &lambda.PutRuntimeManagementConfigOutput{UpdateRuntimeOn: in.UpdateRuntimeOn, FunctionArn: ref.qualified()}, nil
}

// GetRuntimeManagementConfig implements the operation.
func (s *Service) GetRuntimeManagementConfig(ctx context.Context, in *lambda.GetRuntimeManagementConfigInput) (*lambda.GetRuntimeManagementConfigOutput, error) {
	if _, err := s.managed(ctx, in.FunctionName, in.Qualifier); err != nil {
		return nil, err
	}
	t, err := s.target(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	on := lambda.UpdateRuntimeOnAuto
	if t.fn.UpdateRuntimeOn != "" {
		on = t.fn.UpdateRuntimeOn
	}
	return &lambda.GetRuntimeManagementConfigOutput{UpdateRuntimeOn: &on, FunctionArn: wire.Ptr(t.ref.qualified())}, nil
}

// PutFunctionRecursionConfig implements the operation.
func (s *Service) PutFunctionRecursionConfig(ctx context.Context, in *lambda.PutFunctionRecursionConfigInput) (*lambda.PutFunctionRecursionConfigOutput, error) {
	ref, err := s.unqualified(ctx, in.FunctionName)
	if err != nil {
		return nil, err
	}
	err = s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		t, err := resolve(tx, ref)
		if err != nil {
			return err
		}
		t.latest.Recursion = in.RecursiveLoop
		t.latest.changed(cloud.CallOf(ctx).Now, false)
		return storeFunction(tx, t.latest)
	})
	if err != nil {
		return nil, err
	}
	return &lambda.PutFunctionRecursionConfigOutput{RecursiveLoop: &in.RecursiveLoop}, nil
}

// GetFunctionRecursionConfig implements the operation.
func (s *Service) GetFunctionRecursionConfig(ctx context.Context, in *lambda.GetFunctionRecursionConfigInput) (*lambda.GetFunctionRecursionConfigOutput, error) {
	if _, err := s.unqualified(ctx, in.FunctionName); err != nil {
		return nil, err
	}
	t, err := s.target(ctx, in.FunctionName, nil)
	if err != nil {
		return nil, err
	}
	return &lambda.GetFunctionRecursionConfigOutput{RecursiveLoop: wire.Ptr(t.latest.recursion())}, nil
}

// recursion says what happens to a loop that the function is part of: Terminate or Allow.
func (w *whole) recursion() string {
	if w.Recursion == "" {
		return lambda.RecursiveLoopTerminate
	}
	return w.Recursion
}

// GetFunctionCodeSigningConfig implements the operation: no function has one, since none can be made.
func (s *Service) GetFunctionCodeSigningConfig(ctx context.Context, in *lambda.GetFunctionCodeSigningConfigInput) (*lambda.GetFunctionCodeSigningConfigOutput, error) {
	if _, err := s.unqualified(ctx, in.FunctionName); err != nil {
		return nil, err
	}
	t, err := s.target(ctx, in.FunctionName, nil)
	if err != nil {
		return nil, err
	}
	return &lambda.GetFunctionCodeSigningConfigOutput{FunctionName: t.latest.Name}, nil
}
