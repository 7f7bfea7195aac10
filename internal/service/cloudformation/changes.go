package cloudformation

import (
	"context"
	"encoding/json"
	"strconv"

	"croft/internal/awsapi/cloudformation"
	"croft/internal/cfn"
	"croft/internal/kv"
	"croft/internal/wire"
)

// DescribeChangeSet returns a change set and, page by page, its changes.
func (s *Service) DescribeChangeSet(ctx context.Context, in *cloudformation.DescribeChangeSetInput) (*cloudformation.DescribeChangeSetOutput, error) {
	var out *cloudformation.DescribeChangeSetOutput
	err := s.space(ctx).View(ctx, func(ctx context.Context, r kv.Reader) error {
		st, cs, err := s.findChangeSet(ctx, r, in.ChangeSetName, in.StackName)
		if err != nil {
			return err
		}
		out = describeChangeSet(st, cs)
		values := wire.Value(in.IncludePropertyValues)
		if values && cs.Plan.Warning != "" && cs.Status == created {
			out.StatusReason = wire.Ptr("[WARN] --include-property-values option can return incomplete ChangeSet data because: " + cs.Plan.Warning)
		}
		from, to := 0, min(pageSize, len(cs.Plan.Changes))
		if in.NextToken != nil {
			if from, err = strconv.Atoi(*in.NextToken); err != nil || from < 0 || from > len(cs.Plan.Changes) {
				return validation("NextToken is not valid")
			}
			to = min(from+pageSize, len(cs.Plan.Changes))
		}
		if to < len(cs.Plan.Changes) {
			out.NextToken = wire.Ptr(strconv.Itoa(to))
		}
		for i := range cs.Plan.Changes[from:to] {
			c := &cs.Plan.Changes[from+i]
			if values && c.Possible {
				continue
			}
			change, err := changeOf(c, values)
			if err != nil {
				return err
			}
			out.Changes = append(out.Changes, change)
		}
		return nil
	})
	return out, err
}

func describeChangeSet(st *cfn.Stack, cs *changeSet) *cloudformation.DescribeChangeSetOutput {
	out := &cloudformation.DescribeChangeSetOutput{
		ChangeSetName: &cs.Name, ChangeSetId: &cs.ID, StackId: &st.ID, StackName: &st.Name, Description: optional(cs.Description),
		Parameters: parameterList(cs.Source.Parameters), CreationTime: &cs.Created, ExecutionStatus: &cs.Execution, Status: &cs.Status,
		StatusReason: optional(cs.Reason), NotificationARNs: []string{}, RollbackConfiguration: &cloudformation.RollbackConfiguration{},
		Capabilities: cs.Source.Capabilities, Changes: []cloudformation.Change{}, IncludeNestedStacks: &cs.IncludeNested,
		OnStackFailure: optional(cs.OnFailure),
	}
	if out.Capabilities == nil {
		out.Capabilities = []string{}
	}
	if len(cs.Source.Tags) > 0 {
		out.Tags = tagList(cs.Source.Tags)
	}
	return out
}

func changeOf(c *cfn.Planned, values bool) (cloudformation.Change, error) {
	rc := &cloudformation.ResourceChange{
		Action: &c.Action, LogicalResourceId: &c.LogicalID, PhysicalResourceId: optional(c.PhysicalID), ResourceType: &c.Type,
		Replacement: optional(c.Replacement), PolicyAction: optional(c.PolicyAction),
		Scope: append([]string{}, c.Scope...), Details: []cloudformation.ResourceChangeDetail{},
	}
	for i := range c.Details {
		rc.Details = append(rc.Details, detailOf(&c.Details[i], values))
	}
	if values {
		var err error
		if rc.BeforeContext, err = contextOf(c.Before, c.Action != "Add"); err != nil {
			return cloudformation.Change{}, err
		}
		if rc.AfterContext, err = contextOf(c.After, c.Action != "Remove"); err != nil {
			return cloudformation.Change{}, err
		}
	}
	return cloudformation.Change{Type: wire.Ptr("Resource"), ResourceChange: rc}, nil
}

func detailOf(d *cfn.Detail, values bool) cloudformation.ResourceChangeDetail {
	evaluation := cloudformation.EvaluationTypeDynamic
	if d.Static {
		evaluation = cloudformation.EvaluationTypeStatic
	}
	target := &cloudformation.ResourceTargetDefinition{Attribute: &d.Attribute, Name: optional(d.Name), RequiresRecreation: &d.Recreation}
	if values && d.Attribute == "Properties" {
		target.Path, target.AttributeChangeType = wire.Ptr("/Properties/"+d.Name), optional(d.Kind)
		if d.Kind != "Add" {
			target.BeforeValue = &d.Before
		}
		if d.Kind != "Remove" {
			target.AfterValue = &d.After
		}
	}
	return cloudformation.ResourceChangeDetail{
		Target: target, Evaluation: &evaluation, ChangeSource: &d.Source, CausingEntity: optional(d.Cause),
	}
}

func contextOf(properties map[string]any, there bool) (*string, error) {
	if !there {
		return nil, nil
	}
	if properties == nil {
		properties = map[string]any{}
	}
	b, err := json.Marshal(map[string]any{"Properties": properties})
	return wire.Ptr(string(b)), err
}

// ListChangeSets returns the change sets of a stack.
func (s *Service) ListChangeSets(ctx context.Context, in *cloudformation.ListChangeSetsInput) (*cloudformation.ListChangeSetsOutput, error) {
	out := &cloudformation.ListChangeSetsOutput{Summaries: []cloudformation.ChangeSetSummary{}}
	err := s.space(ctx).View(ctx, func(ctx context.Context, r kv.Reader) error {
		st, err := s.need(ctx, r, in.StackName, noStack)
		if err != nil {
			return err
		}
		out.NextToken, err = page(r, changeSetsPrefix(uid(st.ID)), in.NextToken, false, func(e kv.Entry) (bool, error) {
			cs := new(changeSet)
			if err := decode(e.Value, cs); err != nil {
				return false, err
			}
			out.Summaries = append(out.Summaries, cloudformation.ChangeSetSummary{
				StackId: &st.ID, StackName: &st.Name, ChangeSetId: &cs.ID, ChangeSetName: &cs.Name, ExecutionStatus: &cs.Execution,
				Status: &cs.Status, StatusReason: optional(cs.Reason), CreationTime: &cs.Created, Description: optional(cs.Description),
				IncludeNestedStacks: &cs.IncludeNested,
			})
			return true, nil
		})
		return err
	})
	return out, err
}
