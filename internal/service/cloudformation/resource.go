package cloudformation

import (
	"context"
	"strings"

	"croft/internal/awsapi/cloudformation"
	"croft/internal/cfn"
	"croft/internal/kv"
)

func isARN(s string) bool { return strings.HasPrefix(s, "arn:") }

func bracketed(names []string) string { return "[" + strings.Join(names, ", ") + "]" }

// DescribeStackResource returns one resource of a stack. Of a stack that is there, it returns only resources that are.
func (s *Service) DescribeStackResource(ctx context.Context, in *cloudformation.DescribeStackResourceInput) (*cloudformation.DescribeStackResourceOutput, error) {
	out := &cloudformation.DescribeStackResourceOutput{}
	err := s.space(ctx).View(ctx, func(ctx context.Context, r kv.Reader) error {
		st, err := s.need(ctx, r, in.StackName, noStackQuoted)
		if err != nil {
			return err
		}
		rec, err := record(r, uid(st.ID), in.LogicalResourceId)
		if err != nil {
			return err
		}
		if rec == nil || (rec.Status == cfn.DeleteComplete && st.Status != cfn.DeleteComplete) {
			return validation("Resource %s does not exist for stack %s", in.LogicalResourceId, in.StackName)
		}
		metadata := "{}"
		if rec.Now != nil && rec.Now.Metadata != "" {
			metadata = rec.Now.Metadata
		}
		out.StackResourceDetail = &cloudformation.StackResourceDetail{
			StackName: &st.Name, StackId: &st.ID, LogicalResourceId: rec.LogicalID, PhysicalResourceId: optional(rec.PhysicalID()),
			ResourceType: rec.Type, LastUpdatedTimestamp: rec.At, ResourceStatus: string(rec.Status),
			ResourceStatusReason: optional(rec.Reason), Metadata: &metadata,
			DriftInformation: &cloudformation.StackResourceDriftInformation{StackResourceDriftStatus: "NOT_CHECKED"},
		}
		return nil
	})
	return out, err
}

// DescribeStackResources returns the resources of a stack, which is named or found by one of them.
func (s *Service) DescribeStackResources(ctx context.Context, in *cloudformation.DescribeStackResourcesInput) (*cloudformation.DescribeStackResourcesOutput, error) {
	out := &cloudformation.DescribeStackResourcesOutput{StackResources: []cloudformation.StackResource{}}
	err := s.space(ctx).View(ctx, func(ctx context.Context, r kv.Reader) error {
		st, err := s.stackOrOwner(ctx, r, in)
		if err != nil {
			return err
		}
		all, err := records(r, uid(st.ID))
		if err != nil {
			return err
		}
		for _, rec := range all {
			if in.LogicalResourceId == nil || *in.LogicalResourceId == rec.LogicalID {
				out.StackResources = append(out.StackResources, resourceOf(st, rec))
			}
		}
		if in.LogicalResourceId != nil && len(out.StackResources) == 0 {
			return validation("Resource %s does not exist for stack %s", *in.LogicalResourceId, st.Name)
		}
		return nil
	})
	return out, err
}

func (s *Service) stackOrOwner(ctx context.Context, r kv.Reader, in *cloudformation.DescribeStackResourcesInput) (*cfn.Stack, error) {
	switch {
	case in.StackName != nil && in.PhysicalResourceId != nil:
		return nil, validation("StackName and PhysicalResourceId cannot both be specified")
	case in.StackName != nil:
		return s.need(ctx, r, *in.StackName, noStackWithID)
	case in.PhysicalResourceId == nil:
		return nil, validation("Either StackName or PhysicalResourceId must be specified")
	}
	for e, err := range r.Scan(kv.PrefixRange(ownersPrefix(*in.PhysicalResourceId)), kv.ScanOptions{Limit: 1}) {
		if err != nil {
			return nil, err
		}
		var o owner
		if err := decode(e.Value, &o); err != nil {
			return nil, err
		}
		return s.need(ctx, r, o.StackID, noStackWithID)
	}
	return nil, validation("Stack for %s does not exist", *in.PhysicalResourceId)
}

func resourceOf(st *cfn.Stack, rec *cfn.Record) cloudformation.StackResource {
	return cloudformation.StackResource{
		StackName: &st.Name, StackId: &st.ID, LogicalResourceId: rec.LogicalID, PhysicalResourceId: optional(rec.PhysicalID()),
		ResourceType: rec.Type, Timestamp: rec.At, ResourceStatus: string(rec.Status), ResourceStatusReason: optional(rec.Reason),
		DriftInformation: &cloudformation.StackResourceDriftInformation{StackResourceDriftStatus: "NOT_CHECKED"},
	}
}

// ListStackResources returns the resources of a stack, page by page.
func (s *Service) ListStackResources(ctx context.Context, in *cloudformation.ListStackResourcesInput) (*cloudformation.ListStackResourcesOutput, error) {
	out := &cloudformation.ListStackResourcesOutput{StackResourceSummaries: []cloudformation.StackResourceSummary{}}
	err := s.space(ctx).View(ctx, func(ctx context.Context, r kv.Reader) error {
		st, err := s.need(ctx, r, in.StackName, noStackWithID)
		if err != nil {
			return err
		}
		out.NextToken, err = page(r, recordsPrefix(uid(st.ID)), in.NextToken, false, func(e kv.Entry) (bool, error) {
			rec := new(cfn.Record)
			if err := decode(e.Value, rec); err != nil {
				return false, err
			}
			out.StackResourceSummaries = append(out.StackResourceSummaries, cloudformation.StackResourceSummary{
				LogicalResourceId: rec.LogicalID, PhysicalResourceId: optional(rec.PhysicalID()), ResourceType: rec.Type,
				LastUpdatedTimestamp: rec.At, ResourceStatus: string(rec.Status), ResourceStatusReason: optional(rec.Reason),
				DriftInformation: &cloudformation.StackResourceDriftInformationSummary{StackResourceDriftStatus: "NOT_CHECKED"},
			})
			return true, nil
		})
		return err
	})
	return out, err
}
