package apigatewayv2

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"time"

	api "croft/internal/awsapi/apigatewayv2"
	"croft/internal/cloud"
	"croft/internal/wire"
)

const stageDefault = "$default"

var stageNameForm = regexp.MustCompile(`^(\$default|[a-zA-Z0-9_-]{1,128})$`)

func newStage(name string, call *cloud.Call) stageRow {
	now := call.Now.UTC().Truncate(time.Second)
	return stageRow{Name: name, Created: now, Updated: now}
}

func (t *stageRow) describe() api.Stage {
	out := api.Stage{
		StageName: t.Name, AutoDeploy: wire.Ptr(t.AutoDeploy), CreatedDate: wire.Ptr(t.Created), LastUpdatedDate: wire.Ptr(t.Updated),
		Description: optional(t.Description), StageVariables: maps.Clone(t.Variables), Tags: maps.Clone(t.Tags),
		DefaultRouteSettings: &api.RouteSettings{DetailedMetricsEnabled: wire.Ptr(false)}, RouteSettings: map[string]api.RouteSettings{},
	}
	if t.AutoDeploy {
		out.DeploymentId = wire.Ptr(t.Deployment)
		out.LastDeploymentStatusMessage = wire.Ptr("Successfully deployed stage with deployment ID '" + t.Deployment + "'")
	}
	if t.Managed {
		out.ApiGatewayManaged = wire.Ptr(true)
	}
	return out
}

// refuseStage names the first setting of a stage that is not implemented. Metrics that are off are what every stage has; the Serverless
// Framework says so in each stage that it makes.
func refuseStage(in *api.CreateStageInput) error {
	routes := wire.Value(in.DefaultRouteSettings)
	const prefix = "DefaultRouteSettings."
	return refuse("CreateStage",
		param{"AccessLogSettings", in.AccessLogSettings != nil}, param{"ClientCertificateId", in.ClientCertificateId != nil},
		param{prefix + "DataTraceEnabled", routes.DataTraceEnabled != nil},
		param{prefix + "DetailedMetricsEnabled", wire.Value(routes.DetailedMetricsEnabled)},
		param{prefix + "LoggingLevel", routes.LoggingLevel != nil},
		param{prefix + "ThrottlingBurstLimit", routes.ThrottlingBurstLimit != nil},
		param{prefix + "ThrottlingRateLimit", routes.ThrottlingRateLimit != nil},
		param{"RouteSettings", len(in.RouteSettings) > 0}, param{"DeploymentId", in.DeploymentId != nil},
	)
}

// CreateStage adds a stage to an API.
func (s *Service) CreateStage(ctx context.Context, in *api.CreateStageInput) (*api.CreateStageOutput, error) {
	if err := refuseStage(in); err != nil {
		return nil, err
	}
	if !stageNameForm.MatchString(in.StageName) {
		return nil, badRequest("Stage name only allows a-zA-Z0-9_- and $default: %s", in.StageName)
	}
	t := newStage(in.StageName, cloud.CallOf(ctx))
	t.Description, t.Variables, t.Tags, t.AutoDeploy = wire.Value(in.Description), in.StageVariables, in.Tags, wire.Value(in.AutoDeploy)
	if t.AutoDeploy {
		t.Deployment = newID(partIDLength - 1)
	}
	err := s.change(ctx, in.ApiId, func(a *apiRow) error {
		if a.stage(t.Name) != nil {
			return api.NewConflictException("Stage already exists")
		}
		if len(a.Stages) >= maxStages {
			return tooMany("stages", maxStages)
		}
		a.Stages = append(a.Stages, t)
		return nil
	})
	if err != nil {
		return nil, err
	}
	d := t.describe()
	return &api.CreateStageOutput{
		StageName: &d.StageName, AutoDeploy: d.AutoDeploy, CreatedDate: d.CreatedDate, LastUpdatedDate: d.LastUpdatedDate,
		Description: d.Description, StageVariables: d.StageVariables, Tags: d.Tags,
		DefaultRouteSettings: d.DefaultRouteSettings, RouteSettings: d.RouteSettings,
	}, nil
}

func noStage() error { return api.NewNotFoundException("Invalid stage identifier specified") }

// stage returns the stage of that name, or nil.
func (a *apiRow) stage(name string) *stageRow {
	for i := range a.Stages {
		if a.Stages[i].Name == name {
			return &a.Stages[i]
		}
	}
	return nil
}

// GetStage describes a stage.
func (s *Service) GetStage(ctx context.Context, in *api.GetStageInput) (*api.GetStageOutput, error) {
	a, err := s.view(ctx, in.ApiId)
	if err != nil {
		return nil, err
	}
	t := a.stage(in.StageName)
	if t == nil {
		return nil, noStage()
	}
	d := t.describe()
	return &api.GetStageOutput{
		StageName: &d.StageName, AutoDeploy: d.AutoDeploy, CreatedDate: d.CreatedDate, LastUpdatedDate: d.LastUpdatedDate,
		Description: d.Description, StageVariables: d.StageVariables, Tags: d.Tags, DeploymentId: d.DeploymentId,
		DefaultRouteSettings: d.DefaultRouteSettings, RouteSettings: d.RouteSettings, ApiGatewayManaged: d.ApiGatewayManaged,
		LastDeploymentStatusMessage: d.LastDeploymentStatusMessage,
	}, nil
}

// GetStages lists an API's stages in the order of their creation.
func (s *Service) GetStages(ctx context.Context, in *api.GetStagesInput) (*api.GetStagesOutput, error) {
	a, err := s.view(ctx, in.ApiId)
	if err != nil {
		return nil, err
	}
	rows, next, err := slicePage(a.Stages, func(t *stageRow) string { return t.Name }, in.NextToken, in.MaxResults)
	if err != nil {
		return nil, err
	}
	out := &api.GetStagesOutput{Items: []api.Stage{}, NextToken: next}
	for i := range rows {
		out.Items = append(out.Items, rows[i].describe())
	}
	return out, nil
}

// DeleteStage removes a stage.
func (s *Service) DeleteStage(ctx context.Context, in *api.DeleteStageInput) (*api.DeleteStageOutput, error) {
	err := s.change(ctx, in.ApiId, func(a *apiRow) error {
		if a.stage(in.StageName) == nil {
			return noStage()
		}
		a.Stages = slices.DeleteFunc(a.Stages, func(t stageRow) bool { return t.Name == in.StageName })
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &api.DeleteStageOutput{}, nil
}
