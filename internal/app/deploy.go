package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"croft/internal/awsapi/cloudformation"
	"croft/internal/cloud"
	"croft/internal/control"
	"croft/internal/kv"
	"croft/internal/wire"
)

// lines writes one JSON document a line, each at once.
type lines struct {
	w http.ResponseWriter
}

// send writes v and has it sent at once.
func (l lines) send(v any) error {
	if err := l.write(v); err != nil {
		return err
	}
	return l.flush()
}

// write leaves it to what is written later, or to flush, to have v sent.
func (l lines) write(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = l.w.Write(append(b, '\n'))
	return err
}

func (l lines) flush() error { return http.NewResponseController(l.w).Flush() }

// deploy makes or updates a stack and shows its events as they come. The deployment goes on when the client goes away.
func (a *App) deploy(w http.ResponseWriter, r *http.Request) {
	body, err := readControl(r)
	if err != nil {
		problem(w, status(err), err)
		return
	}
	var req control.DeployRequest
	if err := json.Unmarshal(body, &req); err != nil {
		problem(w, http.StatusBadRequest, fmt.Errorf("the request is not JSON: %w", err))
		return
	}
	if req.Stack == "" || req.Template == "" {
		// To CloudFormation no name means every stack.
		problem(w, http.StatusBadRequest, errors.New("the request names no stack or has no template"))
		return
	}
	out := lines{w}
	d := &deployment{client: cloudformation.NewClient(a.dispatch), req: req, seen: map[string]bool{}}
	// The cloud itself deploys: a template that comes from a file need not go by S3 to be longer than 51,200 bytes.
	ctx := cloud.AsService(a.root(r.Context()), cloud.InternalService)
	end, err := d.run(ctx, a.deps.Space(ctx, "cloudformation"), out)
	if err != nil {
		end = control.DeployEvent{Done: true, Error: a.explain(message(err))}
	}
	if err := out.send(end); err != nil {
		a.opts.Log.Debug("the client of a deployment went away", "stack", req.Stack, "err", err)
	}
}

func message(err error) string {
	if e, ok := err.(*cloud.Error); ok {
		return e.Message
	}
	if errors.Is(err, kv.ErrUnavailable) {
		return "the cloud cannot reach its database; calls work again when it is back, nothing has to be restarted: " + err.Error()
	}
	return err.Error()
}

type deployment struct {
	client cloudformation.Client
	req    control.DeployRequest
	// seen are the ids of events that were shown, or were there before.
	seen map[string]bool
	// failures are the reasons that events gave.
	failures []string
}

func (d *deployment) run(ctx context.Context, space kv.Space, out lines) (control.DeployEvent, error) {
	watch := space.Watch(nil)
	defer watch.Close()
	if err := d.clear(ctx, watch); err != nil {
		return control.DeployEvent{}, err
	}
	if _, err := d.events(ctx); err != nil && !missing(err) {
		return control.DeployEvent{}, err
	}
	unchanged, err := d.start(ctx)
	if err != nil {
		return control.DeployEvent{}, err
	}
	for {
		stack, err := d.describe(ctx)
		if err != nil {
			return control.DeployEvent{}, err
		}
		events, err := d.events(ctx)
		if err != nil {
			return control.DeployEvent{}, err
		}
		for _, e := range events {
			if strings.HasSuffix(e.Status, "_FAILED") && e.Type != stackType {
				d.failures = append(d.failures, e.LogicalID+": "+plain(e.Reason))
			}
			if err := out.send(e); err != nil {
				return control.DeployEvent{}, err
			}
		}
		if !inProgress(stack) {
			return d.end(stack, unchanged), nil
		}
		select {
		case <-watch.C():
		case <-ctx.Done():
			return control.DeployEvent{}, ctx.Err()
		}
	}
}

func inProgress(s *cloudformation.Stack) bool {
	return strings.HasSuffix(s.StackStatus, "_IN_PROGRESS")
}

// settled waits until no other deployment of the stack is under way, and describes the stack.
func (d *deployment) settled(ctx context.Context, watch kv.Watch) (*cloudformation.Stack, error) {
	for {
		stack, err := d.describe(ctx)
		if err != nil || !inProgress(stack) {
			return stack, err
		}
		select {
		case <-watch.C():
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func missing(err error) bool { return strings.Contains(err.Error(), "does not exist") }

// clear waits for a deployment under way, and removes what an earlier one that failed at its first try has left: such a stack can only be
// deleted.
func (d *deployment) clear(ctx context.Context, watch kv.Watch) error {
	stack, err := d.settled(ctx, watch)
	if err != nil && missing(err) {
		return nil
	}
	if err != nil || !slices.Contains([]string{"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED"}, stack.StackStatus) {
		return err
	}
	if _, err := d.client.DeleteStack(ctx, &cloudformation.DeleteStackInput{StackName: d.req.Stack}); err != nil {
		return err
	}
	stack, err = d.settled(ctx, watch)
	if err != nil && missing(err) {
		return nil
	}
	if err != nil || stack.StackStatus != "DELETE_FAILED" {
		return err
	}
	return fmt.Errorf("the stack %s of an earlier deployment cannot be deleted: %s", d.req.Stack, wire.Value(stack.StackStatusReason))
}

func (d *deployment) describe(ctx context.Context) (*cloudformation.Stack, error) {
	out, err := d.client.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &d.req.Stack})
	if err != nil {
		return nil, err
	}
	if len(out.Stacks) == 0 {
		return nil, fmt.Errorf("stack %s does not exist", d.req.Stack)
	}
	return &out.Stacks[0], nil
}

func (d *deployment) start(ctx context.Context) (unchanged bool, err error) {
	capabilities := []string{"CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"}
	var parameters []cloudformation.Parameter
	for k, v := range d.req.Parameters {
		parameters = append(parameters, cloudformation.Parameter{ParameterKey: wire.Ptr(k), ParameterValue: wire.Ptr(v)})
	}
	_, err = d.client.CreateStack(ctx, &cloudformation.CreateStackInput{
		StackName: d.req.Stack, TemplateBody: &d.req.Template, Parameters: parameters, Capabilities: capabilities,
	})
	if cloud.Code(err) != "AlreadyExistsException" {
		return false, err
	}
	_, err = d.client.UpdateStack(ctx, &cloudformation.UpdateStackInput{
		StackName: d.req.Stack, TemplateBody: &d.req.Template, Parameters: parameters, Capabilities: capabilities,
	})
	if err != nil && strings.Contains(err.Error(), "No updates are to be performed") {
		return true, nil
	}
	return false, err
}

// events returns the stack's events that have not been seen, oldest first.
func (d *deployment) events(ctx context.Context) ([]control.DeployEvent, error) {
	var fresh []control.DeployEvent
	in := &cloudformation.DescribeStackEventsInput{StackName: d.req.Stack}
	for {
		out, err := d.client.DescribeStackEvents(ctx, in)
		if err != nil {
			return nil, err
		}
		for _, e := range out.StackEvents {
			if d.seen[e.EventId] {
				slices.Reverse(fresh)
				return fresh, nil
			}
			d.seen[e.EventId] = true
			fresh = append(fresh, control.DeployEvent{
				Time: e.Timestamp, LogicalID: wire.Value(e.LogicalResourceId), Type: wire.Value(e.ResourceType),
				Status: wire.Value(e.ResourceStatus), Reason: wire.Value(e.ResourceStatusReason),
			})
		}
		if out.NextToken == nil {
			slices.Reverse(fresh)
			return fresh, nil
		}
		in.NextToken = out.NextToken
	}
}

const stackType = "AWS::CloudFormation::Stack"

func (d *deployment) end(stack *cloudformation.Stack, unchanged bool) control.DeployEvent {
	e := control.DeployEvent{Done: true, Status: stack.StackStatus, Unchanged: unchanged}
	if stack.StackStatus != "CREATE_COMPLETE" && stack.StackStatus != "UPDATE_COMPLETE" {
		e.Error = d.failed(stack)
	}
	for _, o := range stack.Outputs {
		e.Outputs = append(e.Outputs, control.Output{Key: wire.Value(o.OutputKey), Value: wire.Value(o.OutputValue), Description: wire.Value(o.Description)})
	}
	return e
}

// failed says why a deployment failed, one reason a line, and what has become of the stack.
func (d *deployment) failed(stack *cloudformation.Stack) string {
	state := ""
	switch stack.StackStatus {
	case "ROLLBACK_COMPLETE":
		state = "; nothing of it is left"
	case "UPDATE_ROLLBACK_COMPLETE":
		state = "; it is again as it was before"
	}
	reasons := d.failures
	if len(reasons) == 0 {
		reasons = []string{wire.Value(stack.StackStatusReason)}
	}
	return fmt.Sprintf("the stack %s is %s%s:\n  %s", stack.StackName, stack.StackStatus, state, strings.Join(reasons, "\n  "))
}

var handlerReason = regexp.MustCompile(`^Resource handler returned message: "((?s).*)" \(RequestToken: [0-9a-f-]+, HandlerErrorCode: (\w+)\)$`)

// plain takes a service's own message out of what CloudFormation makes of it.
func plain(reason string) string {
	if m := handlerReason.FindStringSubmatch(reason); m != nil {
		return m[1] + " (" + m[2] + ")"
	}
	return reason
}

// explain adds what a person needs beside CloudFormation's words: the resource types that there are, when a template has another.
func (a *App) explain(text string) string {
	if !strings.Contains(text, "Unrecognized resource types") {
		return text
	}
	var types []string
	for _, d := range a.dispatch.All() {
		for _, r := range d.Resources {
			types = append(types, r.Type)
		}
	}
	slices.Sort(types)
	return text + "\ncroft has these: " + strings.Join(types, ", ")
}
