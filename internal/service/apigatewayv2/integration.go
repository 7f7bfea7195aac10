package apigatewayv2

import (
	"context"
	"slices"
	"strings"

	api "croft/internal/awsapi/apigatewayv2"
	"croft/internal/cloud"
	"croft/internal/wire"
)

const (
	typeProxy = "AWS_PROXY"
	internet  = "INTERNET"
	format1   = "1.0"
	format2   = "2.0"
	// minTimeout and maxTimeout bound an integration's time in milliseconds. Source: API reference, TimeoutInMillis.
	minTimeout = 50
	maxTimeout = 30000
)

func (i *integrationRow) describe() api.Integration {
	out := api.Integration{
		IntegrationId: wire.Ptr(i.ID), IntegrationType: wire.Ptr(typeProxy), IntegrationUri: wire.Ptr(i.URI),
		IntegrationMethod: wire.Ptr("POST"), ConnectionType: wire.Ptr(internet), PayloadFormatVersion: wire.Ptr(i.Format),
		TimeoutInMillis: wire.Ptr(i.Timeout), Description: optional(i.Description),
	}
	if i.Managed {
		out.ApiGatewayManaged = wire.Ptr(true)
	}
	return out
}

// functionOf returns the ARN of the function that an integration's URI names: the ARN itself, or API Gateway's path form of it.
func functionOf(uri string) (string, error) {
	if strings.Contains(uri, "${") {
		return "", refuse("CreateIntegration", param{"IntegrationUri with stage variables", true})
	}
	arn, err := cloud.ParseARN(uri)
	if err == nil && arn.Service == "apigateway" {
		const before, after = "lambda:path/2015-03-31/functions/", "/invocations"
		inner, begins := strings.CutPrefix(arn.Account+":"+arn.Resource, before)
		inner, ends := strings.CutSuffix(inner, after)
		if !begins || !ends {
			return "", badRequest("Invalid function ARN or invalid uri")
		}
		uri = inner
		arn, err = cloud.ParseARN(uri)
	}
	if err != nil || arn.Service != "lambda" || !strings.HasPrefix(arn.Resource, "function:") {
		return "", badRequest("Invalid function ARN or invalid uri")
	}
	return uri, nil
}

// integrationSpec is what makes or changes an integration.
type integrationSpec struct {
	uri, format, method, description string
	timeout                          *int32
}

func (i *integrationRow) set(spec integrationSpec) error {
	if _, err := functionOf(spec.uri); err != nil {
		return err
	}
	if spec.method != "" && !strings.EqualFold(spec.method, "POST") {
		return badRequest("The integration method of a function must be POST")
	}
	i.URI, i.Description, i.Format, i.Timeout = spec.uri, spec.description, format1, maxTimeout
	switch spec.format {
	case "":
	case format1, format2:
		i.Format = spec.format
	default:
		return badRequest("Invalid PayloadFormatVersion %s: it must be 1.0 or 2.0", spec.format)
	}
	if spec.timeout != nil {
		if *spec.timeout < minTimeout || *spec.timeout > maxTimeout {
			return badRequest("Timeout should be between %d ms and %d ms", minTimeout, maxTimeout)
		}
		i.Timeout = *spec.timeout
	}
	return nil
}

func (a *apiRow) addIntegration(spec integrationSpec) (*integrationRow, error) {
	if len(a.Integrations) >= maxIntegrations {
		return nil, tooMany("integrations", maxIntegrations)
	}
	i := integrationRow{ID: newID(partIDLength)}
	if err := i.set(spec); err != nil {
		return nil, err
	}
	a.Integrations = append(a.Integrations, i)
	return &a.Integrations[len(a.Integrations)-1], nil
}

// refuseIntegration names the first setting of an integration that is not implemented.
func refuseIntegration(in *api.CreateIntegrationInput) error {
	return refuse("CreateIntegration",
		param{"IntegrationType " + in.IntegrationType, in.IntegrationType != typeProxy},
		param{"IntegrationSubtype", in.IntegrationSubtype != nil}, param{"ConnectionId", in.ConnectionId != nil},
		param{"ConnectionType " + wire.Value(in.ConnectionType), in.ConnectionType != nil && *in.ConnectionType != internet},
		param{"CredentialsArn", in.CredentialsArn != nil}, param{"ContentHandlingStrategy", in.ContentHandlingStrategy != nil},
		param{"PassthroughBehavior", in.PassthroughBehavior != nil}, param{"RequestParameters", len(in.RequestParameters) > 0},
		param{"RequestTemplates", len(in.RequestTemplates) > 0}, param{"ResponseParameters", len(in.ResponseParameters) > 0},
		param{"TemplateSelectionExpression", in.TemplateSelectionExpression != nil}, param{"TlsConfig", in.TlsConfig != nil},
	)
}

func integrationSpecOf(in *api.CreateIntegrationInput) integrationSpec {
	return integrationSpec{
		uri: wire.Value(in.IntegrationUri), format: wire.Value(in.PayloadFormatVersion), method: wire.Value(in.IntegrationMethod),
		description: wire.Value(in.Description), timeout: in.TimeoutInMillis,
	}
}

// CreateIntegration adds a Lambda proxy integration to an API.
func (s *Service) CreateIntegration(ctx context.Context, in *api.CreateIntegrationInput) (*api.CreateIntegrationOutput, error) {
	if err := refuseIntegration(in); err != nil {
		return nil, err
	}
	var d api.Integration
	err := s.change(ctx, in.ApiId, func(a *apiRow) error {
		i, err := a.addIntegration(integrationSpecOf(in))
		if err == nil {
			d = i.describe()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &api.CreateIntegrationOutput{
		IntegrationId: d.IntegrationId, IntegrationType: d.IntegrationType, IntegrationUri: d.IntegrationUri,
		IntegrationMethod: d.IntegrationMethod, ConnectionType: d.ConnectionType, PayloadFormatVersion: d.PayloadFormatVersion,
		TimeoutInMillis: d.TimeoutInMillis, Description: d.Description,
	}, nil
}

func noIntegration() error {
	return api.NewNotFoundException("Invalid Integration identifier specified")
}

// integration returns the integration with that id, or nil.
func (a *apiRow) integration(id string) *integrationRow {
	for i := range a.Integrations {
		if a.Integrations[i].ID == id {
			return &a.Integrations[i]
		}
	}
	return nil
}

// GetIntegration describes an integration.
func (s *Service) GetIntegration(ctx context.Context, in *api.GetIntegrationInput) (*api.GetIntegrationOutput, error) {
	a, err := s.view(ctx, in.ApiId)
	if err != nil {
		return nil, err
	}
	i := a.integration(in.IntegrationId)
	if i == nil {
		return nil, noIntegration()
	}
	d := i.describe()
	return &api.GetIntegrationOutput{
		IntegrationId: d.IntegrationId, IntegrationType: d.IntegrationType, IntegrationUri: d.IntegrationUri,
		IntegrationMethod: d.IntegrationMethod, ConnectionType: d.ConnectionType, PayloadFormatVersion: d.PayloadFormatVersion,
		TimeoutInMillis: d.TimeoutInMillis, Description: d.Description, ApiGatewayManaged: d.ApiGatewayManaged,
	}, nil
}

// GetIntegrations lists an API's integrations in the order of their creation.
func (s *Service) GetIntegrations(ctx context.Context, in *api.GetIntegrationsInput) (*api.GetIntegrationsOutput, error) {
	a, err := s.view(ctx, in.ApiId)
	if err != nil {
		return nil, err
	}
	rows, next, err := slicePage(a.Integrations, func(i *integrationRow) string { return i.ID }, in.NextToken, in.MaxResults)
	if err != nil {
		return nil, err
	}
	out := &api.GetIntegrationsOutput{Items: []api.Integration{}, NextToken: next}
	for i := range rows {
		out.Items = append(out.Items, rows[i].describe())
	}
	return out, nil
}

// DeleteIntegration removes an integration to which no route leads any more.
func (s *Service) DeleteIntegration(ctx context.Context, in *api.DeleteIntegrationInput) (*api.DeleteIntegrationOutput, error) {
	err := s.change(ctx, in.ApiId, func(a *apiRow) error {
		if a.integration(in.IntegrationId) == nil {
			return noIntegration()
		}
		for i := range a.Routes {
			if a.Routes[i].Integration == in.IntegrationId {
				return api.NewConflictException("Cannot delete Integration '%s' as it is still referenced by the route '%s'.",
					in.IntegrationId, a.Routes[i].ID)
			}
		}
		a.Integrations = slices.DeleteFunc(a.Integrations, func(i integrationRow) bool { return i.ID == in.IntegrationId })
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &api.DeleteIntegrationOutput{}, nil
}
