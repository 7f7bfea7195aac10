package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"croft/internal/clock"
)

const (
	// colds is how often each cold start is measured, and coldPause what lies between two: nothing of the function is prepared in it, and what the
	// server keeps for any function of the runtime is there again.
	colds     = 21
	coldPause = 400 * time.Millisecond
)

const (
	boto3Handler = "import boto3\nclient = boto3.client('sqs', region_name='us-east-1')\ntable = boto3.resource('dynamodb', region_name='us-east-1').Table('t')\n" +
		"def handler(event, context):\n    return event\n"
	nodeHandler = "const { SQSClient } = require('@aws-sdk/client-sqs');\nconst client = new SQSClient({region: 'us-east-1'});\nexports.handler = async (event) => event;\n"
)

// coldStarts measures first invocations: from the request to the answer, with nothing of the function prepared.
func (b *bench) coldStarts(ctx context.Context, _ int) (err error) {
	s, c, err := b.lambdaCloud(ctx, "--no-proactive-init")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	fmt.Printf("\nCold starts, request to answer, %d each\n", colds)
	for _, one := range []func(context.Context, *lambdaClient) error{b.coldHello, b.coldBoto3, b.coldNode, b.coldProvided} {
		if err := one(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// cold measures first invocations of a function.
func (b *bench) cold(ctx context.Context, c *lambdaClient, f function) ([]time.Duration, error) {
	if err := c.create(ctx, f); err != nil {
		return nil, err
	}
	// What the machine lacks is installed now.
	if err := c.invoke(ctx, f.name, []byte("{}")); err != nil {
		return nil, err
	}
	return b.timed(colds, func(i int) error {
		if err := c.renew(ctx, f.name, i); err != nil {
			return err
		}
		return clock.Sleep(ctx, b.clock, coldPause)
	}, func() error { return c.invoke(ctx, f.name, []byte("{}")) })
}

func (b *bench) coldHello(ctx context.Context, c *lambdaClient) (err error) {
	forks, err := startPeer(python(), "-c", forkLoop)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, forks.stop()) }()
	floor, err := b.timed(colds, func(int) error { return clock.Sleep(ctx, b.clock, 50*time.Millisecond) }, func() error { return forks.ask("{}") })
	if err != nil {
		return err
	}
	got, err := b.cold(ctx, c, function{"hello", "python3.11", "index.handler", map[string][]byte{"index.py": []byte(echoHandler)}, 256})
	if err != nil {
		return err
	}
	fmt.Printf("Python hello: %s; an interpreter with the SDK forks and answers: %s; %.2fx\n", spread(got), spread(floor), float64(p50(got))/float64(p50(floor)))
	return nil
}

func (b *bench) coldBoto3(ctx context.Context, c *lambdaClient) error {
	script := strings.Replace(boto3Handler, "def handler(event, context):\n    return event\n", "print('ready')\n", 1)
	floor, err := b.timed(7, nil, func() error {
		cmd := exec.CommandContext(ctx, python(), "-c", script)
		cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID=x", "AWS_SECRET_ACCESS_KEY=x")
		return cmd.Run()
	})
	if err != nil {
		return err
	}
	got, err := b.cold(ctx, c, function{"boto", "python3.11", "index.handler", map[string][]byte{"index.py": []byte(boto3Handler)}, 512})
	if err != nil {
		return err
	}
	fmt.Printf("Python with a boto3 client and a resource: %s; a fresh interpreter: %s; %.1fx faster\n", spread(got), spread(floor), float64(p50(floor))/float64(p50(got)))
	return nil
}

// nodeLoop loads a handler with one client of the SDK when it is asked to, in a process that is up.
const nodeLoop = `
process.stdin.once("data", () => { const h = require(process.argv[1]); h.handler({}).then(() => process.stdout.write("done\n")); });
process.stdout.write("ready\n");
`

func (b *bench) coldNode(ctx context.Context, c *lambdaClient) error {
	if _, err := exec.LookPath("node"); err != nil {
		fmt.Println("Node: NOT MEASURED, there is no node on this machine")
		return nil
	}
	got, err := b.cold(ctx, c, function{"node", "nodejs20.x", "index.handler", map[string][]byte{"index.js": []byte(nodeHandler)}, 512})
	if err != nil {
		return err
	}
	dir := filepath.Join(b.dir, "node")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "index.js"), []byte(nodeHandler), 0o600); err != nil {
		return err
	}
	install := exec.CommandContext(ctx, "npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", dir, "@aws-sdk/client-sqs")
	install.Stderr = os.Stderr
	if err := install.Run(); err != nil {
		return err
	}
	var waiting *peer
	floor, err := b.timed(11, func(int) (err error) {
		if waiting != nil {
			if err := waiting.stop(); err != nil {
				return err
			}
		}
		if waiting, err = startPeer("node", "-e", nodeLoop, filepath.Join(dir, "index.js")); err != nil {
			return err
		}
		return clock.Sleep(ctx, b.clock, 100*time.Millisecond)
	}, func() error { return waiting.ask("load") })
	if err != nil {
		return err
	}
	fmt.Printf("Node with an SDK client: %s; a process that is up loads it: %s; %.2fx\n", spread(got), spread(floor), float64(p50(got))/float64(p50(floor)))
	return waiting.stop()
}

// bootstrapSource is a runtime in Go without libraries.
const bootstrapSource = `package main

import (
	"bytes"
	"io"
	"net/http"
	"os"
)

func main() {
	api := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/"
	for {
		res, err := http.Get(api + "next")
		if err != nil {
			os.Exit(1)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		res, err = http.Post(api+res.Header.Get("Lambda-Runtime-Aws-Request-Id")+"/response", "application/json", bytes.NewReader(body))
		if err != nil {
			os.Exit(1)
		}
		res.Body.Close()
	}
}
`

// coldProvided compares with the program's own start: from its execution to its first question for an event.
func (b *bench) coldProvided(ctx context.Context, c *lambdaClient) error {
	dir := filepath.Join(b.dir, "provided")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, text := range map[string]string{"main.go": bootstrapSource, "go.mod": "module bootstrap\n\ngo 1.24\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	build := exec.CommandContext(ctx, "go", "build", "-ldflags=-s -w", "-o", "bootstrap", ".")
	build.Dir, build.Env, build.Stderr = dir, append(os.Environ(), "CGO_ENABLED=0"), os.Stderr
	if err := build.Run(); err != nil {
		return err
	}
	binary := filepath.Join(dir, "bootstrap")
	floor, err := b.execToReady(ctx, binary)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(binary)
	if err != nil {
		return err
	}
	got, err := b.cold(ctx, c, function{"provided", "provided.al2023", "bootstrap", map[string][]byte{"bootstrap": text}, 256})
	if err != nil {
		return err
	}
	fmt.Printf("provided, a Go program: %s; its own start: %s; %.2fx\n", spread(got), spread(floor), float64(p50(got))/float64(p50(floor)))
	return nil
}

func (b *bench) execToReady(ctx context.Context, binary string) ([]time.Duration, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	asked := make(chan struct{})
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-r.Context().Done()
	}), ReadHeaderTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	var cmd *exec.Cmd
	stop := func() error {
		if cmd == nil {
			return nil
		}
		if err := cmd.Process.Kill(); err != nil {
			return err
		}
		var exit *exec.ExitError
		if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
			return err
		}
		return nil
	}
	times, err := b.timed(colds, func(int) error {
		return errors.Join(stop(), clock.Sleep(ctx, b.clock, 50*time.Millisecond))
	}, func() error {
		cmd = exec.CommandContext(ctx, binary)
		cmd.Env = []string{"AWS_LAMBDA_RUNTIME_API=" + l.Addr().String()}
		if err := cmd.Start(); err != nil {
			return err
		}
		<-asked
		return nil
	})
	err = errors.Join(err, stop(), srv.Close())
	<-served
	return times, err
}
