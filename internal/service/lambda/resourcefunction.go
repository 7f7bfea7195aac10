package lambda

import (
	"context"
	"maps"
	"slices"

	"croft/internal/awsapi/lambda"
	"croft/internal/cfn"
	"croft/internal/wire"
)

type functionProperties struct {
	FunctionName  string                 `cfn:"FunctionName,replace"`
	Runtime       *string                `cfn:"Runtime"`
	Role          string                 `cfn:"Role,required"`
	Handler       *string                `cfn:"Handler"`
	Code          codeProperties         `cfn:"Code,required"`
	Description   *string                `cfn:"Description"`
	Timeout       *int32                 `cfn:"Timeout"`
	MemorySize    *int32                 `cfn:"MemorySize"`
	PackageType   *string                `cfn:"PackageType,replace"`
	Architectures []string               `cfn:"Architectures"`
	Environment   *environmentProperties `cfn:"Environment"`
	TracingConfig *tracingProperties     `cfn:"TracingConfig"`
	Storage       *storageProperties     `cfn:"EphemeralStorage"`
	LoggingConfig *loggingProperties     `cfn:"LoggingConfig"`
	Layers        []string               `cfn:"Layers"`
	DeadLetter    *deadLetterProperties  `cfn:"DeadLetterConfig"`
	SnapStart     *snapStartProperties   `cfn:"SnapStart"`
	Reserved      *int32                 `cfn:"ReservedConcurrentExecutions"`
	RecursiveLoop *string                `cfn:"RecursiveLoop"`
	Management    *managementProperties  `cfn:"RuntimeManagementConfig"`
	Tags          []cfn.Tag              `cfn:"Tags"`
}

type codeProperties struct {
	ZipFile  *string `cfn:"ZipFile"`
	S3Bucket *string `cfn:"S3Bucket"`
	S3Key    *string `cfn:"S3Key"`
}

type environmentProperties struct {
	Variables map[string]string `cfn:"Variables"`
}

type tracingProperties struct {
	Mode *string `cfn:"Mode"`
}

type storageProperties struct {
	Size int32 `cfn:"Size,required"`
}

type loggingProperties struct {
	LogFormat           *string `cfn:"LogFormat"`
	LogGroup            *string `cfn:"LogGroup"`
	ApplicationLogLevel *string `cfn:"ApplicationLogLevel"`
	SystemLogLevel      *string `cfn:"SystemLogLevel"`
}

type deadLetterProperties struct {
	TargetArn *string `cfn:"TargetArn"`
}

type snapStartProperties struct {
	ApplyOn *string `cfn:"ApplyOn,required"`
}

type managementProperties struct {
	UpdateRuntimeOn   string  `cfn:"UpdateRuntimeOn,required"`
	RuntimeVersionArn *string `cfn:"RuntimeVersionArn"`
}

func (s *Service) functionResource() cfn.ResourceType {
	return cfn.Resource("AWS::Lambda::Function", cfn.Spec[functionProperties]{
		Create: s.createResource, Update: s.updateResource,
		Delete: func(ctx context.Context, r *cfn.Request, _ *functionProperties) error {
			_, err := lambda.NewClient(s.deps.Caller).DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: r.PhysicalID})
			return ignoreNotFound(err)
		},
	})
}

func (s *Service) createResource(ctx context.Context, r *cfn.Request, p *functionProperties) (*cfn.Result, error) {
	zip, err := p.zip()
	if err != nil {
		return nil, err
	}
	in := &lambda.CreateFunctionInput{
		FunctionName: p.FunctionName, Runtime: p.Runtime, Role: p.Role, Handler: p.Handler,
		Code:        &lambda.FunctionCode{ZipFile: zip, S3Bucket: p.Code.S3Bucket, S3Key: p.Code.S3Key},
		Description: p.Description, Timeout: p.Timeout, MemorySize: p.MemorySize, PackageType: p.PackageType,
		Architectures: p.Architectures, Environment: p.environment(), TracingConfig: p.tracing(),
		EphemeralStorage: p.storage(), LoggingConfig: p.logging(), Layers: p.Layers, DeadLetterConfig: p.deadLetter(),
		SnapStart: p.snapStart(), Tags: cfn.TagMap(r.Tags, p.Tags),
	}
	if in.FunctionName == "" {
		in.FunctionName = r.GeneratedName
	}
	out, err := lambda.NewClient(s.deps.Caller).CreateFunction(ctx, in)
	if err != nil {
		return nil, err
	}
	return functionResult(out), s.settle(ctx, in.FunctionName, &functionProperties{}, p)
}

func functionResult(c *lambda.FunctionConfiguration) *cfn.Result {
	return &cfn.Result{PhysicalID: wire.Value(c.FunctionName), Attributes: map[string]any{
		"Arn": wire.Value(c.FunctionArn), "SnapStartResponse.ApplyOn": wire.Value(c.SnapStart.ApplyOn),
		"SnapStartResponse.OptimizationStatus": wire.Value(c.SnapStart.OptimizationStatus),
	}}
}

// settle brings in line what operations of their own set of a function.
func (s *Service) settle(ctx context.Context, name string, old, p *functionProperties) (err error) {
	client := lambda.NewClient(s.deps.Caller)
	switch {
	case p.Reserved != nil:
		_, err = client.PutFunctionConcurrency(ctx, &lambda.PutFunctionConcurrencyInput{FunctionName: name, ReservedConcurrentExecutions: *p.Reserved})
	case old.Reserved != nil:
		_, err = client.DeleteFunctionConcurrency(ctx, &lambda.DeleteFunctionConcurrencyInput{FunctionName: name})
	}
	if loop := p.RecursiveLoop; err == nil && (loop != nil || old.RecursiveLoop != nil) {
		in := &lambda.PutFunctionRecursionConfigInput{FunctionName: name, RecursiveLoop: lambda.RecursiveLoopTerminate}
		set(&in.RecursiveLoop, loop)
		_, err = client.PutFunctionRecursionConfig(ctx, in)
	}
	if err == nil && (p.Management != nil || old.Management != nil) {
		in := &lambda.PutRuntimeManagementConfigInput{FunctionName: name, UpdateRuntimeOn: lambda.UpdateRuntimeOnAuto}
		if p.Management != nil {
			in.UpdateRuntimeOn, in.RuntimeVersionArn = p.Management.UpdateRuntimeOn, p.Management.RuntimeVersionArn
		}
		_, err = client.PutRuntimeManagementConfig(ctx, in)
	}
	return err
}

// updateResource brings code, configuration and tags in line. A property that was left out goes back to its default.
func (s *Service) updateResource(ctx context.Context, r *cfn.Request, old, p *functionProperties) (*cfn.Result, error) {
	zip, err := p.zip()
	if err != nil {
		return nil, err
	}
	client := lambda.NewClient(s.deps.Caller)
	in := &lambda.UpdateFunctionConfigurationInput{
		FunctionName: r.PhysicalID, Runtime: p.Runtime, Role: &p.Role, Handler: p.Handler, Description: wire.Ptr(wire.Value(p.Description)),
		Timeout: wire.Ptr[int32](defaultTimeout), MemorySize: wire.Ptr[int32](defaultMemory), Environment: p.environment(),
		TracingConfig: p.tracing(), EphemeralStorage: p.storage(), LoggingConfig: p.logging(), Layers: p.Layers,
		DeadLetterConfig: p.deadLetter(), SnapStart: p.snapStart(),
	}
	set(in.Timeout, p.Timeout)
	set(in.MemorySize, p.MemorySize)
	p.restore(in, old, r.PhysicalID)
	out, err := client.UpdateFunctionConfiguration(ctx, in)
	if err != nil {
		return nil, err
	}
	if !p.Code.same(old.Code) || !slices.Equal(p.Architectures, old.Architectures) {
		if _, err = client.UpdateFunctionCode(ctx, &lambda.UpdateFunctionCodeInput{
			FunctionName: r.PhysicalID, ZipFile: zip, S3Bucket: p.Code.S3Bucket, S3Key: p.Code.S3Key, Architectures: p.Architectures,
		}); err != nil {
			return nil, err
		}
	}
	tags := cfn.TagMap(r.Tags, p.Tags)
	if err := s.editTags(ctx, wire.Value(out.FunctionArn), func(now map[string]string) { replace(now, tags) }); err != nil {
		return nil, err
	}
	return functionResult(out), s.settle(ctx, r.PhysicalID, old, p)
}

// restore asks for the defaults of what a template no longer says.
func (p *functionProperties) restore(in *lambda.UpdateFunctionConfigurationInput, old *functionProperties, name string) {
	if in.Environment == nil && old.Environment != nil {
		in.Environment = &lambda.Environment{}
	}
	if in.LoggingConfig == nil && old.LoggingConfig != nil {
		in.LoggingConfig = &lambda.LoggingConfig{LogFormat: wire.Ptr(lambda.LogFormatText), LogGroup: wire.Ptr("/aws/lambda/" + name)}
	}
	if in.TracingConfig == nil && old.TracingConfig != nil {
		in.TracingConfig = &lambda.TracingConfig{Mode: wire.Ptr(lambda.TracingModePassThrough)}
	}
	if in.EphemeralStorage == nil && old.Storage != nil {
		in.EphemeralStorage = &lambda.EphemeralStorage{Size: storageMB}
	}
	if in.DeadLetterConfig == nil && old.DeadLetter != nil {
		in.DeadLetterConfig = &lambda.DeadLetterConfig{}
	}
	if in.SnapStart == nil && old.SnapStart != nil {
		in.SnapStart = &lambda.SnapStart{ApplyOn: wire.Ptr(lambda.SnapStartApplyOnNone)}
	}
	if in.Layers == nil && old.Layers != nil {
		in.Layers = []string{}
	}
}

func replace(into, with map[string]string) {
	clear(into)
	maps.Copy(into, with)
}

func (p *functionProperties) zip() ([]byte, error) {
	if p.Code.ZipFile == nil {
		return nil, nil
	}
	return inline(wire.Value(p.Runtime), *p.Code.ZipFile)
}

func (c codeProperties) same(d codeProperties) bool {
	return wire.Value(c.ZipFile) == wire.Value(d.ZipFile) && wire.Value(c.S3Bucket) == wire.Value(d.S3Bucket) && wire.Value(c.S3Key) == wire.Value(d.S3Key)
}

func (p *functionProperties) environment() *lambda.Environment {
	if p.Environment == nil {
		return nil
	}
	return &lambda.Environment{Variables: p.Environment.Variables}
}

func (p *functionProperties) tracing() *lambda.TracingConfig {
	if p.TracingConfig == nil {
		return nil
	}
	return &lambda.TracingConfig{Mode: p.TracingConfig.Mode}
}

func (p *functionProperties) storage() *lambda.EphemeralStorage {
	if p.Storage == nil {
		return nil
	}
	return &lambda.EphemeralStorage{Size: p.Storage.Size}
}

func (p *functionProperties) logging() *lambda.LoggingConfig {
	c := p.LoggingConfig
	if c == nil {
		return nil
	}
	return &lambda.LoggingConfig{
		LogFormat: c.LogFormat, LogGroup: c.LogGroup, ApplicationLogLevel: c.ApplicationLogLevel, SystemLogLevel: c.SystemLogLevel,
	}
}

func (p *functionProperties) deadLetter() *lambda.DeadLetterConfig {
	if p.DeadLetter == nil {
		return nil
	}
	return &lambda.DeadLetterConfig{TargetArn: p.DeadLetter.TargetArn}
}

func (p *functionProperties) snapStart() *lambda.SnapStart {
	if p.SnapStart == nil {
		return nil
	}
	return &lambda.SnapStart{ApplyOn: p.SnapStart.ApplyOn}
}
