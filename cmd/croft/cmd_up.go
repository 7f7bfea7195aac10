package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"croft/internal/app"
	"croft/internal/clock"
	"croft/internal/control"
	"croft/internal/iac"
)

// stopWithin bounds how long a stopping cloud waits for the requests under way.
const stopWithin = 10 * time.Second

type upCmd struct {
	Apps            []string          `arg:"" optional:"" name:"app" help:"Folders with a template.yaml, or template files. None: only start." predict:"file"`
	Parameter       map[string]string `short:"p" help:"A parameter of the template, when there is one app; repeat for more." placeholder:"NAME=VALUE"`
	Listen          string            `help:"Loopback address to serve on; port 0 takes a free one." default:"127.0.0.1:4566" placeholder:"ADDR"`
	Data            string            `help:"Data folder. Default: croft in the XDG data folder (~/.local/share/croft)." placeholder:"DIR" xor:"data" predict:"file"`
	Ephemeral       bool              `help:"Keep everything in memory and forget it at the end." xor:"data"`
	Store           string            `help:"PostgreSQL database, postgres://USER:PW@HOST/DB, that other croft may share, instead of the data folder. A password is better given in the environment." env:"CROFT_STORE" placeholder:"URL"`
	Blobs           string            `help:"Where large bodies lie: a folder, or s3://BUCKET/PREFIX?endpoint=URL; with --store one that all nodes share. Default: in the data folder." env:"CROFT_BLOBS" placeholder:"DIR|s3://…" predict:"file"`
	Account         string            `help:"Account id of requests that name none: twelve digits." default:"000000000000" placeholder:"ID"`
	Fsync           bool              `help:"Acknowledge writes only when they survive loss of power, not just kill -9."`
	PlainObjects    bool              `help:"Keep objects of S3 on the disk as they come, but for those whose request or bucket asks for encryption."`
	Watch           bool              `short:"w" help:"Redeploy the apps whenever their files are saved."`
	Isolation       string            `help:"How functions are kept apart: auto (fully on Linux), required (fully and with all limits held by the kernel, or do not start), none (reduced)." enum:"auto,required,none" default:"auto" placeholder:"HOW"`
	AllowHost       []string          `help:"An address that functions reach though it is this machine's own, such as localhost:6379; repeat for more." placeholder:"HOST:PORT" sep:"none"`
	CloseNetworks   bool              `help:"Refuse functions private networks (10.0.0.0/8, 192.168.0.0/16 and the like), but for what --allow-host names."`
	MaxTimeout      time.Duration     `help:"Longest timeout that functions may have, such as 2h. Lambda's is 15m." placeholder:"DURATION"`
	MaxPayload      int               `help:"Largest event and answer in bytes. Lambda's is 6 MB." placeholder:"BYTES"`
	NoProactiveInit bool              `help:"Do not initialise deployed functions before their first invocation."`
	Child           bool              `help:"For test fixtures: print one line of JSON when it serves, and stop when standard input ends."`
	Verbose         bool              `short:"v" help:"Show the server's own messages."`
}

func (u *upCmd) Help() string {
	return `Examples:

  croft up                      start the cloud alone; Ctrl-C stops it
  croft up examples/orders      deploy the app, show its outputs and logs
  croft up --watch app/         deploy again what you save
  croft up app/ -p Stage=dev    give the template a parameter
  croft up app/ --allow-host localhost:6379 --allow-host localhost:5432
                                let functions reach these services of yours
  croft up --ephemeral --listen 127.0.0.1:0 app/
                                a throw-away cloud on a free port
  CROFT_STORE=postgres://croft:secret@db/croft croft up --blobs /mnt/croft
                                one of several nodes that share both`
}

// Run starts the cloud and stays until it is told to stop.
func (u *upCmd) Run(ctx context.Context, c console) error {
	if len(u.Account) != 12 || strings.Trim(u.Account, "0123456789") != "" {
		return fmt.Errorf("the account id %q is not twelve digits", u.Account)
	}
	if len(u.Parameter) > 0 && len(u.Apps) != 1 {
		return errors.New("parameters belong to one app: start the cloud, and give each app its own with: croft deploy APP -p NAME=VALUE")
	}
	if u.Watch && (len(u.Apps) == 0 || u.Child) {
		return errors.New("--watch needs an app to watch, and is not for --child; try: croft up --watch APP")
	}
	projects, err := open(u.Apps)
	if err != nil {
		return err
	}
	a, err := u.start(ctx, c)
	if err != nil {
		return err
	}
	if u.Child {
		err = u.serveChild(ctx, c, a, projects)
	} else {
		err = u.serve(ctx, c, a, projects)
	}
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	c.note("\nstopping …")
	limit, cancel := clock.WithTimeout(context.Background(), clock.Real(), stopWithin)
	defer cancel()
	if closed := a.Close(limit); err == nil {
		err = closed // what went wrong first is what matters
	}
	return err
}

func open(paths []string) ([]*iac.Project, error) {
	var out []*iac.Project
	for _, p := range paths {
		project, err := iac.Open(p)
		if err != nil {
			return nil, err
		}
		out = append(out, project)
	}
	return out, nil
}

func (u *upCmd) start(ctx context.Context, c console) (*app.App, error) {
	tune()
	dir, sdks := u.Data, ""
	if dir == "" {
		home, err := dataDir()
		switch {
		case !u.Ephemeral && err != nil:
			return nil, err
		case !u.Ephemeral:
			dir = home
		case err == nil:
			sdks = filepath.Join(home, "engine")
		}
	}
	level := slog.LevelWarn
	if u.Verbose {
		level = slog.LevelDebug
	}
	return app.Start(ctx, app.Options{
		Dir: dir, SDKDir: sdks, Store: u.Store, Blobs: u.Blobs, Ephemeral: u.Ephemeral, Fsync: u.Fsync, Listen: u.Listen, Account: u.Account, Version: version,
		Isolation: app.Isolation(u.Isolation), AllowHosts: u.AllowHost, NoProactiveInit: u.NoProactiveInit,
		ClosedNetworks: u.CloseNetworks, MaxTimeout: u.MaxTimeout, MaxPayload: u.MaxPayload, PlainObjects: u.PlainObjects,
		Log:      slog.New(slog.NewTextHandler(c.err, &slog.HandlerOptions{Level: level, ReplaceAttr: shortTime})),
		Progress: func(s string) { c.note("%s", s) },
	})
}

// shortTime writes the time of the server's own messages as that of log lines.
func shortTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		a.Value = slog.StringValue(a.Value.Time().Local().Format("15:04:05.000"))
	}
	return a
}

// dataDir follows the XDG Base Directory Specification.
func dataDir() (string, error) {
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "croft"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("no data folder: %w; name one with --data DIR", err)
	}
	return filepath.Join(home, ".local", "share", "croft"), nil
}

// serve shows the banner, deploys the apps and follows their logs until ctx ends or the cloud fails.
func (u *upCmd) serve(ctx context.Context, c console, a *app.App, projects []*iac.Project) error {
	client := control.NewClient(a.URL())
	status, err := client.Status(ctx)
	if err != nil {
		return err
	}
	c.banner(status)
	since := clock.Real().Now()
	broken := map[*iac.Project]bool{}
	for _, p := range projects {
		c.say("")
		if err := deploy(ctx, c, client, p, p.Name, u.Parameter); err != nil {
			if !u.Watch || ctx.Err() != nil {
				return err
			}
			c.note("croft: %v", err)
			broken[p] = true
		}
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if u.Watch {
		wait := u.keepUp(ctx, c, client, projects, broken)
		defer func() { stop(); wait() }()
		c.say("\nrunning; what you save is redeployed, functions' logs appear here, Ctrl-C stops")
	} else {
		c.say("\nrunning; functions' logs appear here, Ctrl-C stops")
	}
	failed := make(chan error, 1)
	go func() {
		query := url.Values{"follow": {"1"}, "since": {since.UTC().Format(time.RFC3339Nano)}}
		failed <- follow(ctx, client, query, c.logs("").Print)
	}()
	select {
	case <-ctx.Done():
		return nil
	case err := <-a.Failed():
		return fmt.Errorf("the cloud stopped serving: %w", err)
	case err := <-failed:
		return err
	}
}

func (c console) banner(status control.StatusReport) {
	data := status.Data
	if data == "" {
		data = "nothing is kept"
	}
	c.say("croft %s   %s   account %s   region %s", status.Version, status.Endpoint, status.Account, status.Region)
	c.say("data       %s (%s)", data, status.Durability)
	c.say("use it     %s -- aws sqs list-queues", execHint(status.Endpoint))
	if status.Isolation != "" {
		c.note("warning: functions cannot be isolated on this machine: %s. croft doctor says more", strings.TrimSuffix(status.Isolation, "."))
	}
	for _, line := range status.Less {
		c.note("warning: %s. croft doctor says more", line)
	}
	if status.Reduced != "" {
		c.note("reduced isolation: %s", status.Reduced)
	}
}

func execHint(endpoint string) string {
	if endpoint == "http://"+app.DefaultListen {
		return "croft exec"
	}
	return "croft --endpoint " + endpoint + " exec"
}
