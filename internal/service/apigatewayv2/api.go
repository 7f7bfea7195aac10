package apigatewayv2

import (
	"context"
	"errors"
	"maps"
	"time"

	api "croft/internal/awsapi/apigatewayv2"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

const (
	protocolHTTP = "HTTP"
	ipv4         = "ipv4"
	// routeSelection and keySelection are what every HTTP API has.
	routeSelection = "$request.method $request.path"
	keySelection   = "$request.header.x-api-key"
)

// endpoint returns the API's address in a form that needs no name resolution.
func (s *Service) endpoint(ctx context.Context, id string) string {
	return s.deps.Endpoint(ctx) + "/_aws/" + frontLabel + "/" + id
}

func (s *Service) describe(ctx context.Context, a *apiRow) api.Api {
	return api.Api{
		ApiId: wire.Ptr(a.ID), Name: a.Name, ProtocolType: protocolHTTP, ApiEndpoint: wire.Ptr(s.endpoint(ctx, a.ID)),
		ApiKeySelectionExpression: wire.Ptr(keySelection), RouteSelectionExpression: routeSelection,
		CorsConfiguration: describeCORS(a.CORS), CreatedDate: wire.Ptr(a.Created), Description: optional(a.Description),
		DisableExecuteApiEndpoint: wire.Ptr(a.Disabled), IpAddressType: wire.Ptr(ipv4), Tags: maps.Clone(a.Tags), Version: optional(a.Version),
	}
}

// optional returns a pointer to s, or nil for the empty string.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// CreateApi makes an HTTP API, with quick create also a route, an integration and a stage.
func (s *Service) CreateApi(ctx context.Context, in *api.CreateApiInput) (*api.CreateApiOutput, error) {
	if in.ProtocolType != protocolHTTP {
		return nil, refuse("CreateApi", param{"ProtocolType " + in.ProtocolType, true})
	}
	if err := refuse("CreateApi",
		param{"CredentialsArn", in.CredentialsArn != nil},
		param{"DisableSchemaValidation", in.DisableSchemaValidation != nil},
		param{"ApiKeySelectionExpression", in.ApiKeySelectionExpression != nil && *in.ApiKeySelectionExpression != keySelection},
		param{"IpAddressType " + wire.Value(in.IpAddressType), in.IpAddressType != nil && *in.IpAddressType != ipv4},
	); err != nil {
		return nil, err
	}
	if err := checkRouteSelection(in.RouteSelectionExpression); err != nil {
		return nil, err
	}
	cors, err := corsOf(in.CorsConfiguration)
	if err != nil {
		return nil, err
	}
	call := cloud.CallOf(ctx)
	a := &apiRow{
		ID: newID(apiIDLength), Name: in.Name, Description: wire.Value(in.Description), Version: wire.Value(in.Version), CORS: cors,
		Created: call.Now.UTC().Truncate(time.Second), Tags: in.Tags, Disabled: wire.Value(in.DisableExecuteApiEndpoint),
	}
	if err := a.quickCreate(in, call); err != nil {
		return nil, err
	}
	err = s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		return s.insert(ctx, tx, a)
	})
	if err != nil {
		return nil, err
	}
	d := s.describe(ctx, a)
	return &api.CreateApiOutput{
		ApiId: d.ApiId, Name: &d.Name, ProtocolType: &d.ProtocolType, ApiEndpoint: d.ApiEndpoint,
		ApiKeySelectionExpression: d.ApiKeySelectionExpression, RouteSelectionExpression: &d.RouteSelectionExpression,
		CorsConfiguration: d.CorsConfiguration, CreatedDate: d.CreatedDate, Description: d.Description,
		DisableExecuteApiEndpoint: d.DisableExecuteApiEndpoint, IpAddressType: d.IpAddressType, Tags: d.Tags, Version: d.Version,
	}, nil
}

func checkRouteSelection(given *string) error {
	switch wire.Value(given) {
	case "", routeSelection, "${request.method} ${request.path}":
		return nil
	}
	return badRequest("RouteSelectionExpression must be ${request.method} ${request.path} for HTTP APIs")
}

// draws bounds how often a new API's id is drawn until it is free: once is enough but for a broken source of randomness.
const draws = 8

// insert stores a new API and its entry in the index.
func (s *Service) insert(ctx context.Context, tx kv.Tx, a *apiRow) error {
	return s.shared().Update(ctx, func(ctx context.Context, index kv.Tx) error {
		for range draws {
			_, err := index.Get(indexKey(a.ID))
			switch {
			case errors.Is(err, kv.ErrNotFound):
				call := cloud.CallOf(ctx)
				if err := writeJSON(index, indexKey(a.ID), indexRow{call.Account, call.Region}); err != nil {
					return err
				}
				return writeJSON(tx, apiKey(a.ID), a)
			case err != nil:
				return err
			}
			a.ID = newID(apiIDLength)
		}
		return errors.New("apigatewayv2: no free API id was found")
	})
}

// quickCreate adds what Target asks for: an integration with a function, a route to it and a stage that deploys automatically.
func (a *apiRow) quickCreate(in *api.CreateApiInput, call *cloud.Call) error {
	if in.Target == nil {
		if in.RouteKey != nil {
			return badRequest("RouteKey can only be specified together with Target")
		}
		return nil
	}
	key := routeDefault
	if in.RouteKey != nil {
		key = *in.RouteKey
	}
	if _, err := parseRouteKey(key); err != nil {
		return err
	}
	i := integrationRow{ID: newID(partIDLength), URI: *in.Target, Format: format2, Timeout: maxTimeout, Managed: true}
	if _, err := functionOf(i.URI); err != nil {
		return err
	}
	a.Integrations = []integrationRow{i}
	a.Routes = []routeRow{{ID: newID(partIDLength), Key: key, Integration: i.ID, Managed: true}}
	stage := newStage(stageDefault, call)
	stage.AutoDeploy, stage.Deployment, stage.Managed = true, newID(partIDLength-1), true
	a.Stages = []stageRow{stage}
	return nil
}

// GetApi describes an API.
func (s *Service) GetApi(ctx context.Context, in *api.GetApiInput) (*api.GetApiOutput, error) {
	a, err := s.view(ctx, in.ApiId)
	if err != nil {
		return nil, err
	}
	d := s.describe(ctx, a)
	return &api.GetApiOutput{
		ApiId: d.ApiId, Name: &d.Name, ProtocolType: &d.ProtocolType, ApiEndpoint: d.ApiEndpoint,
		ApiKeySelectionExpression: d.ApiKeySelectionExpression, RouteSelectionExpression: &d.RouteSelectionExpression,
		CorsConfiguration: d.CorsConfiguration, CreatedDate: d.CreatedDate, Description: d.Description,
		DisableExecuteApiEndpoint: d.DisableExecuteApiEndpoint, IpAddressType: d.IpAddressType, Tags: d.Tags, Version: d.Version,
	}, nil
}

// GetApis lists the APIs of the account and region in the order of their ids.
func (s *Service) GetApis(ctx context.Context, in *api.GetApisInput) (*api.GetApisOutput, error) {
	after, limit, err := page(in.NextToken, in.MaxResults)
	if err != nil {
		return nil, err
	}
	out := &api.GetApisOutput{Items: []api.Api{}}
	err = s.space(ctx).View(ctx, func(ctx context.Context, r kv.Reader) error {
		for e, err := range r.Scan(apiRange(after), kv.ScanOptions{Limit: limit + 1}) {
			if err != nil {
				return err
			}
			if len(out.Items) == limit {
				out.NextToken = token(*out.Items[limit-1].ApiId)
				return nil
			}
			a, err := decodeAPI(e.Value)
			if err != nil {
				return err
			}
			out.Items = append(out.Items, s.describe(ctx, a))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// UpdateApi changes what is given of an API.
func (s *Service) UpdateApi(ctx context.Context, in *api.UpdateApiInput) (*api.UpdateApiOutput, error) {
	if err := refuse("UpdateApi",
		param{"CredentialsArn", in.CredentialsArn != nil}, param{"Target", in.Target != nil}, param{"RouteKey", in.RouteKey != nil},
		param{"DisableSchemaValidation", in.DisableSchemaValidation != nil},
		param{"ApiKeySelectionExpression", in.ApiKeySelectionExpression != nil && *in.ApiKeySelectionExpression != keySelection},
		param{"IpAddressType " + wire.Value(in.IpAddressType), in.IpAddressType != nil && *in.IpAddressType != ipv4},
	); err != nil {
		return nil, err
	}
	if err := checkRouteSelection(in.RouteSelectionExpression); err != nil {
		return nil, err
	}
	cors, err := corsOf(in.CorsConfiguration)
	if err != nil {
		return nil, err
	}
	var d api.Api
	err = s.change(ctx, in.ApiId, func(a *apiRow) error {
		for _, f := range []struct {
			to    *string
			given *string
		}{{&a.Name, in.Name}, {&a.Description, in.Description}, {&a.Version, in.Version}} {
			if f.given != nil {
				*f.to = *f.given
			}
		}
		if in.CorsConfiguration != nil {
			a.CORS = cors
		}
		if in.DisableExecuteApiEndpoint != nil {
			a.Disabled = *in.DisableExecuteApiEndpoint
		}
		d = s.describe(ctx, a)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &api.UpdateApiOutput{
		ApiId: d.ApiId, Name: &d.Name, ProtocolType: &d.ProtocolType, ApiEndpoint: d.ApiEndpoint,
		ApiKeySelectionExpression: d.ApiKeySelectionExpression, RouteSelectionExpression: &d.RouteSelectionExpression,
		CorsConfiguration: d.CorsConfiguration, CreatedDate: d.CreatedDate, Description: d.Description,
		DisableExecuteApiEndpoint: d.DisableExecuteApiEndpoint, IpAddressType: d.IpAddressType, Tags: d.Tags, Version: d.Version,
	}, nil
}

// DeleteApi deletes an API with everything in it.
func (s *Service) DeleteApi(ctx context.Context, in *api.DeleteApiInput) (*api.DeleteApiOutput, error) {
	err := s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		a, err := readAPI(ctx, tx, in.ApiId)
		if err != nil {
			return err
		}
		if err := tx.Delete(apiKey(a.ID)); err != nil {
			return err
		}
		return s.shared().Update(ctx, func(_ context.Context, index kv.Tx) error { return index.Delete(indexKey(a.ID)) })
	})
	if err != nil {
		return nil, err
	}
	return &api.DeleteApiOutput{}, nil
}
