package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"croft/internal/control"
	"croft/internal/intercept"
)

type execCmd struct {
	NoIntercept bool     `name:"no-intercept" help:"Set endpoint, region and credentials alone: no proxy, no certificate."`
	Command     []string `arg:"" passthrough:"" help:"The tool and its arguments, after --."`
}

func (e *execCmd) Help() string {
	return `The tool finds the cloud through AWS_ENDPOINT_URL and the usual AWS variables. What it sends to AWS's own host names all the same leads to the
cloud too, through a proxy and a certificate that exist for this run alone; what croft does not serve is refused. Profiles and other AWS
settings of your shell are left out, so that nothing can reach the real AWS by mistake. See docs/exec.md.

Examples:

  croft exec -- aws dynamodb scan --table-name Orders
  croft exec -- npx serverless@3 deploy
  croft exec -- curl https://sts.amazonaws.com/
  croft exec -- bash`
}

// Run runs the tool and ends with its exit code.
func (e *execCmd) Run(ctx context.Context, c console, g *cli) error {
	command := e.Command
	if len(command) > 0 && command[0] == "--" {
		command = command[1:]
	}
	if len(command) == 0 {
		return errors.New("no command given; try: croft exec -- aws sqs list-queues")
	}
	path, err := exec.LookPath(command[0])
	if err != nil {
		return fmt.Errorf("cannot run %s: %w", command[0], errors.Unwrap(err))
	}
	set, err := environment(ctx, g.Endpoint)
	if err != nil {
		return err
	}
	env := merge(os.Environ(), set)
	if e.NoIntercept {
		return syscall.Exec(path, withEndpoint(command, g.Endpoint), env)
	}
	code, err := intercept.Run(intercept.Options{
		Endpoint: g.Endpoint, Path: path, Args: command, Env: env, Note: func(text string) { c.note("croft exec: %s", text) },
	})
	if err == nil && code != 0 {
		err = exitError(code)
	}
	return err
}

// withEndpoint names the endpoint on the AWS CLI's command line as well: version 1 takes AWS_ENDPOINT_URL for most services, and goes
// to queue.amazonaws.com all the same for SQS.
func withEndpoint(command []string, endpoint string) []string {
	if filepath.Base(command[0]) != "aws" || slices.ContainsFunc(command, func(a string) bool { return strings.HasPrefix(a, "--endpoint-url") }) {
		return command
	}
	return slices.Concat(command[:1], []string{"--endpoint-url", endpoint}, command[1:])
}

// variable is one environment variable.
type variable struct{ name, value string }

// environment returns what AWS tools need to reach the cloud at endpoint.
func environment(ctx context.Context, endpoint string) ([]variable, error) {
	c, err := control.NewClient(endpoint).Credentials(ctx)
	if err != nil {
		return nil, err
	}
	return []variable{
		{"AWS_ENDPOINT_URL", endpoint},
		{"AWS_REGION", c.Region},
		{"AWS_DEFAULT_REGION", c.Region},
		{"AWS_ACCESS_KEY_ID", c.AccessKeyID},
		{"AWS_SECRET_ACCESS_KEY", c.SecretAccessKey},
		{"AWS_ACCOUNT_ID", c.Account},
		{"AWS_EC2_METADATA_DISABLED", "true"},
		{"CROFT_ENDPOINT", endpoint},
	}, nil
}

// merge returns the variables of base without AWS's own, but for the settings that say nothing of where and who, and with set.
func merge(base []string, set []variable) []string {
	keep := map[string]bool{"AWS_CA_BUNDLE": true, "AWS_PAGER": true, "AWS_MAX_ATTEMPTS": true, "AWS_RETRY_MODE": true, "AWS_DEFAULT_OUTPUT": true}
	out := make([]string, 0, len(base)+len(set))
	for _, kv := range base {
		name, _, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(name, "AWS_") && !keep[name] || name == "CROFT_ENDPOINT" {
			continue
		}
		out = append(out, kv)
	}
	for _, v := range set {
		out = append(out, v.name+"="+v.value)
	}
	return out
}
