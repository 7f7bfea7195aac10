package main

import (
	"context"
	"encoding/json"
	"strings"
)

type envCmd struct {
	JSON bool `name:"json" help:"Print a JSON object instead of shell commands."`
}

func (e *envCmd) Help() string {
	return `The variables say where the cloud is; tools that take no notice of AWS_ENDPOINT_URL and go to AWS's own host names need: croft exec -- TOOL

Example:

  eval "$(croft env)"; aws dynamodb list-tables

Among these tools is SQS in version 1 of the AWS CLI: use croft exec -- aws sqs list-queues, or aws sqs --endpoint-url "$AWS_ENDPOINT_URL" list-queues`
}

// Run prints the variables.
func (e *envCmd) Run(ctx context.Context, c console, g *cli) error {
	set, err := environment(ctx, g.Endpoint)
	if err != nil {
		return err
	}
	if e.JSON {
		object := map[string]string{}
		for _, v := range set {
			object[v.name] = v.value
		}
		enc := json.NewEncoder(c.out)
		enc.SetIndent("", "  ")
		return enc.Encode(object)
	}
	for _, v := range set {
		c.say("export %s='%s'", v.name, strings.ReplaceAll(v.value, "'", `'\''`))
	}
	c.say("unset AWS_SESSION_TOKEN AWS_PROFILE")
	return nil
}
