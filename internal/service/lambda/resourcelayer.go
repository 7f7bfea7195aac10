package lambda

import (
	"context"
	"strconv"
	"strings"

	"croft/internal/awsapi/lambda"
	"croft/internal/cfn"
	"croft/internal/wire"
)

type layerProperties struct {
	LayerName               string       `cfn:"LayerName"`
	Content                 layerContent `cfn:"Content,required"`
	Description             *string      `cfn:"Description"`
	LicenseInfo             *string      `cfn:"LicenseInfo"`
	CompatibleRuntimes      []string     `cfn:"CompatibleRuntimes"`
	CompatibleArchitectures []string     `cfn:"CompatibleArchitectures"`
}

type layerContent struct {
	S3Bucket        string  `cfn:"S3Bucket,required"`
	S3Key           string  `cfn:"S3Key,required"`
	S3ObjectVersion *string `cfn:"S3ObjectVersion"`
}

// layerResource is a layer version. A version never changes: any other property makes another one.
func (s *Service) layerResource() cfn.ResourceType {
	return cfn.Resource("AWS::Lambda::LayerVersion", cfn.Spec[layerProperties]{
		Create: func(ctx context.Context, r *cfn.Request, p *layerProperties) (*cfn.Result, error) {
			name := p.LayerName
			if name == "" {
				name = r.GeneratedName
			}
			out, err := lambda.NewClient(s.deps.Caller).PublishLayerVersion(ctx, &lambda.PublishLayerVersionInput{
				LayerName: name, Description: p.Description, LicenseInfo: p.LicenseInfo,
				Content: &lambda.LayerVersionContentInput{
					S3Bucket: &p.Content.S3Bucket, S3Key: &p.Content.S3Key, S3ObjectVersion: p.Content.S3ObjectVersion,
				},
				CompatibleRuntimes: p.CompatibleRuntimes, CompatibleArchitectures: p.CompatibleArchitectures,
			})
			if err != nil {
				return nil, err
			}
			arn := wire.Value(out.LayerVersionArn)
			return &cfn.Result{PhysicalID: arn, Attributes: map[string]any{"LayerVersionArn": arn}}, nil
		},
		Delete: func(ctx context.Context, r *cfn.Request, _ *layerProperties) error {
			layer, version := cutVersion(r.PhysicalID)
			_, err := lambda.NewClient(s.deps.Caller).DeleteLayerVersion(ctx, &lambda.DeleteLayerVersionInput{LayerName: layer, VersionNumber: version})
			return ignoreNotFound(err)
		},
	})
}

// cutVersion takes the ARN of a layer version apart. What is none has the version zero, which there is not.
func cutVersion(arn string) (layer string, version int64) {
	i := strings.LastIndexByte(arn, ':')
	n, err := strconv.ParseInt(arn[i+1:], 10, 64)
	if i < 0 || err != nil {
		return arn, 0
	}
	return arn[:i], n
}

type layerPermissionProperties struct {
	LayerVersionArn string  `cfn:"LayerVersionArn,required"`
	Action          string  `cfn:"Action,required"`
	Principal       string  `cfn:"Principal,required"`
	OrganizationID  *string `cfn:"OrganizationId"`
}

func (s *Service) layerPermissionResource() cfn.ResourceType {
	return cfn.Resource("AWS::Lambda::LayerVersionPermission", cfn.Spec[layerPermissionProperties]{
		Create: func(ctx context.Context, r *cfn.Request, p *layerPermissionProperties) (*cfn.Result, error) {
			layer, version := cutVersion(p.LayerVersionArn)
			_, err := lambda.NewClient(s.deps.Caller).AddLayerVersionPermission(ctx, &lambda.AddLayerVersionPermissionInput{
				LayerName: layer, VersionNumber: version, StatementId: r.GeneratedName, Action: p.Action, Principal: p.Principal,
				OrganizationId: p.OrganizationID,
			})
			if err != nil {
				return nil, err
			}
			id := p.LayerVersionArn + "#" + r.GeneratedName
			return &cfn.Result{PhysicalID: id, Attributes: map[string]any{"Id": id}}, nil
		},
		Delete: func(ctx context.Context, r *cfn.Request, _ *layerPermissionProperties) error {
			arn, statement, _ := strings.Cut(r.PhysicalID, "#")
			layer, version := cutVersion(arn)
			_, err := lambda.NewClient(s.deps.Caller).RemoveLayerVersionPermission(ctx, &lambda.RemoveLayerVersionPermissionInput{
				LayerName: layer, VersionNumber: version, StatementId: statement,
			})
			return ignoreNotFound(err)
		},
	})
}

type eventConfigProperties struct {
	FunctionName string                 `cfn:"FunctionName,required,replace"`
	Qualifier    string                 `cfn:"Qualifier,required,replace"`
	Retries      *int32                 `cfn:"MaximumRetryAttempts"`
	MaxAge       *int32                 `cfn:"MaximumEventAgeInSeconds"`
	Destinations *destinationProperties `cfn:"DestinationConfig"`
}

type destinationProperties struct {
	OnSuccess *targetProperties `cfn:"OnSuccess"`
	OnFailure *targetProperties `cfn:"OnFailure"`
}

type targetProperties struct {
	Destination string `cfn:"Destination,required"`
}

func (p *eventConfigProperties) destinations() *lambda.DestinationConfig {
	if p.Destinations == nil {
		return nil
	}
	out := new(lambda.DestinationConfig)
	if t := p.Destinations.OnSuccess; t != nil {
		out.OnSuccess = &lambda.OnSuccess{Destination: &t.Destination}
	}
	if t := p.Destinations.OnFailure; t != nil {
		out.OnFailure = &lambda.OnFailure{Destination: &t.Destination}
	}
	return out
}

func (s *Service) eventConfigResource() cfn.ResourceType {
	put := func(ctx context.Context, p *eventConfigProperties) (*lambda.PutFunctionEventInvokeConfigOutput, error) {
		return lambda.NewClient(s.deps.Caller).PutFunctionEventInvokeConfig(ctx, &lambda.PutFunctionEventInvokeConfigInput{
			FunctionName: p.FunctionName, Qualifier: &p.Qualifier, MaximumRetryAttempts: p.Retries, MaximumEventAgeInSeconds: p.MaxAge,
			DestinationConfig: p.destinations(),
		})
	}
	return cfn.Resource("AWS::Lambda::EventInvokeConfig", cfn.Spec[eventConfigProperties]{
		Create: func(ctx context.Context, _ *cfn.Request, p *eventConfigProperties) (*cfn.Result, error) {
			out, err := put(ctx, p)
			if err != nil {
				return nil, err
			}
			// A function's configuration for a qualifier is known by the ARN that both make.
			return &cfn.Result{PhysicalID: wire.Value(out.FunctionArn)}, nil
		},
		Update: func(ctx context.Context, r *cfn.Request, _, p *eventConfigProperties) (*cfn.Result, error) {
			if _, err := put(ctx, p); err != nil {
				return nil, err
			}
			return &cfn.Result{PhysicalID: r.PhysicalID}, nil
		},
		Delete: func(ctx context.Context, r *cfn.Request, _ *eventConfigProperties) error {
			_, err := lambda.NewClient(s.deps.Caller).DeleteFunctionEventInvokeConfig(ctx, &lambda.DeleteFunctionEventInvokeConfigInput{FunctionName: r.PhysicalID})
			return ignoreNotFound(err)
		},
	})
}
