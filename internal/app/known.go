package app

import (
	"net/http"
	"slices"

	"croft/internal/awsapi/cloudformation"
	lambdaapi "croft/internal/awsapi/lambda"
	"croft/internal/control"
	"croft/internal/wire"
)

// maxKnown bounds the names of each kind that are told.
const maxKnown = 2000

// names tells what there is to be named on the command line.
func (a *App) names(r *http.Request) (control.NamesReport, error) {
	ctx := a.root(r.Context())
	var out control.NamesReport
	functions, list := lambdaapi.NewClient(a.dispatch), &lambdaapi.ListFunctionsInput{}
	for len(out.Functions) < maxKnown {
		page, err := functions.ListFunctions(ctx, list)
		if err != nil {
			return out, err
		}
		for _, f := range page.Functions {
			out.Functions = append(out.Functions, wire.Value(f.FunctionName))
		}
		if list.Marker = page.NextMarker; list.Marker == nil {
			break
		}
	}
	stacks, describe := cloudformation.NewClient(a.dispatch), &cloudformation.DescribeStacksInput{}
	for len(out.Stacks) < maxKnown {
		page, err := stacks.DescribeStacks(ctx, describe)
		if err != nil {
			return out, err
		}
		for _, s := range page.Stacks {
			out.Stacks = append(out.Stacks, s.StackName)
			resources, err := stacks.DescribeStackResources(ctx, &cloudformation.DescribeStackResourcesInput{StackName: wire.Ptr(s.StackName)})
			if err != nil {
				continue // it has gone in the meantime
			}
			for _, x := range resources.StackResources {
				if x.ResourceType == "AWS::Lambda::Function" && wire.Value(x.PhysicalResourceId) != "" {
					out.Functions = append(out.Functions, x.LogicalResourceId)
				}
			}
		}
		if describe.NextToken = page.NextToken; describe.NextToken == nil {
			break
		}
	}
	slices.Sort(out.Functions)
	out.Functions = slices.Compact(out.Functions)
	return out, nil
}
