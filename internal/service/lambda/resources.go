package lambda

import (
	"context"

	"croft/internal/awsapi/lambda"
	"croft/internal/cfn"
	"croft/internal/cloud"
	"croft/internal/wire"
)

// The properties of the CloudFormation types are those that croft honours. Source: CloudFormation Template Reference.

func ignoreNotFound(err error) error {
	if cloud.Code(err) == "ResourceNotFoundException" {
		return nil
	}
	return err
}

type permissionProperties struct {
	FunctionName     string  `cfn:"FunctionName,required"`
	Action           string  `cfn:"Action,required"`
	Principal        string  `cfn:"Principal,required"`
	SourceArn        *string `cfn:"SourceArn"`
	SourceAccount    *string `cfn:"SourceAccount"`
	EventSourceToken *string `cfn:"EventSourceToken"`
	PrincipalOrgID   *string `cfn:"PrincipalOrgID"`
	URLAuthType      *string `cfn:"FunctionUrlAuthType"`
	ViaURL           *bool   `cfn:"InvokedViaFunctionUrl"`
}

func (s *Service) permissionResource() cfn.ResourceType {
	return cfn.Resource("AWS::Lambda::Permission", cfn.Spec[permissionProperties]{
		Create: func(ctx context.Context, r *cfn.Request, p *permissionProperties) (*cfn.Result, error) {
			_, err := lambda.NewClient(s.deps.Caller).AddPermission(ctx, &lambda.AddPermissionInput{
				FunctionName: p.FunctionName, StatementId: r.GeneratedName, Action: p.Action, Principal: p.Principal,
				SourceArn: p.SourceArn, SourceAccount: p.SourceAccount, EventSourceToken: p.EventSourceToken, PrincipalOrgID: p.PrincipalOrgID,
				FunctionUrlAuthType: p.URLAuthType, InvokedViaFunctionUrl: p.ViaURL,
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
