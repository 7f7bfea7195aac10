package apigatewayv2

import (
	"context"
	"slices"
	"strings"

	api "croft/internal/awsapi/apigatewayv2"
	"croft/internal/wire"
)

const (
	targetPrefix = "integrations/"
	authNone     = "NONE"
)

func (r *routeRow) describe() api.Route {
	out := api.Route{
		RouteId: wire.Ptr(r.ID), RouteKey: r.Key, AuthorizationType: wire.Ptr(authNone), ApiKeyRequired: wire.Ptr(false),
		OperationName: optional(r.Operation),
	}
	if r.Integration != "" {
		out.Target = wire.Ptr(targetPrefix + r.Integration)
	}
	if r.Managed {
		out.ApiGatewayManaged = wire.Ptr(true)
	}
	return out
}

// routeSpec is what makes or changes a route.
type routeSpec struct {
	key       string
	target    *string
	operation string
}

// set checks spec and writes it to r.
func (a *apiRow) setRoute(r *routeRow, spec routeSpec) error {
	if _, err := parseRouteKey(spec.key); err != nil {
		return err
	}
	for i := range a.Routes {
		if other := &a.Routes[i]; other.Key == spec.key && other.ID != r.ID {
			return api.NewConflictException("Route with key %s already exists for this API", spec.key)
		}
	}
	r.Key, r.Operation, r.Integration = spec.key, spec.operation, ""
	if spec.target == nil {
		return nil
	}
	id, ok := strings.CutPrefix(*spec.target, targetPrefix)
	if !ok {
		return badRequest("Invalid target %s: it must be integrations/INTEGRATION_ID", *spec.target)
	}
	if a.integration(id) == nil {
		return badRequest("Invalid Integration identifier specified")
	}
	r.Integration = id
	return nil
}

func (a *apiRow) addRoute(spec routeSpec) (*routeRow, error) {
	if len(a.Routes) >= maxRoutes {
		return nil, tooMany("routes", maxRoutes)
	}
	r := routeRow{ID: newID(partIDLength)}
	if err := a.setRoute(&r, spec); err != nil {
		return nil, err
	}
	a.Routes = append(a.Routes, r)
	return &a.Routes[len(a.Routes)-1], nil
}

// refuseRoute names the first setting of a route that is not implemented.
func refuseRoute(in *api.CreateRouteInput) error {
	return refuse("CreateRoute",
		param{"AuthorizationType " + wire.Value(in.AuthorizationType), in.AuthorizationType != nil && *in.AuthorizationType != authNone},
		param{"AuthorizerId", in.AuthorizerId != nil}, param{"AuthorizationScopes", len(in.AuthorizationScopes) > 0},
		param{"ApiKeyRequired", wire.Value(in.ApiKeyRequired)},
		param{"ModelSelectionExpression", in.ModelSelectionExpression != nil},
		param{"RequestModels", len(in.RequestModels) > 0}, param{"RequestParameters", len(in.RequestParameters) > 0},
		param{"RouteResponseSelectionExpression", in.RouteResponseSelectionExpression != nil},
	)
}

// CreateRoute adds a route to an API.
func (s *Service) CreateRoute(ctx context.Context, in *api.CreateRouteInput) (*api.CreateRouteOutput, error) {
	if err := refuseRoute(in); err != nil {
		return nil, err
	}
	var d api.Route
	err := s.change(ctx, in.ApiId, func(a *apiRow) error {
		r, err := a.addRoute(routeSpec{key: in.RouteKey, target: in.Target, operation: wire.Value(in.OperationName)})
		if err == nil {
			d = r.describe()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &api.CreateRouteOutput{
		RouteId: d.RouteId, RouteKey: &d.RouteKey, Target: d.Target, AuthorizationType: d.AuthorizationType,
		ApiKeyRequired: d.ApiKeyRequired, OperationName: d.OperationName,
	}, nil
}

func noRoute() error { return api.NewNotFoundException("Invalid Route identifier specified") }

func (a *apiRow) routeIndex(id string) int {
	return slices.IndexFunc(a.Routes, func(r routeRow) bool { return r.ID == id })
}

// GetRoute describes a route.
func (s *Service) GetRoute(ctx context.Context, in *api.GetRouteInput) (*api.GetRouteOutput, error) {
	a, err := s.view(ctx, in.ApiId)
	if err != nil {
		return nil, err
	}
	i := a.routeIndex(in.RouteId)
	if i < 0 {
		return nil, noRoute()
	}
	d := a.Routes[i].describe()
	return &api.GetRouteOutput{
		RouteId: d.RouteId, RouteKey: &d.RouteKey, Target: d.Target, AuthorizationType: d.AuthorizationType,
		ApiKeyRequired: d.ApiKeyRequired, OperationName: d.OperationName, ApiGatewayManaged: d.ApiGatewayManaged,
	}, nil
}

// GetRoutes lists an API's routes in the order of their creation.
func (s *Service) GetRoutes(ctx context.Context, in *api.GetRoutesInput) (*api.GetRoutesOutput, error) {
	a, err := s.view(ctx, in.ApiId)
	if err != nil {
		return nil, err
	}
	rows, next, err := slicePage(a.Routes, func(r *routeRow) string { return r.ID }, in.NextToken, in.MaxResults)
	if err != nil {
		return nil, err
	}
	out := &api.GetRoutesOutput{Items: []api.Route{}, NextToken: next}
	for i := range rows {
		out.Items = append(out.Items, rows[i].describe())
	}
	return out, nil
}

// DeleteRoute removes a route.
func (s *Service) DeleteRoute(ctx context.Context, in *api.DeleteRouteInput) (*api.DeleteRouteOutput, error) {
	err := s.change(ctx, in.ApiId, func(a *apiRow) error {
		i := a.routeIndex(in.RouteId)
		if i < 0 {
			return noRoute()
		}
		a.Routes = slices.Delete(a.Routes, i, i+1)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &api.DeleteRouteOutput{}, nil
}
