package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sort"

	"croft/internal/awsapi/cloudformation"
	"croft/internal/blob"
	"croft/internal/cloud"
	"croft/internal/control"
	"croft/internal/engine/sandbox"
	"croft/internal/kv"
)

const (
	// maxAsset bounds an uploaded deployment package: AWS's limit for packages that come from S3.
	maxAsset = 250 << 20
	// maxControl bounds the body of any other control call.
	maxControl   = 64 << 20
	functionLogs = "/aws/lambda/"
)

// control serves /_croft/. The server has checked that the caller may.
func (a *App) control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+control.Health, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, control.HealthReport{Status: "ok", Version: a.opts.Version})
	})
	mux.HandleFunc("GET "+control.Status, handle(a.status))
	mux.HandleFunc("POST "+control.Credentials, handle(a.credentials))
	mux.HandleFunc("POST "+control.Reset, handle(a.reset))
	mux.HandleFunc("POST "+control.Assets, handle(a.upload))
	mux.HandleFunc("POST "+control.Deploy, a.deploy)
	mux.HandleFunc("POST "+control.Names, handle(a.names))
	mux.HandleFunc("POST "+control.Invoke, handle(a.invoke))
	mux.HandleFunc("POST "+control.Stream, a.stream)
	mux.HandleFunc("POST "+control.Logs, a.logs)
	mux.HandleFunc("GET "+control.Traces, handle(a.segments))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		problem(w, http.StatusNotFound, fmt.Errorf("there is no control call %s %s", r.Method, r.URL.Path))
	})
	return inAccount(mux)
}

type accountKey struct{}

// inAccount lets a control call act in another account than the cloud's own: its query names it.
func inAccount(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		account := r.URL.Query().Get("account")
		switch {
		case account == "":
		case !cloud.IsAccount(account):
			problem(w, http.StatusBadRequest, fmt.Errorf("the account id %q is not twelve digits", account))
			return
		default:
			r = r.WithContext(context.WithValue(r.Context(), accountKey{}, account))
		}
		next.ServeHTTP(w, r)
	})
}

// account returns the account that a control call acts in.
func (a *App) account(ctx context.Context) string {
	if account, ok := ctx.Value(accountKey{}).(string); ok {
		return account
	}
	return a.opts.Account
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		return // the client went away
	}
}

func problem(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	answer(w, control.Problem{Error: message(err)})
}

func handle[T any](f func(r *http.Request) (T, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		out, err := f(r)
		if err == nil {
			answer(w, out)
			return
		}
		problem(w, status(err), err)
	}
}

func status(err error) int {
	var known *cloud.Error
	if errors.As(err, &known) {
		return known.HTTPStatus()
	}
	if errors.Is(err, kv.ErrUnavailable) {
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// readControl reads the body of a control call.
func readControl(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxControl+1))
	if err != nil {
		return nil, cloud.Errorf("RequestTimeout", "the request could not be read to its end: %v", err).WithStatus(http.StatusBadRequest)
	}
	if len(body) > maxControl {
		return nil, cloud.Errorf("RequestEntityTooLarge", "the request is larger than %d bytes", maxControl).WithStatus(http.StatusRequestEntityTooLarge)
	}
	return body, nil
}

// root returns a context in which the root user of the call's account acts.
func (a *App) root(ctx context.Context) context.Context {
	account := a.account(ctx)
	return cloud.WithCall(ctx, &cloud.Call{
		RequestID: cloud.NewRequestID(), Account: account, Region: cloud.DefaultRegion, Now: a.opts.Clock.Now(), Endpoint: a.URL(),
		Principal: cloud.Principal{Kind: cloud.Root, Account: account, ARN: "arn:aws:iam::" + account + ":root", UserID: account},
	})
}

func (a *App) status(r *http.Request) (control.StatusReport, error) {
	out := control.StatusReport{
		Version: a.opts.Version, Endpoint: a.URL(), Account: a.opts.Account, Region: cloud.DefaultRegion,
		Data: a.dir, Bodies: a.opts.Blobs, Durability: "survives kill -9", Started: a.started,
	}
	if a.sandboxes == sandbox.Reduced {
		out.Reduced = sandbox.Reduction
	} else {
		out.Isolation, out.Less = isolation(sandbox.Abilities(r.Context()))
	}
	switch {
	case a.opts.Ephemeral:
		out.Data, out.Durability = "", "in memory"
	case a.opts.Store != "":
		out.Data, out.Durability = storeName(a.opts.Store), "as durable as the database"
	case a.opts.Fsync:
		out.Durability = "survives loss of power"
	}
	for _, d := range a.dispatch.All() {
		out.Services = append(out.Services, d.API.Name)
	}
	sort.Strings(out.Services)
	var err error
	if out.Nodes, err = a.nodesReport(r.Context()); err != nil {
		return out, err
	}
	stacks, err := cloudformation.NewClient(a.dispatch).DescribeStacks(a.root(r.Context()), &cloudformation.DescribeStacksInput{})
	if err != nil {
		return out, err
	}
	for _, s := range stacks.Stacks {
		out.Stacks = append(out.Stacks, control.Stack{Name: s.StackName, Status: s.StackStatus})
	}
	return out, nil
}

func (a *App) credentials(r *http.Request) (control.CredentialsReport, error) {
	account := a.account(r.Context())
	c := a.keys.Root(account)
	return control.CredentialsReport{
		AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, Account: account, Region: cloud.DefaultRegion,
	}, nil
}

// reset empties the cloud: every row in one transaction, then the bodies that no row names any more. Credentials issued before stop
// working.
func (a *App) reset(r *http.Request) (struct{}, error) {
	err := a.refs.Reset(r.Context(), a.empty)
	a.traces.reset()
	return struct{}{}, errors.Join(err, a.keys.Load(r.Context()))
}

func (a *App) upload(r *http.Request) (control.Asset, error) {
	ref, err := a.refs.Upload(r.Context(), r.Body, maxAsset)
	if errors.Is(err, blob.ErrTooLarge) {
		err = cloud.Errorf("RequestEntityTooLarge", "the package is larger than %d bytes", maxAsset).WithStatus(http.StatusRequestEntityTooLarge)
	}
	return control.Asset{Bucket: cloud.AssetBucket, Key: ref.SHA256}, err
}
