package app

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"croft/internal/awsapi/cloudformation"
	lambdaapi "croft/internal/awsapi/lambda"
	"croft/internal/cloud"
	"croft/internal/wire"
)

// maxNamed bounds how many functions an error names.
const maxNamed = 10

// functionName returns the name of the function that a person means by name: a function's name or ARN, or the logical id that it
// has in the template of a deployed stack.
func (a *App) functionName(ctx context.Context, name string) (string, error) {
	functions := lambdaapi.NewClient(a.dispatch)
	_, err := functions.GetFunctionConfiguration(ctx, &lambdaapi.GetFunctionConfigurationInput{FunctionName: name})
	if err == nil || cloud.Code(err) != "ResourceNotFoundException" {
		return name, err
	}
	found, err := a.byLogicalID(ctx, name)
	switch {
	case err != nil:
		return "", err
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return "", notFound("Several stacks have a function " + name + "; name one: " + strings.Join(found, ", "))
	}
	return "", a.noFunction(ctx, functions, name)
}

func notFound(message string) error {
	return &cloud.Error{Code: "ResourceNotFoundException", Status: http.StatusNotFound, Message: message}
}

// byLogicalID returns the functions that are called id in the templates of stacks.
func (a *App) byLogicalID(ctx context.Context, id string) ([]string, error) {
	client := cloudformation.NewClient(a.dispatch)
	var found []string
	stacks := &cloudformation.DescribeStacksInput{}
	for {
		page, err := client.DescribeStacks(ctx, stacks)
		if err != nil {
			return nil, err
		}
		for _, s := range page.Stacks {
			out, err := client.DescribeStackResource(ctx, &cloudformation.DescribeStackResourceInput{StackName: s.StackName, LogicalResourceId: id})
			if err != nil {
				continue // the stack has no such resource
			}
			if d := out.StackResourceDetail; d != nil && d.ResourceType == "AWS::Lambda::Function" && wire.Value(d.PhysicalResourceId) != "" &&
				!strings.HasPrefix(d.ResourceStatus, "DELETE_") {
				found = append(found, *d.PhysicalResourceId)
			}
		}
		if page.NextToken == nil {
			return found, nil
		}
		stacks.NextToken = page.NextToken
	}
}

// noFunction is the error for a name that no function has. It tells the names that there are.
func (a *App) noFunction(ctx context.Context, client lambdaapi.Client, name string) error {
	out, err := client.ListFunctions(ctx, &lambdaapi.ListFunctionsInput{})
	if err != nil {
		return err
	}
	var names []string
	for _, f := range out.Functions {
		names = append(names, wire.Value(f.FunctionName))
	}
	slices.Sort(names)
	switch {
	case len(names) == 0:
		return notFound("There is no function " + name + ", nor any other; deploy an app with: croft deploy DIR")
	case len(names) > maxNamed:
		names = append(names[:maxNamed], "…")
	}
	return notFound("There is no function " + name + ", neither by its name nor by its logical id in a template. There are: " + strings.Join(names, ", "))
}
