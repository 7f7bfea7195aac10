package cloudformation

import (
	"context"
	"slices"
	"time"

	"croft/internal/awsapi/cloudformation"
	"croft/internal/cfn"
	"croft/internal/kv"
	"croft/internal/wire"
)

// DescribeStacks returns one stack, or all that are not deleted.
func (s *Service) DescribeStacks(ctx context.Context, in *cloudformation.DescribeStacksInput) (*cloudformation.DescribeStacksOutput, error) {
	out := &cloudformation.DescribeStacksOutput{Stacks: []cloudformation.Stack{}}
	err := s.space(ctx).View(ctx, func(ctx context.Context, r kv.Reader) error {
		if in.StackName != nil && *in.StackName != "" {
			st, err := s.need(ctx, r, *in.StackName, noStackWithID)
			if err == nil {
				out.Stacks = append(out.Stacks, stackOf(st))
			}
			return err
		}
		var err error
		out.NextToken, err = s.eachStack(r, in.NextToken, func(st *cfn.Stack) bool {
			if st.Status == cfn.DeleteComplete {
				return false
			}
			out.Stacks = append(out.Stacks, stackOf(st))
			return true
		})
		return err
	})
	return out, err
}

// eachStack gives a page of stacks, the latest first, to take, which says whether it counts.
func (s *Service) eachStack(r kv.Reader, token *string, take func(*cfn.Stack) bool) (next *string, err error) {
	return page(r, createdPrefix(), token, true, func(e kv.Entry) (bool, error) {
		k := kv.ReadKey(e.Key, createdPrefix())
		k.Time()
		id := k.Str()
		if err := k.Err(); err != nil {
			return false, err
		}
		st, err := load(r, id)
		if st == nil || err != nil {
			return false, err
		}
		return take(st), nil
	})
}

func stackOf(st *cfn.Stack) cloudformation.Stack {
	src := &st.Current
	out := cloudformation.Stack{
		StackId: &st.ID, StackName: st.Name, StackStatus: string(st.Status), StackStatusReason: optional(st.Reason),
		CreationTime: st.Created, LastUpdatedTime: optionalTime(st.Updated), DeletionTime: optionalTime(st.Deleted),
		Description: optional(src.Description), Parameters: parameterList(src.Parameters), Outputs: outputList(src.Outputs),
		Tags: tagList(src.Tags), Capabilities: src.Capabilities, RoleARN: optional(src.RoleARN), DisableRollback: &src.DisableRollback,
		NotificationARNs: []string{}, RollbackConfiguration: &cloudformation.RollbackConfiguration{},
		DriftInformation: &cloudformation.StackDriftInformation{StackDriftStatus: "NOT_CHECKED"},
	}
	if st.Status != cfn.DeleteComplete {
		out.ChangeSetId, out.EnableTerminationProtection = optional(src.ChangeSetID), &st.Protected
	}
	return out
}

func optionalTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func parameterList(in []cfn.Parameter) (out []cloudformation.Parameter) {
	for _, p := range in {
		value := p.Value
		if p.NoEcho {
			value = "****"
		}
		out = append(out, cloudformation.Parameter{ParameterKey: wire.Ptr(p.Name), ParameterValue: &value})
	}
	return out
}

func outputList(in []cfn.Output) (out []cloudformation.Output) {
	for _, o := range in {
		out = append(out, cloudformation.Output{
			OutputKey: wire.Ptr(o.Name), OutputValue: wire.Ptr(o.Value), Description: optional(o.Description), ExportName: optional(o.Export),
		})
	}
	return out
}

func tagList(in []cfn.Tag) []cloudformation.Tag {
	out := []cloudformation.Tag{}
	for _, t := range in {
		out = append(out, cloudformation.Tag{Key: t.Key, Value: t.Value})
	}
	return out
}

// ListStacks returns the stacks in the given states, deleted ones too.
func (s *Service) ListStacks(ctx context.Context, in *cloudformation.ListStacksInput) (*cloudformation.ListStacksOutput, error) {
	out := &cloudformation.ListStacksOutput{StackSummaries: []cloudformation.StackSummary{}}
	err := s.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) (err error) {
		out.NextToken, err = s.eachStack(r, in.NextToken, func(st *cfn.Stack) bool {
			if len(in.StackStatusFilter) > 0 && !slices.Contains(in.StackStatusFilter, string(st.Status)) {
				return false
			}
			out.StackSummaries = append(out.StackSummaries, cloudformation.StackSummary{
				StackId: &st.ID, StackName: st.Name, TemplateDescription: optional(st.Current.Description), CreationTime: st.Created,
				LastUpdatedTime: optionalTime(st.Updated), DeletionTime: optionalTime(st.Deleted), StackStatus: string(st.Status),
				StackStatusReason: optional(st.Reason),
				DriftInformation:  &cloudformation.StackDriftInformationSummary{StackDriftStatus: "NOT_CHECKED"},
			})
			return true
		})
		return err
	})
	return out, err
}

// GetTemplate returns the template of a stack or of a change set.
func (s *Service) GetTemplate(ctx context.Context, in *cloudformation.GetTemplateInput) (*cloudformation.GetTemplateOutput, error) {
	out := &cloudformation.GetTemplateOutput{StagesAvailable: []string{"Original", "Processed"}}
	err := s.space(ctx).View(ctx, func(ctx context.Context, r kv.Reader) error {
		key, err := s.templateKey(ctx, r, in)
		if err != nil {
			return err
		}
		t, err := loadText(r, key)
		if err != nil {
			return err
		}
		out.TemplateBody = &t.Original
		if wire.Value(in.TemplateStage) == "Processed" {
			out.TemplateBody = wire.Ptr(t.processed())
		}
		return nil
	})
	return out, err
}

func (s *Service) templateKey(ctx context.Context, r kv.Reader, in *cloudformation.GetTemplateInput) (string, error) {
	if in.ChangeSetName != nil {
		if in.StackName == nil && !isARN(*in.ChangeSetName) {
			return "", validation("StackName is a required parameter.")
		}
		_, cs, err := s.findChangeSet(ctx, r, *in.ChangeSetName, in.StackName)
		if err != nil {
			return "", err
		}
		return cs.Source.Template, nil
	}
	if in.StackName == nil {
		return "", validation("StackName is a required parameter.")
	}
	st, err := s.need(ctx, r, *in.StackName, noStackWithID)
	if err != nil {
		return "", err
	}
	return st.Current.Template, nil
}
