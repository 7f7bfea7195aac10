package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"croft/internal/awsapi/iam"
	"croft/internal/awsapi/logs"
	"croft/internal/blob"
	"croft/internal/cloud"
	"croft/internal/engine"
	"croft/internal/engine/sandbox/firstprogram"
	"croft/internal/identity"
	"croft/internal/intercept"
	"croft/internal/server"
)

// roleLifetime is how long the credentials of an execution environment last; environments are replaced before.
const roleLifetime = 6 * time.Hour

func (a *App) engineConfig() engine.Config {
	return engine.Config{
		Clock:       a.opts.Clock,
		Log:         a.opts.Log,
		Dir:         filepath.Join(a.dir, "engine"),
		SDKDir:      a.sdkDir(),
		Code:        a.code,
		Package:     a.layer,
		Credentials: a.roleCredentials,
		Logs:        a.storeLogs,
		Endpoint: func(env engine.Environment) http.Handler {
			return a.server.FunctionHandler(server.Environment{Function: env.Function.ARN})
		},
		EndpointAddr:   endpointInside(a.listener.Addr()),
		Trust:          a.trust,
		AllowHosts:     a.opts.AllowHosts,
		ClosedNetworks: a.opts.ClosedNetworks,
		Segments:       func(env engine.Environment, document []byte) { a.traces.add(a.opts.Clock.Now(), env, document) },
		NoAhead:        a.opts.NoProactiveInit,
		MaxResponse:    int64(a.opts.MaxPayload),
		Progress:       a.opts.Progress,
		Isolation:      a.sandboxes,
		First:          firstprogram.Bytes(),
	}
}

// endpointInside returns the address at which functions find the cloud that listens at addr: the same port, so that the URLs of queues, functions and
// APIs mean the same inside and outside. SDKs for Node.js and others send a queue's requests to the host of its URL. "" leaves it to the engine, where
// Lambda's own services have the port.
func endpointInside(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok || slices.Contains([]int{2000, 9001}, tcp.Port) {
		return ""
	}
	return fmt.Sprintf("127.0.0.1:%d", tcp.Port)
}

// trust lets functions reach the cloud under the names of AWS, with certificates of an authority that only they know.
func (a *App) trust() (engine.Trust, error) {
	inside, err := intercept.NewInside(a.opts.Clock)
	if err != nil {
		return engine.Trust{}, err
	}
	return engine.Trust{TLS: inside.TLS(), Certificates: inside.Bundle()}, nil
}

// sdkDir returns where SDKs for functions are installed: with the data, or, when that is not kept, where Options say.
func (a *App) sdkDir() string {
	if !a.opts.Ephemeral || a.opts.SDKDir == "" || os.MkdirAll(a.opts.SDKDir, 0o700) != nil {
		return ""
	}
	return a.opts.SDKDir
}

func (a *App) code(ctx context.Context, fn engine.Function) (io.ReaderAt, int64, io.Closer, error) {
	body, size, err := a.blobs.Open(ctx, fn.CodeID)
	if errors.Is(err, blob.ErrNotFound) {
		return nil, 0, nil, cloud.Errorf("CodeArtifactNotFound", "The deployment package of %s is not among the bodies. Deploy the function again.", fn.Name)
	}
	return body, size, body, err
}

// layer opens a layer of a function.
func (a *App) layer(ctx context.Context, fn engine.Function, p engine.Package) (io.ReaderAt, int64, io.Closer, error) {
	body, size, err := a.blobs.Open(ctx, p.ID)
	if errors.Is(err, blob.ErrNotFound) {
		return nil, 0, nil, cloud.Errorf("CodeArtifactNotFound", "The layer %s of %s is not among the bodies.", p.ARN, fn.Name)
	}
	return body, size, body, err
}

// internal returns a context in which the cloud itself acts in an account and region.
func (a *App) internal(ctx context.Context, account, region, service string) context.Context {
	return cloud.AsService(cloud.WithCall(ctx, cloud.InternalCall(account, region, a.opts.Clock.Now())), service)
}

// roleCredentials issues what a function signs with: temporary credentials of its execution role, usable in its environment alone.
func (a *App) roleCredentials(ctx context.Context, fn engine.Function) (engine.Credentials, error) {
	arn, err := cloud.ParseARN(fn.Role)
	if err != nil {
		return engine.Credentials{}, cloud.Errorf("InvalidParameterValueException", "The function's role is not an ARN: %s", fn.Role)
	}
	name := arn.Resource[strings.LastIndex(arn.Resource, "/")+1:]
	out, err := iam.NewClient(a.dispatch).GetRole(a.internal(ctx, fn.Account, fn.Region, "lambda.amazonaws.com"), &iam.GetRoleInput{RoleName: name})
	if err != nil {
		return engine.Credentials{}, err
	}
	c, err := a.keys.Issue(identity.Session{
		Account: fn.Account, Function: fn.ARN,
		ARN:    cloud.ARN{Partition: cloud.Partition, Service: "sts", Account: fn.Account, Resource: "assumed-role/" + name + "/" + fn.Name}.String(),
		UserID: out.Role.RoleId + ":" + fn.Name,
	}, roleLifetime)
	if err != nil {
		return engine.Credentials{}, err
	}
	return engine.Credentials{AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken, Expires: c.Expires}, nil
}

// storeLogs writes an environment's log lines to CloudWatch Logs, making the group and stream on first use, and shows them to those who
// follow.
func (a *App) storeLogs(ctx context.Context, b engine.LogBatch) error {
	a.tail.publish(b)
	ctx = a.internal(ctx, b.Account, b.Region, "lambda.amazonaws.com")
	client := logs.NewClient(a.dispatch)
	for lines := range uploads(b.Lines) {
		in := &logs.PutLogEventsInput{LogGroupName: b.Group, LogStreamName: b.Stream}
		for _, l := range lines {
			in.LogEvents = append(in.LogEvents, logs.InputLogEvent{Timestamp: l.Time.UnixMilli(), Message: l.Text})
		}
		_, err := client.PutLogEvents(ctx, in)
		if cloud.Code(err) == "ResourceNotFoundException" {
			err = a.makeStream(ctx, client, in)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// makeStream makes the group and the stream of in, and then stores it.
func (a *App) makeStream(ctx context.Context, client logs.Client, in *logs.PutLogEventsInput) error {
	if _, err := client.CreateLogGroup(ctx, &logs.CreateLogGroupInput{LogGroupName: in.LogGroupName}); err != nil && !exists(err) {
		return err
	}
	if _, err := client.CreateLogStream(ctx, &logs.CreateLogStreamInput{LogGroupName: in.LogGroupName, LogStreamName: in.LogStreamName}); err != nil && !exists(err) {
		return err
	}
	_, err := client.PutLogEvents(ctx, in)
	return err
}

// Limits of one PutLogEvents. Source: CloudWatch Logs API Reference, PutLogEvents.
const (
	maxUploadLines = 10_000
	maxUploadBytes = 1 << 20
	lineOverhead   = 26
)

// uploads cuts lines into what one PutLogEvents takes.
func uploads(lines []engine.LogLine) iter.Seq[[]engine.LogLine] {
	return func(yield func([]engine.LogLine) bool) {
		for len(lines) > 0 {
			n, bytes := 0, 0
			for n < len(lines) && n < maxUploadLines {
				bytes += len(lines[n].Text) + lineOverhead
				if bytes > maxUploadBytes && n > 0 {
					break
				}
				n++
			}
			if !yield(lines[:n]) {
				return
			}
			lines = lines[n:]
		}
	}
}

func exists(err error) bool { return cloud.Code(err) == "ResourceAlreadyExistsException" }
