package cloudformation

import (
	"context"
	"slices"

	"croft/internal/awsapi/cloudformation"
	"croft/internal/cfn"
	"croft/internal/cfn/template"
	"croft/internal/kv"
	"croft/internal/wire"
)

// ValidateTemplate checks a template's form.
func (s *Service) ValidateTemplate(ctx context.Context, in *cloudformation.ValidateTemplateInput) (*cloudformation.ValidateTemplateOutput, error) {
	out := &cloudformation.ValidateTemplateOutput{Parameters: []cloudformation.TemplateParameter{}}
	body, err := s.body(ctx, nil, &given{body: in.TemplateBody, url: in.TemplateURL}, nil)
	if err != nil {
		return nil, err
	}
	t, err := parse(ctx, body)
	if err != nil {
		return nil, err
	}
	for _, p := range t.Parameters {
		out.Parameters = append(out.Parameters, cloudformation.TemplateParameter{
			ParameterKey: wire.Ptr(p.Name), DefaultValue: p.Default, NoEcho: wire.Ptr(p.NoEcho), Description: optional(p.Description),
		})
	}
	out.Description, out.DeclaredTransforms = optional(t.Description), t.Transforms
	out.Capabilities, out.CapabilitiesReason = needs(t)
	return out, nil
}

// needs returns the capabilities that a template needs, and why.
func needs(t *template.Template) (all []string, reason *string) {
	if needed, types := capabilities(t.Resources); needed != "" {
		all = append(all, needed)
		reason = wire.Ptr("The following resource(s) require capabilities: " + bracketed(types))
	}
	if len(t.Transforms) > 0 {
		all = append(all, capabilityExpand)
	}
	return all, reason
}

// GetTemplateSummary describes a template, given or a stack's, as it was before transforms.
func (s *Service) GetTemplateSummary(ctx context.Context, in *cloudformation.GetTemplateSummaryInput) (*cloudformation.GetTemplateSummaryOutput, error) {
	switch {
	case in.StackSetName != nil:
		return nil, unsupported("StackSetName")
	case in.CallAs != nil:
		return nil, unsupported("CallAs")
	case in.TemplateSummaryConfig != nil && wire.Value(in.TemplateSummaryConfig.TreatUnrecognizedResourceTypesAsWarnings):
		return nil, unsupported("TreatUnrecognizedResourceTypesAsWarnings")
	case in.StackName != nil && (in.TemplateBody != nil || in.TemplateURL != nil):
		return nil, validation("You must specify only one of: StackName, TemplateBody, TemplateURL.")
	}
	var out *cloudformation.GetTemplateSummaryOutput
	err := s.space(ctx).View(ctx, func(ctx context.Context, r kv.Reader) error {
		g, previous := &given{body: in.TemplateBody, url: in.TemplateURL}, (*cfn.Source)(nil)
		if in.StackName != nil {
			st, err := s.need(ctx, r, *in.StackName, noStackWithID)
			if err != nil {
				return err
			}
			if st.Status == cfn.ReviewInProgress {
				return validation("GetTemplateSummary cannot be called on REVIEW_IN_PROGRESS stacks.")
			}
			g.usePrevious, previous = true, &st.Current
		}
		body, err := s.body(ctx, r, g, previous)
		if err != nil {
			return err
		}
		t, err := parse(ctx, body)
		if err != nil {
			return err
		}
		out = summarize(t)
		return nil
	})
	return out, err
}

func summarize(t *template.Template) *cloudformation.GetTemplateSummaryOutput {
	out := &cloudformation.GetTemplateSummaryOutput{
		Description: optional(t.Description), Version: wire.Ptr("2010-09-09"), DeclaredTransforms: t.Transforms,
		Parameters: []cloudformation.ParameterDeclaration{},
	}
	out.Capabilities, out.CapabilitiesReason = needs(t)
	if t.Metadata != nil {
		out.Metadata = wire.Ptr(t.Metadata.String())
	}
	for _, p := range t.Parameters {
		out.Parameters = append(out.Parameters, cloudformation.ParameterDeclaration{
			ParameterKey: wire.Ptr(p.Name), DefaultValue: p.Default, ParameterType: wire.Ptr(p.Type), NoEcho: wire.Ptr(p.NoEcho),
			Description: optional(p.Description), ParameterConstraints: &cloudformation.ParameterConstraints{AllowedValues: p.AllowedValues},
		})
	}
	place := map[string]int{}
	for _, r := range t.Resources {
		i, seen := place[r.Type]
		if !seen {
			i = len(out.ResourceTypes)
			place[r.Type] = i
			out.ResourceTypes = append(out.ResourceTypes, r.Type)
			out.ResourceIdentifierSummaries = append(out.ResourceIdentifierSummaries, cloudformation.ResourceIdentifierSummary{ResourceType: wire.Ptr(r.Type)})
		}
		ids := &out.ResourceIdentifierSummaries[i].LogicalResourceIds
		*ids = append(*ids, r.LogicalID)
	}
	slices.Sort(out.ResourceTypes)
	return out
}
