package logs

import (
	"context"

	"croft/internal/awsapi/logs"
	"croft/internal/cfn"
	"croft/internal/cloud"
)

type logGroupProperties struct {
	LogGroupName    string    `cfn:"LogGroupName,replace"`
	RetentionInDays int32     `cfn:"RetentionInDays"`
	LogGroupClass   *string   `cfn:"LogGroupClass,replace"`
	Tags            []cfn.Tag `cfn:"Tags"`
}

// logGroupResource is AWS::Logs::LogGroup. Source: CloudFormation Template Reference.
func (s *Service) logGroupResource() cfn.ResourceType {
	return cfn.Resource("AWS::Logs::LogGroup", cfn.Spec[logGroupProperties]{
		Create: func(ctx context.Context, r *cfn.Request, p *logGroupProperties) (*cfn.Result, error) {
			name := p.LogGroupName
			if name == "" {
				name = r.GeneratedName
			}
			_, err := logs.NewClient(s.deps.Caller).CreateLogGroup(ctx, &logs.CreateLogGroupInput{
				LogGroupName: name, LogGroupClass: p.LogGroupClass, Tags: cfn.TagMap(r.Tags, p.Tags),
			})
			if err != nil {
				return nil, err
			}
			return s.logGroupResult(ctx, name, p)
		},
		Update: func(ctx context.Context, r *cfn.Request, _, p *logGroupProperties) (*cfn.Result, error) {
			if err := s.setTags(ctx, r.PhysicalID, cfn.TagMap(r.Tags, p.Tags)); err != nil {
				return nil, err
			}
			return s.logGroupResult(ctx, r.PhysicalID, p)
		},
		Delete: func(ctx context.Context, r *cfn.Request, _ *logGroupProperties) error {
			_, err := logs.NewClient(s.deps.Caller).DeleteLogGroup(ctx, &logs.DeleteLogGroupInput{LogGroupName: r.PhysicalID})
			if cloud.Code(err) == "ResourceNotFoundException" {
				return nil
			}
			return err
		},
	})
}

func (s *Service) logGroupResult(ctx context.Context, name string, p *logGroupProperties) (*cfn.Result, error) {
	if err := s.setRetention(ctx, name, p.RetentionInDays); err != nil {
		return nil, err
	}
	return &cfn.Result{PhysicalID: name, Attributes: map[string]any{"Arn": groupARN(ctx, name) + ":*"}}, nil
}
