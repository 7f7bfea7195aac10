package lambda

import (
	"context"

	"croft/internal/awsapi/lambda"
	"croft/internal/cfn"
	"croft/internal/wire"
)

type urlProperties struct {
	Target     string          `cfn:"TargetFunctionArn,required,replace"`
	Qualifier  *string         `cfn:"Qualifier,replace"`
	AuthType   string          `cfn:"AuthType,required"`
	InvokeMode *string         `cfn:"InvokeMode"`
	Cors       *corsProperties `cfn:"Cors"`
}

type corsProperties struct {
	AllowCredentials *bool    `cfn:"AllowCredentials"`
	AllowHeaders     []string `cfn:"AllowHeaders"`
	AllowMethods     []string `cfn:"AllowMethods"`
	AllowOrigins     []string `cfn:"AllowOrigins"`
	ExposeHeaders    []string `cfn:"ExposeHeaders"`
	MaxAge           *int32   `cfn:"MaxAge"`
}

func (p *urlProperties) cors() *lambda.Cors {
	if p.Cors == nil {
		return nil
	}
	return &lambda.Cors{
		AllowCredentials: p.Cors.AllowCredentials, AllowHeaders: p.Cors.AllowHeaders, AllowMethods: p.Cors.AllowMethods,
		AllowOrigins: p.Cors.AllowOrigins, ExposeHeaders: p.Cors.ExposeHeaders, MaxAge: p.Cors.MaxAge,
	}
}

// urlResource is a URL. Its name is the ARN of the function or alias that it belongs to.
func (s *Service) urlResource() cfn.ResourceType {
	return cfn.Resource("AWS::Lambda::Url", cfn.Spec[urlProperties]{
		Create: func(ctx context.Context, _ *cfn.Request, p *urlProperties) (*cfn.Result, error) {
			out, err := lambda.NewClient(s.deps.Caller).CreateFunctionUrlConfig(ctx, &lambda.CreateFunctionUrlConfigInput{
				FunctionName: p.Target, Qualifier: p.Qualifier, AuthType: p.AuthType, InvokeMode: p.InvokeMode, Cors: p.cors(),
			})
			if err != nil {
				return nil, err
			}
			return urlResult(out.FunctionArn, out.FunctionUrl), nil
		},
		Update: func(ctx context.Context, r *cfn.Request, _, p *urlProperties) (*cfn.Result, error) {
			in := &lambda.UpdateFunctionUrlConfigInput{
				FunctionName: r.PhysicalID, AuthType: &p.AuthType, InvokeMode: wire.Ptr(lambda.InvokeModeBUFFERED), Cors: p.cors(),
			}
			set(in.InvokeMode, p.InvokeMode)
			if in.Cors == nil {
				in.Cors = &lambda.Cors{}
			}
			out, err := lambda.NewClient(s.deps.Caller).UpdateFunctionUrlConfig(ctx, in)
			if err != nil {
				return nil, err
			}
			return urlResult(out.FunctionArn, out.FunctionUrl), nil
		},
		Delete: func(ctx context.Context, r *cfn.Request, _ *urlProperties) error {
			_, err := lambda.NewClient(s.deps.Caller).DeleteFunctionUrlConfig(ctx, &lambda.DeleteFunctionUrlConfigInput{FunctionName: r.PhysicalID})
			return ignoreNotFound(err)
		},
	})
}

func urlResult(arn, url string) *cfn.Result {
	return &cfn.Result{PhysicalID: arn, Attributes: map[string]any{"FunctionArn": arn, "FunctionUrl": url}}
}
