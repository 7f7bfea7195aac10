package lambda

import (
	"context"
	"errors"
	"slices"
	"strings"

	"croft/internal/awsapi/lambda"
	"croft/internal/wire"
)

// extras are the parameters that CreateFunction and UpdateFunctionConfiguration share, but for the simple ones.
type extras struct {
	vpc        *lambda.VpcConfig
	deadLetter *lambda.DeadLetterConfig
	kmsKey     *string
	tracing    *lambda.TracingConfig
	layers     []string
	files      []lambda.FileSystemConfig
	image      *lambda.ImageConfig
	storage    *lambda.EphemeralStorage
	snapStart  *lambda.SnapStart
	logging    *lambda.LoggingConfig
	capacity   *lambda.CapacityProviderConfig
	durable    *lambda.DurableConfig
}

// check refuses what croft does not honour. It lets through what says the same as croft does anyway: clients and Terraform send such values.
func (x extras) check() error {
	vpc := x.vpc != nil && (len(x.vpc.SubnetIds) > 0 || len(x.vpc.SecurityGroupIds) > 0 || wire.Value(x.vpc.Ipv6AllowedForDualStack))
	return firstRefused(
		refusal{vpc, "VpcConfig", "functions cannot be put into networks"},
		refusal{wire.Value(x.kmsKey) != "", "KMSKeyArn", "environment variables are not encrypted with keys of yours"},
		refusal{len(x.files) > 0, "FileSystemConfigs", "file systems cannot be mounted"},
		refusal{x.image != nil, "ImageConfig", "functions run from zip packages"},
		refusal{x.capacity != nil, "CapacityProviderConfig", "there are no capacity providers"},
		refusal{x.durable != nil, "DurableConfig", "there are no durable functions"},
	)
}

// apply gives a function what a request asks for, in the transaction that ctx carries. What the request leaves out stays.
func (s *Service) apply(ctx context.Context, f *function, x extras) error {
	if x.storage != nil {
		f.TmpMB = x.storage.Size
	}
	if x.tracing != nil {
		set(&f.Tracing, x.tracing.Mode)
	}
	if x.snapStart != nil && x.snapStart.ApplyOn != nil {
		f.SnapStart = *x.snapStart.ApplyOn == lambda.SnapStartApplyOnPublishedVersions
	}
	if x.deadLetter != nil {
		arn, err := s.checkDeadLetter(ctx, wire.Value(x.deadLetter.TargetArn))
		if err != nil {
			return err
		}
		f.DeadLetter = arn
	}
	if err := f.log(x.logging); err != nil {
		return err
	}
	if err := f.checkSnapStart(); err != nil {
		return err
	}
	if x.layers == nil {
		return nil
	}
	return s.applyLayers(ctx, f, x.layers)
}

// applyLayers gives a function other layers.
func (s *Service) applyLayers(ctx context.Context, f *function, arns []string) error {
	layers, err := s.layersOf(ctx, arns, f.Layers)
	if err != nil {
		return err
	}
	if err := errors.Join(s.takeLayers(ctx, layers), s.dropLayers(ctx, f.Layers)); err != nil {
		return err
	}
	f.Layers = layers
	return s.checkSize(ctx, f)
}

// checkSize checks that the function's code and its layers are not too large together.
func (s *Service) checkSize(ctx context.Context, f *function) error {
	if len(f.Layers) == 0 {
		return nil
	}
	size, err := s.unzipped(ctx, f.code())
	if err != nil {
		return err
	}
	return checkUnzipped(size, f.Layers)
}

// log changes how a function logs. Levels exist with the format JSON alone, where they are INFO unless they are set. Recorded.
func (f *function) log(in *lambda.LoggingConfig) error {
	if in == nil {
		return nil
	}
	set(&f.LogGroup, in.LogGroup)
	set(&f.LogFormat, in.LogFormat)
	if f.LogFormat != lambda.LogFormatJSON {
		if in.ApplicationLogLevel != nil || in.SystemLogLevel != nil {
			return invalid("ApplicationLogLevel and SystemLogLevel need the LogFormat JSON.")
		}
		f.AppLogLevel, f.SystemLogLevel = "", ""
		return nil
	}
	set(&f.AppLogLevel, in.ApplicationLogLevel)
	set(&f.SystemLogLevel, in.SystemLogLevel)
	if f.AppLogLevel == "" {
		f.AppLogLevel = lambda.ApplicationLogLevelINFO
	}
	if f.SystemLogLevel == "" {
		f.SystemLogLevel = lambda.SystemLogLevelINFO
	}
	return nil
}

// logging returns how the function logs, as answers show it.
func (f *function) logging() *lambda.LoggingConfig {
	c := &lambda.LoggingConfig{LogFormat: wire.Ptr(lambda.LogFormatText), LogGroup: wire.Ptr(f.logGroup())}
	if f.LogFormat == lambda.LogFormatJSON {
		c.LogFormat, c.ApplicationLogLevel, c.SystemLogLevel = &f.LogFormat, &f.AppLogLevel, &f.SystemLogLevel
	}
	return c
}

// snapStartRuntimes are those that croft can start from a snapshot. Source: Lambda Developer Guide, "Improving startup performance with
// Lambda SnapStart"; the other languages it names do not run here.
func snapStartRuntimes() []string { return []string{"python3.12", "python3.13", "python3.14"} }

func (f *function) checkSnapStart() error {
	switch {
	case !f.SnapStart:
	case !slices.Contains(snapStartRuntimes(), f.Runtime):
		return invalid("%s is not supported for SnapStart enabled functions.", f.Runtime)
	case f.tmpMB() > storageMB:
		return invalid("EphemeralStorage of more than %d MB is not supported for SnapStart enabled functions.", storageMB)
	}
	return nil
}

// snapStart returns the function's SnapStart setting, as answers show it: only published versions have snapshots.
func (f *function) snapStart() *lambda.SnapStartResponse {
	apply, status := lambda.SnapStartApplyOnNone, lambda.SnapStartOptimizationStatusOff
	if f.SnapStart {
		apply = lambda.SnapStartApplyOnPublishedVersions
		if f.Number != 0 {
			status = lambda.SnapStartOptimizationStatusOn
		}
	}
	return &lambda.SnapStartResponse{ApplyOn: &apply, OptimizationStatus: &status}
}

// tmpMB returns the size of the function's /tmp.
func (f *function) tmpMB() int32 {
	if f.TmpMB == 0 {
		return storageMB
	}
	return f.TmpMB
}

func (f *function) tracing() *lambda.TracingConfigResponse {
	mode := f.Tracing
	if mode == "" {
		mode = lambda.TracingModePassThrough
	}
	return &lambda.TracingConfigResponse{Mode: &mode}
}

// trace returns an invocation's trace header as the function gets it: where nobody has decided yet whether the trace is recorded, active
// tracing does. Source: X-Ray Developer Guide, "Tracing header".
func (f *function) trace(header string) string {
	if f.Tracing != lambda.TracingModeActive {
		return header
	}
	return strings.Replace(header, "Sampled=0", "Sampled=1", 1)
}
