package apigatewayv2

import (
	"context"
	"strings"

	api "croft/internal/awsapi/apigatewayv2"
	"croft/internal/cfn"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

// apiResource are the properties of AWS::ApiGatewayV2::Api. FailOnWarnings holds always: what cannot be imported is an error.
type apiResource struct {
	Name                      string            `cfn:"Name"`
	ProtocolType              string            `cfn:"ProtocolType,replace"`
	Description               *string           `cfn:"Description"`
	Version                   *string           `cfn:"Version"`
	RouteSelectionExpression  *string           `cfn:"RouteSelectionExpression"`
	CorsConfiguration         *corsProperty     `cfn:"CorsConfiguration"`
	DisableExecuteApiEndpoint *bool             `cfn:"DisableExecuteApiEndpoint"`
	Tags                      map[string]string `cfn:"Tags"`
	Body                      cfn.JSON          `cfn:"Body"`
	FailOnWarnings            *bool             `cfn:"FailOnWarnings"`
	Target                    *string           `cfn:"Target,replace"`
	RouteKey                  *string           `cfn:"RouteKey,replace"`
}

type corsProperty struct {
	AllowCredentials *bool    `cfn:"AllowCredentials"`
	AllowHeaders     []string `cfn:"AllowHeaders"`
	AllowMethods     []string `cfn:"AllowMethods"`
	AllowOrigins     []string `cfn:"AllowOrigins"`
	ExposeHeaders    []string `cfn:"ExposeHeaders"`
	MaxAge           *int32   `cfn:"MaxAge"`
}

func (s *Service) resources() []cfn.ResourceType {
	return []cfn.ResourceType{
		cfn.Resource("AWS::ApiGatewayV2::Api", cfn.Spec[apiResource]{
			Create: s.createAPIResource, Update: s.updateAPIResource, Delete: s.deleteAPIResource,
		}),
		cfn.Resource("AWS::ApiGatewayV2::Stage", cfn.Spec[stageResource]{
			Create: s.createStageResource, Update: s.updateStageResource, Delete: s.deleteStageResource,
		}),
		cfn.Resource("AWS::ApiGatewayV2::Route", cfn.Spec[routeResource]{
			Create: s.createRouteResource, Update: s.updateRouteResource, Delete: s.deleteRouteResource,
		}),
		cfn.Resource("AWS::ApiGatewayV2::Integration", cfn.Spec[integrationResource]{
			Create: s.createIntegrationResource, Update: s.updateIntegrationResource, Delete: s.deleteIntegrationResource,
		}),
	}
}

func (s *Service) client() api.Client { return api.NewClient(s.deps.Caller) }

// input returns the CreateApi call that makes a resource without a body.
func (p *apiResource) input(r *cfn.Request) *api.CreateApiInput {
	in := &api.CreateApiInput{
		Name: p.Name, ProtocolType: p.ProtocolType, Description: p.Description, Version: p.Version,
		RouteSelectionExpression: p.RouteSelectionExpression, DisableExecuteApiEndpoint: p.DisableExecuteApiEndpoint,
		Target: p.Target, RouteKey: p.RouteKey, Tags: map[string]string{},
	}
	for _, tags := range []map[string]string{r.Tags, p.Tags} {
		for k, v := range tags {
			in.Tags[k] = v
		}
	}
	if p.CorsConfiguration != nil {
		in.CorsConfiguration = wire.Ptr(api.Cors(*p.CorsConfiguration))
	}
	return in
}

func (s *Service) apiResult(ctx context.Context, id string) *cfn.Result {
	return &cfn.Result{PhysicalID: id, Attributes: map[string]any{"ApiId": id, "ApiEndpoint": s.endpoint(ctx, id)}}
}

func (s *Service) createAPIResource(ctx context.Context, r *cfn.Request, p *apiResource) (*cfn.Result, error) {
	if p.Body == "" {
		out, err := s.client().CreateApi(ctx, p.input(r))
		if err != nil {
			return nil, err
		}
		return s.apiResult(ctx, *out.ApiId), nil
	}
	a := &apiRow{ID: newID(apiIDLength), Created: cloud.CallOf(ctx).Now.UTC()}
	if err := a.define(r, p); err != nil {
		return nil, err
	}
	err := s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error { return s.insert(ctx, tx, a) })
	if err != nil {
		return nil, err
	}
	return s.apiResult(ctx, a.ID), nil
}

// define sets a to what the properties say. Those beside a body win over what the body says.
func (a *apiRow) define(r *cfn.Request, p *apiResource) error {
	if p.ProtocolType != "" && p.ProtocolType != protocolHTTP {
		return refuse("CreateApi", param{"ProtocolType " + p.ProtocolType, true})
	}
	if err := checkRouteSelection(p.RouteSelectionExpression); err != nil {
		return err
	}
	if p.Body != "" && (p.Target != nil || p.RouteKey != nil) {
		return badRequest("Target and RouteKey cannot be specified together with Body")
	}
	in := p.input(r)
	cors, err := corsOf(in.CorsConfiguration)
	if err != nil {
		return err
	}
	a.Name, a.Description, a.Version, a.CORS, a.Tags = "", "", "", nil, nil
	if p.Body != "" {
		if err := a.importDocument(string(p.Body)); err != nil {
			return err
		}
	}
	for _, f := range []struct {
		to    *string
		given *string
	}{{&a.Name, optional(p.Name)}, {&a.Description, p.Description}, {&a.Version, p.Version}} {
		if f.given != nil {
			*f.to = *f.given
		}
	}
	if cors != nil {
		a.CORS = cors
	}
	a.Disabled = wire.Value(p.DisableExecuteApiEndpoint)
	if a.Tags == nil {
		a.Tags = map[string]string{}
	}
	for k, v := range in.Tags {
		a.Tags[k] = v
	}
	if a.Name == "" {
		return badRequest("Name is a required parameter")
	}
	return nil
}

func (s *Service) updateAPIResource(ctx context.Context, r *cfn.Request, old, p *apiResource) (*cfn.Result, error) {
	if old.Body != "" && p.Body == "" {
		return nil, badRequest("the Body of an API can be changed and not removed")
	}
	err := s.change(ctx, r.PhysicalID, func(a *apiRow) error { return a.define(r, p) })
	if err != nil {
		return nil, err
	}
	return s.apiResult(ctx, r.PhysicalID), nil
}

// unlessGone returns err unless it says that what is to be removed is not there.
func unlessGone(err error) error {
	if cloud.Code(err) == "NotFoundException" {
		return nil
	}
	return err
}

func (s *Service) deleteAPIResource(ctx context.Context, r *cfn.Request, _ *apiResource) error {
	_, err := s.client().DeleteApi(ctx, &api.DeleteApiInput{ApiId: r.PhysicalID})
	return unlessGone(err)
}

// stageResource are the properties of AWS::ApiGatewayV2::Stage.
type stageResource struct {
	APIID          string            `cfn:"ApiId,required,replace"`
	StageName      string            `cfn:"StageName,required,replace"`
	AutoDeploy     bool              `cfn:"AutoDeploy"`
	Description    *string           `cfn:"Description"`
	StageVariables map[string]string `cfn:"StageVariables"`
	Tags           map[string]string `cfn:"Tags"`
	DefaultRoute   *routeSettings    `cfn:"DefaultRouteSettings"`
}

type routeSettings struct {
	DetailedMetrics *bool `cfn:"DetailedMetricsEnabled"`
}

// input returns the CreateStage call that makes the stage.
func (p *stageResource) input(r *cfn.Request) *api.CreateStageInput {
	in := &api.CreateStageInput{
		ApiId: p.APIID, StageName: p.StageName, AutoDeploy: &p.AutoDeploy, Description: p.Description,
		StageVariables: p.StageVariables, Tags: p.tags(r),
	}
	if p.DefaultRoute != nil {
		in.DefaultRouteSettings = &api.RouteSettings{DetailedMetricsEnabled: p.DefaultRoute.DetailedMetrics}
	}
	return in
}

func (s *Service) createStageResource(ctx context.Context, r *cfn.Request, p *stageResource) (*cfn.Result, error) {
	_, err := s.client().CreateStage(ctx, p.input(r))
	if err != nil {
		return nil, err
	}
	return &cfn.Result{PhysicalID: p.StageName, Within: p.APIID}, nil
}

func (p *stageResource) tags(r *cfn.Request) map[string]string {
	out := map[string]string{}
	for _, tags := range []map[string]string{r.Tags, p.Tags} {
		for k, v := range tags {
			out[k] = v
		}
	}
	return out
}

func (s *Service) updateStageResource(ctx context.Context, r *cfn.Request, _, p *stageResource) (*cfn.Result, error) {
	if err := refuseStage(p.input(r)); err != nil {
		return nil, err
	}
	err := s.change(ctx, p.APIID, func(a *apiRow) error {
		t := a.stage(p.StageName)
		if t == nil {
			return noStage()
		}
		if t.AutoDeploy = p.AutoDeploy; t.AutoDeploy && t.Deployment == "" {
			t.Deployment = newID(partIDLength - 1)
		}
		t.Description, t.Variables, t.Tags = wire.Value(p.Description), p.StageVariables, p.tags(r)
		t.Updated = cloud.CallOf(ctx).Now.UTC()
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &cfn.Result{PhysicalID: r.PhysicalID, Attributes: r.Attributes}, nil
}

func (s *Service) deleteStageResource(ctx context.Context, r *cfn.Request, p *stageResource) error {
	_, err := s.client().DeleteStage(ctx, &api.DeleteStageInput{ApiId: p.APIID, StageName: r.PhysicalID})
	return unlessGone(err)
}

// routeResource are the properties of AWS::ApiGatewayV2::Route.
type routeResource struct {
	APIID             string  `cfn:"ApiId,required,replace"`
	RouteKey          string  `cfn:"RouteKey,required"`
	Target            *string `cfn:"Target"`
	AuthorizationType *string `cfn:"AuthorizationType"`
	APIKeyRequired    *bool   `cfn:"ApiKeyRequired"`
	OperationName     *string `cfn:"OperationName"`
}

func (p *routeResource) input() *api.CreateRouteInput {
	return &api.CreateRouteInput{
		ApiId: p.APIID, RouteKey: p.RouteKey, Target: p.Target, AuthorizationType: p.AuthorizationType,
		ApiKeyRequired: p.APIKeyRequired, OperationName: p.OperationName,
	}
}

func (s *Service) createRouteResource(ctx context.Context, _ *cfn.Request, p *routeResource) (*cfn.Result, error) {
	out, err := s.client().CreateRoute(ctx, p.input())
	if err != nil {
		return nil, err
	}
	return &cfn.Result{PhysicalID: *out.RouteId, Attributes: map[string]any{"RouteId": *out.RouteId}}, nil
}

func (s *Service) updateRouteResource(ctx context.Context, r *cfn.Request, _, p *routeResource) (*cfn.Result, error) {
	if err := refuseRoute(p.input()); err != nil {
		return nil, err
	}
	err := s.change(ctx, p.APIID, func(a *apiRow) error {
		i := a.routeIndex(r.PhysicalID)
		if i < 0 {
			return noRoute()
		}
		return a.setRoute(&a.Routes[i], routeSpec{key: p.RouteKey, target: p.Target, operation: wire.Value(p.OperationName)})
	})
	if err != nil {
		return nil, err
	}
	return &cfn.Result{PhysicalID: r.PhysicalID, Attributes: r.Attributes}, nil
}

func (s *Service) deleteRouteResource(ctx context.Context, r *cfn.Request, p *routeResource) error {
	_, err := s.client().DeleteRoute(ctx, &api.DeleteRouteInput{ApiId: p.APIID, RouteId: r.PhysicalID})
	return unlessGone(err)
}

// integrationResource are the properties of AWS::ApiGatewayV2::Integration.
type integrationResource struct {
	APIID                string  `cfn:"ApiId,required,replace"`
	IntegrationType      string  `cfn:"IntegrationType,required"`
	IntegrationURI       *string `cfn:"IntegrationUri"`
	IntegrationMethod    *string `cfn:"IntegrationMethod"`
	PayloadFormatVersion *string `cfn:"PayloadFormatVersion"`
	TimeoutInMillis      *int32  `cfn:"TimeoutInMillis"`
	Description          *string `cfn:"Description"`
	ConnectionType       *string `cfn:"ConnectionType"`
}

func (p *integrationResource) input() *api.CreateIntegrationInput {
	return &api.CreateIntegrationInput{
		ApiId: p.APIID, IntegrationType: strings.ToUpper(p.IntegrationType), IntegrationUri: p.IntegrationURI,
		IntegrationMethod: p.IntegrationMethod, PayloadFormatVersion: p.PayloadFormatVersion, TimeoutInMillis: p.TimeoutInMillis,
		Description: p.Description, ConnectionType: p.ConnectionType,
	}
}

func (s *Service) createIntegrationResource(ctx context.Context, _ *cfn.Request, p *integrationResource) (*cfn.Result, error) {
	out, err := s.client().CreateIntegration(ctx, p.input())
	if err != nil {
		return nil, err
	}
	return &cfn.Result{PhysicalID: *out.IntegrationId, Attributes: map[string]any{"IntegrationId": *out.IntegrationId}}, nil
}

func (s *Service) updateIntegrationResource(ctx context.Context, r *cfn.Request, _, p *integrationResource) (*cfn.Result, error) {
	in := p.input()
	if err := refuseIntegration(in); err != nil {
		return nil, err
	}
	err := s.change(ctx, p.APIID, func(a *apiRow) error {
		i := a.integration(r.PhysicalID)
		if i == nil {
			return noIntegration()
		}
		return i.set(integrationSpecOf(in))
	})
	if err != nil {
		return nil, err
	}
	return &cfn.Result{PhysicalID: r.PhysicalID, Attributes: r.Attributes}, nil
}

func (s *Service) deleteIntegrationResource(ctx context.Context, r *cfn.Request, p *integrationResource) error {
	_, err := s.client().DeleteIntegration(ctx, &api.DeleteIntegrationInput{ApiId: p.APIID, IntegrationId: r.PhysicalID})
	return unlessGone(err)
}
