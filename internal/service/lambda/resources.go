package lambda

import (
	"context"
	"maps"
	"slices"

	"croft/internal/awsapi/lambda"
	"croft/internal/cfn"
	"croft/internal/cloud"
	"croft/internal/wire"
)

// The properties of the CloudFormation types are those that croft honours. Source: CloudFormation Template Reference.

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
	LogFormat *string `cfn:"LogFormat"`
	LogGroup  *string `cfn:"LogGroup"`
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

func ignoreNotFound(err error) error {
	if cloud.Code(err) == "ResourceNotFoundException" {
		return nil
	}
	return err
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
		EphemeralStorage: p.storage(), LoggingConfig: p.logging(), Tags: cfn.TagMap(r.Tags, p.Tags),
	}
	if in.FunctionName == "" {
		in.FunctionName = r.GeneratedName
	}
	out, err := lambda.NewClient(s.deps.Caller).CreateFunction(ctx, in)
	if err != nil {
		return nil, err
	}
	return functionResult(out), nil
}

func functionResult(c *lambda.FunctionConfiguration) *cfn.Result {
	return &cfn.Result{PhysicalID: wire.Value(c.FunctionName), Attributes: map[string]any{"Arn": wire.Value(c.FunctionArn)}}
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
		TracingConfig: p.tracing(), EphemeralStorage: p.storage(), LoggingConfig: p.logging(),
	}
	set(in.Timeout, p.Timeout)
	set(in.MemorySize, p.MemorySize)
	if in.Environment == nil && old.Environment != nil {
		in.Environment = &lambda.Environment{}
	}
	if in.LoggingConfig == nil && old.LoggingConfig != nil {
		in.LoggingConfig = &lambda.LoggingConfig{LogGroup: wire.Ptr("/aws/lambda/" + r.PhysicalID)}
	}
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
	return functionResult(out), nil
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
	if p.LoggingConfig == nil {
		return nil
	}
	return &lambda.LoggingConfig{LogFormat: p.LoggingConfig.LogFormat, LogGroup: p.LoggingConfig.LogGroup}
}

type permissionProperties struct {
	FunctionName     string  `cfn:"FunctionName,required"`
	Action           string  `cfn:"Action,required"`
	Principal        string  `cfn:"Principal,required"`
	SourceArn        *string `cfn:"SourceArn"`
	SourceAccount    *string `cfn:"SourceAccount"`
	EventSourceToken *string `cfn:"EventSourceToken"`
	PrincipalOrgID   *string `cfn:"PrincipalOrgID"`
}

func (s *Service) permissionResource() cfn.ResourceType {
	return cfn.Resource("AWS::Lambda::Permission", cfn.Spec[permissionProperties]{
		Create: func(ctx context.Context, r *cfn.Request, p *permissionProperties) (*cfn.Result, error) {
			_, err := lambda.NewClient(s.deps.Caller).AddPermission(ctx, &lambda.AddPermissionInput{
				FunctionName: p.FunctionName, StatementId: r.GeneratedName, Action: p.Action, Principal: p.Principal,
				SourceArn: p.SourceArn, SourceAccount: p.SourceAccount, EventSourceToken: p.EventSourceToken, PrincipalOrgID: p.PrincipalOrgID,
			})
			if err != nil {
				return nil, err
			}
			return &cfn.Result{PhysicalID: r.GeneratedName, Attributes: map[string]any{"Id": r.GeneratedName}}, nil
		},
		Delete: func(ctx context.Context, r *cfn.Request, p *permissionProperties) error {
			_, err := lambda.NewClient(s.deps.Caller).RemovePermission(ctx, &lambda.RemovePermissionInput{
				FunctionName: p.FunctionName, StatementId: r.PhysicalID,
			})
			return ignoreNotFound(err)
		},
	})
}

type mappingProperties struct {
	FunctionName          string             `cfn:"FunctionName,required"`
	EventSourceArn        *string            `cfn:"EventSourceArn,replace"`
	Enabled               *bool              `cfn:"Enabled"`
	BatchSize             *int32             `cfn:"BatchSize"`
	Window                *int32             `cfn:"MaximumBatchingWindowInSeconds"`
	FunctionResponseTypes []string           `cfn:"FunctionResponseTypes"`
	ScalingConfig         *scalingProperties `cfn:"ScalingConfig"`
	Tags                  []cfn.Tag          `cfn:"Tags"`
}

type scalingProperties struct {
	MaximumConcurrency *int32 `cfn:"MaximumConcurrency"`
}

func (p *mappingProperties) scaling() *lambda.ScalingConfig {
	if p.ScalingConfig == nil {
		return nil
	}
	return &lambda.ScalingConfig{MaximumConcurrency: p.ScalingConfig.MaximumConcurrency}
}

func (s *Service) mappingResource() cfn.ResourceType {
	return cfn.Resource("AWS::Lambda::EventSourceMapping", cfn.Spec[mappingProperties]{
		Create: func(ctx context.Context, r *cfn.Request, p *mappingProperties) (*cfn.Result, error) {
			out, err := lambda.NewClient(s.deps.Caller).CreateEventSourceMapping(ctx, &lambda.CreateEventSourceMappingInput{
				FunctionName: p.FunctionName, EventSourceArn: p.EventSourceArn, Enabled: p.Enabled, BatchSize: p.BatchSize,
				MaximumBatchingWindowInSeconds: p.Window, FunctionResponseTypes: p.FunctionResponseTypes, ScalingConfig: p.scaling(),
				Tags: cfn.TagMap(r.Tags, p.Tags),
			})
			if err != nil {
				return nil, err
			}
			return mappingResult(out), nil
		},
		Update: s.updateMappingResource,
		Delete: func(ctx context.Context, r *cfn.Request, _ *mappingProperties) error {
			_, err := lambda.NewClient(s.deps.Caller).DeleteEventSourceMapping(ctx, &lambda.DeleteEventSourceMappingInput{UUID: r.PhysicalID})
			return ignoreNotFound(err)
		},
	})
}

func (s *Service) updateMappingResource(ctx context.Context, r *cfn.Request, _, p *mappingProperties) (*cfn.Result, error) {
	in := &lambda.UpdateEventSourceMappingInput{
		UUID: r.PhysicalID, FunctionName: &p.FunctionName, Enabled: wire.Ptr(true), BatchSize: wire.Ptr[int32](defaultBatchSize),
		MaximumBatchingWindowInSeconds: wire.Ptr(wire.Value(p.Window)), FunctionResponseTypes: []string{}, ScalingConfig: &lambda.ScalingConfig{},
	}
	set(in.Enabled, p.Enabled)
	set(in.BatchSize, p.BatchSize)
	if p.FunctionResponseTypes != nil {
		in.FunctionResponseTypes = p.FunctionResponseTypes
	}
	if p.ScalingConfig != nil {
		in.ScalingConfig = p.scaling()
	}
	out, err := lambda.NewClient(s.deps.Caller).UpdateEventSourceMapping(ctx, in)
	if err != nil {
		return nil, err
	}
	tags := cfn.TagMap(r.Tags, p.Tags)
	if err := s.editTags(ctx, wire.Value(out.EventSourceMappingArn), func(now map[string]string) { replace(now, tags) }); err != nil {
		return nil, err
	}
	return mappingResult(out), nil
}

func mappingResult(c *lambda.EventSourceMappingConfiguration) *cfn.Result {
	id := wire.Value(c.UUID)
	return &cfn.Result{PhysicalID: id, Attributes: map[string]any{"Id": id, "EventSourceMappingArn": wire.Value(c.EventSourceMappingArn)}}
}
