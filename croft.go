// Package croft runs a whole serverless cloud inside a Go program or test: the same services, store and functions as the croft binary, on
// a free port of this machine, in about two milliseconds.
//
//	func TestMain(m *testing.M) {
//		croft.Main()
//		os.Exit(m.Run())
//	}
//
//	func TestOrders(t *testing.T) {
//		cloud, err := croft.New(t.Context(), croft.Options{})
//		…
//		defer cloud.Close()
//
// Package crofttest makes that one line. Clouds share nothing: a process may have hundreds.
package croft

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"croft/internal/app"
	"croft/internal/clock"
	"croft/internal/cloud"
	"croft/internal/control"
	"croft/internal/engine/sandbox"
	"croft/internal/iac"
)

// closeWithin bounds how long Close waits for requests and functions under way.
const closeWithin = 10 * time.Second

// Main makes the process a part of a function's sandbox if it was started as one, and then does not return. A program that runs
// functions calls it first of all: in main, or in TestMain. Without it everything but running functions works.
func Main() { sandbox.Main() }

// Options say what cloud to make. The zero value is a cloud in memory on a free port.
type Options struct {
	// Dir keeps the cloud in a folder, where it survives kill -9 and is there again the next time. Empty means in memory.
	Dir string
	// Listen is the loopback address to serve on. Empty means a free port of 127.0.0.1.
	Listen string
	// Account is the account of requests whose access key names none: twelve digits. Empty means 000000000000.
	Account string
	// AllowHosts are addresses (HOST:PORT) that functions reach though they are this machine's own, such as localhost:6379.
	AllowHosts []string
	// NoProactiveInit keeps functions from being initialised before their first invocation.
	NoProactiveInit bool
	// Log receives the cloud's own messages. Nil means none.
	Log *slog.Logger
}

// Cloud is a running cloud. Its methods are safe for concurrent use.
type Cloud struct {
	app     *app.App
	control *control.Client
	account string
	// close closes the cloud once, whoever asks.
	close func() error
}

// Credentials are what a client signs with.
type Credentials struct{ AccessKeyID, SecretAccessKey string }

// New starts a cloud. It serves when New returns, until Close. ctx bounds the start alone.
func New(ctx context.Context, o Options) (*Cloud, error) {
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	if o.Account == "" {
		o.Account = cloud.DefaultAccount
	}
	if !cloud.IsAccount(o.Account) {
		return nil, fmt.Errorf("croft: the account id %q is not twelve digits", o.Account)
	}
	a, err := app.Start(ctx, app.Options{
		Dir: o.Dir, Ephemeral: o.Dir == "", SDKDir: sdkDir(o.Dir), Listen: o.Listen, Account: o.Account, Version: "embedded", Log: o.Log, AllowHosts: o.AllowHosts,
		NoProactiveInit: o.NoProactiveInit,
	})
	if err != nil {
		return nil, fmt.Errorf("croft: %w", err)
	}
	return &Cloud{app: a, control: control.NewClient(a.URL()), account: o.Account, close: sync.OnceValue(func() error { return closeApp(a) })}, nil
}

// sdkDir is where clouds in memory find the SDKs that they install for functions: what one has installed, the next ones have.
func sdkDir(data string) string {
	cache, err := os.UserCacheDir()
	if data != "" || err != nil {
		return ""
	}
	return filepath.Join(cache, "croft", "engine")
}

// Endpoint returns the cloud's URL, for AWS_ENDPOINT_URL or an SDK's base endpoint.
func (c *Cloud) Endpoint() string { return c.app.URL() }

// Region returns the region of deployments, and of requests that name none.
func (c *Cloud) Region() string { return cloud.DefaultRegion }

// Account returns the account in which the cloud's methods act.
func (c *Cloud) Account() string { return c.account }

// In returns the same cloud as another account, twelve digits, sees it. Accounts need not be made: each is there, empty, when it is first
// used. Only the names of S3 buckets are common to all, as on AWS.
func (c *Cloud) In(account string) *Cloud {
	return &Cloud{app: c.app, control: c.control.In(account), account: account, close: c.close}
}

// Credentials returns those of the account's root user.
func (c *Cloud) Credentials(ctx context.Context) (Credentials, error) {
	out, err := c.control.Credentials(ctx)
	if err != nil {
		return Credentials{}, fmt.Errorf("croft: %w", err)
	}
	return Credentials{out.AccessKeyID, out.SecretAccessKey}, nil
}

// Deploy brings an app, a folder with a SAM or CloudFormation template or a template file, as stack, and
// returns the stack's outputs. An empty stack takes the folder's name. The error says all reasons why a deployment failed.
func (c *Cloud) Deploy(ctx context.Context, path, stack string, parameters map[string]string) (map[string]string, error) {
	p, err := iac.Open(path)
	if err != nil {
		return nil, fmt.Errorf("croft: %w", err)
	}
	if stack == "" {
		stack = p.Name
	}
	text, err := p.Build(ctx, c.control.Upload, func(string) {})
	if err != nil {
		return nil, fmt.Errorf("croft: %w", err)
	}
	req := control.DeployRequest{Stack: stack, Template: text, Parameters: parameters}
	end, err := c.control.Deploy(ctx, req, func(control.DeployEvent) {})
	if err != nil {
		return nil, fmt.Errorf("croft: %s: %w", p.File, err)
	}
	outputs := make(map[string]string, len(end.Outputs))
	for _, o := range end.Outputs {
		outputs[o.Key] = o.Value
	}
	return outputs, nil
}

// ErrFunction is in the chain of Invoke's error when the function itself failed; its answer, Lambda's error document, is returned as well.
var ErrFunction = errors.New("the function failed")

// Invoke runs a function once and returns its answer. The function is named by its name, its ARN, or its
// logical id in the template of a deployed stack.
func (c *Cloud) Invoke(ctx context.Context, function string, event []byte) ([]byte, error) {
	r, err := c.control.Invoke(ctx, control.InvokeRequest{Function: function}, event)
	if err != nil {
		return nil, fmt.Errorf("croft: %w", err)
	}
	if r.FunctionError != "" {
		return r.Payload, fmt.Errorf("croft: %w: %s", ErrFunction, r.Payload)
	}
	return r.Payload, nil
}

// Reset empties the cloud, in all accounts. Credentials got before no longer work.
func (c *Cloud) Reset(ctx context.Context) error {
	if err := c.control.Reset(ctx); err != nil {
		return fmt.Errorf("croft: %w", err)
	}
	return nil
}

// Close stops the cloud, for all accounts: requests under way have ten seconds to end, functions are ended. A cloud in memory is gone.
// Closing again waits for the first to be done and returns what it returned.
func (c *Cloud) Close() error { return c.close() }

func closeApp(a *app.App) error {
	ctx, cancel := clock.WithTimeout(context.Background(), clock.Real(), closeWithin)
	defer cancel()
	return a.Close(ctx)
}
