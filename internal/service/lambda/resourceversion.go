package lambda

import (
	"context"

	"croft/internal/awsapi/lambda"
	"croft/internal/cfn"
	"croft/internal/wire"
)

type versionProperties struct {
	FunctionName string                 `cfn:"FunctionName,required,replace"`
	CodeSha256   *string                `cfn:"CodeSha256,replace"`
	Description  *string                `cfn:"Description,replace"`
	Provisioned  *provisionedProperties `cfn:"ProvisionedConcurrencyConfig"`
	Management   *managementProperties  `cfn:"RuntimePolicy"`
}

type provisionedProperties struct {
	Executions int32 `cfn:"ProvisionedConcurrentExecutions,required"`
}

// versionResource is a version. Its name is the version's ARN.
func (s *Service) versionResource() cfn.ResourceType {
	return cfn.Resource("AWS::Lambda::Version", cfn.Spec[versionProperties]{
		Create: s.createVersion,
		Update: func(ctx context.Context, r *cfn.Request, old, p *versionProperties) (*cfn.Result, error) {
			ref := parseReference(r.PhysicalID, "", "")
			if err := s.provisionResource(ctx, ref, old.Provisioned, p.Provisioned); err != nil {
				return nil, err
			}
			return versionResult(r.PhysicalID, ref.qualifier), s.manageVersion(ctx, r.PhysicalID, old.Management, p.Management)
		},
		Delete: func(ctx context.Context, r *cfn.Request, _ *versionProperties) error {
			_, err := lambda.NewClient(s.deps.Caller).DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: r.PhysicalID})
			return ignoreNotFound(err)
		},
	})
}

func (s *Service) createVersion(ctx context.Context, _ *cfn.Request, p *versionProperties) (*cfn.Result, error) {
	out, err := lambda.NewClient(s.deps.Caller).PublishVersion(ctx, &lambda.PublishVersionInput{
		FunctionName: p.FunctionName, CodeSha256: p.CodeSha256, Description: p.Description,
	})
	if err != nil {
		return nil, err
	}
	arn := wire.Value(out.FunctionArn)
	if err := s.provisionResource(ctx, parseReference(arn, "", ""), nil, p.Provisioned); err != nil {
		return nil, err
	}
	return versionResult(arn, wire.Value(out.Version)), s.manageVersion(ctx, arn, nil, p.Management)
}

func versionResult(arn, version string) *cfn.Result {
	return &cfn.Result{PhysicalID: arn, Attributes: map[string]any{"FunctionArn": arn, "Version": version}}
}

func (s *Service) manageVersion(ctx context.Context, arn string, old, p *managementProperties) error {
	if p == nil && old == nil {
		return nil
	}
	in := &lambda.PutRuntimeManagementConfigInput{FunctionName: arn, UpdateRuntimeOn: lambda.UpdateRuntimeOnAuto}
	if p != nil {
		in.UpdateRuntimeOn, in.RuntimeVersionArn = p.UpdateRuntimeOn, p.RuntimeVersionArn
	}
	_, err := lambda.NewClient(s.deps.Caller).PutRuntimeManagementConfig(ctx, in)
	return err
}

// provisionResource brings the provisioned concurrency of a version or alias in line.
func (s *Service) provisionResource(ctx context.Context, ref reference, old, p *provisionedProperties) (err error) {
	client := lambda.NewClient(s.deps.Caller)
	switch {
	case p != nil:
		_, err = client.PutProvisionedConcurrencyConfig(ctx, &lambda.PutProvisionedConcurrencyConfigInput{
			FunctionName: ref.name, Qualifier: ref.qualifier, ProvisionedConcurrentExecutions: p.Executions,
		})
	case old != nil:
		_, err = client.DeleteProvisionedConcurrencyConfig(ctx, &lambda.DeleteProvisionedConcurrencyConfigInput{FunctionName: ref.name, Qualifier: ref.qualifier})
	}
	return err
}

type aliasProperties struct {
	FunctionName    string                 `cfn:"FunctionName,required,replace"`
	FunctionVersion string                 `cfn:"FunctionVersion,required"`
	Name            string                 `cfn:"Name,required,replace"`
	Description     *string                `cfn:"Description"`
	Routing         *routingProperties     `cfn:"RoutingConfig"`
	Provisioned     *provisionedProperties `cfn:"ProvisionedConcurrencyConfig"`
}

type routingProperties struct {
	Weights []weightProperties `cfn:"AdditionalVersionWeights"`
}

type weightProperties struct {
	Version string  `cfn:"FunctionVersion,required"`
	Weight  float64 `cfn:"FunctionWeight,required"`
}

func (p *aliasProperties) routing() *lambda.AliasRoutingConfiguration {
	c := &lambda.AliasRoutingConfiguration{AdditionalVersionWeights: map[string]float64{}}
	if p.Routing != nil {
		for _, w := range p.Routing.Weights {
			c.AdditionalVersionWeights[w.Version] = w.Weight
		}
	}
	return c
}

// aliasResource is an alias. Its name is the alias's ARN.
func (s *Service) aliasResource() cfn.ResourceType {
	return cfn.Resource("AWS::Lambda::Alias", cfn.Spec[aliasProperties]{
		Create: func(ctx context.Context, _ *cfn.Request, p *aliasProperties) (*cfn.Result, error) {
			out, err := lambda.NewClient(s.deps.Caller).CreateAlias(ctx, &lambda.CreateAliasInput{
				FunctionName: p.FunctionName, Name: p.Name, FunctionVersion: p.FunctionVersion, Description: p.Description, RoutingConfig: p.routing(),
			})
			if err != nil {
				return nil, err
			}
			return aliasResult(out), s.provisionResource(ctx, parseReference(wire.Value(out.AliasArn), "", ""), nil, p.Provisioned)
		},
		Update: func(ctx context.Context, r *cfn.Request, old, p *aliasProperties) (*cfn.Result, error) {
			ref := parseReference(r.PhysicalID, "", "")
			out, err := lambda.NewClient(s.deps.Caller).UpdateAlias(ctx, &lambda.UpdateAliasInput{
				FunctionName: ref.name, Name: ref.qualifier, FunctionVersion: &p.FunctionVersion, Description: wire.Ptr(wire.Value(p.Description)),
				RoutingConfig: p.routing(),
			})
			if err != nil {
				return nil, err
			}
			return aliasResult(out), s.provisionResource(ctx, ref, old.Provisioned, p.Provisioned)
		},
		Delete: func(ctx context.Context, r *cfn.Request, _ *aliasProperties) error {
			ref := parseReference(r.PhysicalID, "", "")
			_, err := lambda.NewClient(s.deps.Caller).DeleteAlias(ctx, &lambda.DeleteAliasInput{FunctionName: ref.name, Name: ref.qualifier})
			return ignoreNotFound(err)
		},
	})
}

func aliasResult(c *lambda.AliasConfiguration) *cfn.Result {
	arn := wire.Value(c.AliasArn)
	return &cfn.Result{PhysicalID: arn, Attributes: map[string]any{"AliasArn": arn}}
}
