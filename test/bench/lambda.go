package main

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"croft/internal/clock"
)

// lambdaClient speaks to Lambda's API: invocations through the AWS SDK, the rest, which is not measured, by hand.
type lambdaClient struct {
	sdk      *lambda.Client
	http     *http.Client
	endpoint string
	clock    clock.Clock
}

func newLambdaClient(b *bench, endpoint string, connections int, wrap func(http.RoundTripper) http.RoundTripper) *lambdaClient {
	var tr http.RoundTripper = &http.Transport{MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections}
	if wrap != nil {
		tr = wrap(tr)
	}
	h := &http.Client{Transport: tr}
	return &lambdaClient{lambda.New(lambda.Options{
		Region: "us-east-1", BaseEndpoint: &endpoint, Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
		HTTPClient: h, RetryMaxAttempts: 1,
	}), h, endpoint, b.clock}
}

// call sends one request and returns the answer's body. A status of 300 or more, or a function's error, is an error.
func (c *lambdaClient) call(ctx context.Context, service, method, path, contentType string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.endpoint+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	sum := sha256.Sum256(body)
	key := aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}
	if err := v4.NewSigner().SignHTTP(ctx, key, req, hex.EncodeToString(sum[:]), service, "us-east-1", c.clock.Now()); err != nil {
		return nil, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	out, err := io.ReadAll(res.Body)
	if err = errors.Join(err, res.Body.Close()); err != nil {
		return nil, err
	}
	if res.StatusCode >= 300 || res.Header.Get("X-Amz-Function-Error") != "" {
		return nil, fmt.Errorf("%s %s: %s: %.500s", method, path, res.Status, out)
	}
	return out, nil
}

func (c *lambdaClient) invoke(ctx context.Context, name string, payload []byte) error {
	out, err := c.sdk.Invoke(ctx, &lambda.InvokeInput{FunctionName: &name, Payload: payload})
	if err != nil {
		return err
	}
	if out.FunctionError != nil {
		return fmt.Errorf("%s: %.500s", name, out.Payload)
	}
	return nil
}

// role makes the execution role of the functions that are measured.
func (c *lambdaClient) role(ctx context.Context) error {
	const trust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
	form := "Action=CreateRole&Version=2010-05-08&RoleName=bench&AssumeRolePolicyDocument=" + strings.NewReplacer(`"`, "%22", "{", "%7B", "}", "%7D", "[", "%5B", "]", "%5D").Replace(trust)
	_, err := c.call(ctx, "iam", http.MethodPost, "/", "application/x-www-form-urlencoded", []byte(form))
	return err
}

// function is a function to be measured.
type function struct {
	name, runtime, handler string
	files                  map[string][]byte
	memory                 int
}

func (c *lambdaClient) create(ctx context.Context, f function) error {
	var archive bytes.Buffer
	z := zip.NewWriter(&archive)
	for name, text := range f.files {
		h := &zip.FileHeader{Name: name, Method: zip.Deflate}
		h.SetMode(0o755)
		w, err := z.CreateHeader(h)
		if err != nil {
			return err
		}
		if _, err := w.Write(text); err != nil {
			return err
		}
	}
	if err := z.Close(); err != nil {
		return err
	}
	body, err := json.Marshal(map[string]any{
		"FunctionName": f.name, "Runtime": f.runtime, "Handler": f.handler, "Role": "arn:aws:iam::000000000000:role/bench", "Timeout": 60, "MemorySize": f.memory,
		"Code": map[string]string{"ZipFile": base64.StdEncoding.EncodeToString(archive.Bytes())},
	})
	if err != nil {
		return err
	}
	_, err = c.call(ctx, "lambda", http.MethodPost, "/2015-03-31/functions", "application/json", body)
	return err
}

// renew changes a function's configuration, so that none of its environments is used again.
func (c *lambdaClient) renew(ctx context.Context, name string, n int) error {
	body := fmt.Sprintf(`{"Environment":{"Variables":{"NN":"%d"}}}`, n)
	_, err := c.call(ctx, "lambda", http.MethodPut, "/2015-03-31/functions/"+name+"/configuration", "application/json", []byte(body))
	return err
}

// timed returns how long f takes n times, in order of length, with before run before each, untimed.
func (b *bench) timed(n int, before func(i int) error, f func() error) ([]time.Duration, error) {
	times := make([]time.Duration, n)
	for i := range times {
		if before != nil {
			if err := before(i); err != nil {
				return nil, err
			}
		}
		begin := b.clock.Now()
		if err := f(); err != nil {
			return nil, err
		}
		times[i] = b.clock.Now().Sub(begin)
	}
	slices.Sort(times)
	return times, nil
}

func p50(times []time.Duration) time.Duration { return times[len(times)/2] }

// rate returns how often a second f can be done by n callers at once, each of whom does it each times.
func (b *bench) rate(n, each int, f func(caller int) error) (float64, error) {
	var wg sync.WaitGroup
	errs := make([]error, n)
	begin := b.clock.Now()
	for i := range n {
		wg.Go(func() {
			for range each {
				if errs[i] = f(i); errs[i] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	return float64(n*each) / b.clock.Now().Sub(begin).Seconds(), errors.Join(errs...)
}

const echoHandler = "def handler(event, context):\n    return event\n"

// lambdaCloud starts croft with the function's role.
func (b *bench) lambdaCloud(ctx context.Context, args ...string) (*server, *lambdaClient, error) {
	s, err := b.startCroft(ctx, args...)
	if err != nil {
		return nil, nil, err
	}
	c := newLambdaClient(b, s.endpoint, 200, nil)
	if err := c.role(ctx); err != nil {
		return nil, nil, errors.Join(err, s.stop())
	}
	return s, c, nil
}

// invokeWarm measures a Python echo through the public API against what it is made of: the same request to a server that answers from memory, and the
// same bytes to a Python process and back over a pipe.
func (b *bench) invokeWarm(ctx context.Context, rounds int) (err error) {
	subject, c, err := b.lambdaCloud(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, subject.stop()) }()
	if err := c.create(ctx, function{"echo", "python3.11", "index.handler", map[string][]byte{"index.py": []byte(echoHandler)}, 256}); err != nil {
		return err
	}
	payload := []byte(`{"message":"` + strings.Repeat("m", 186) + `"}`)
	rec := &recorder{}
	first := newLambdaClient(b, subject.endpoint, 1, func(next http.RoundTripper) http.RoundTripper { rec.next = next; return rec })
	if err := first.invoke(ctx, "echo", payload); err != nil {
		return err
	}
	floor, err := b.startFloor(rec.last)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, floor.stop()) }()
	if err := b.await(ctx, floor); err != nil {
		return err
	}
	pipes, err := startPipes(connections)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pipes.stop()) }()
	return b.compareInvoke(ctx, rounds, c, newLambdaClient(b, floor.endpoint, connections, nil), pipes, payload)
}

func (b *bench) compareInvoke(ctx context.Context, rounds int, subject, floor *lambdaClient, pipes *pipes, payload []byte) error {
	fmt.Printf("\nLambda Invoke, Python echo, 200 bytes, warm\n%-6s %12s %12s %12s %7s %10s %10s %10s %7s\n", "round",
		"HTTP p50", "pipe p50", "croft p50", "ratio", "HTTP/s", "pipe/s", "croft/s", "share")
	var ratios, shares []float64
	sides := []struct {
		one  func() error
		many func(int) error
	}{
		{func() error { return floor.invoke(ctx, "echo", payload) }, func(int) error { return floor.invoke(ctx, "echo", payload) }},
		{func() error { return pipes.echo(0, payload) }, func(i int) error { return pipes.echo(i, payload) }},
		{func() error { return subject.invoke(ctx, "echo", payload) }, func(int) error { return subject.invoke(ctx, "echo", payload) }},
	}
	for round := range rounds + 1 {
		var one [3]time.Duration
		var many [3]float64
		for i, s := range sides {
			times, err := b.timed(sequential/2, nil, s.one)
			if err != nil {
				return err
			}
			one[i] = p50(times)
			if many[i], err = b.rate(connections, parallel/2/connections, s.many); err != nil {
				return err
			}
		}
		if round == 0 {
			continue // warms up
		}
		ratio := float64(one[2]) / float64(one[0]+one[1])
		share := many[2] * (1/many[0] + 1/many[1])
		ratios, shares = append(ratios, ratio), append(shares, share)
		fmt.Printf("%-6d %12v %12v %12v %6.2fx %10.0f %10.0f %10.0f %6.0f%%\n", round, one[0], one[1], one[2], ratio, many[0], many[1], many[2], 100*share)
	}
	fmt.Printf("median: p50 %.2fx of HTTP and pipe together, requests/s at %d callers %.0f%% of what both allow\n",
		median(ratios), connections, 100*median(shares))
	return nil
}

// spread prints the median and the ends of a row of figures.
func spread(times []time.Duration) string {
	return fmt.Sprintf("p50 %v (%v to %v)", p50(times).Round(10*time.Microsecond), times[0].Round(10*time.Microsecond), times[len(times)-1].Round(10*time.Microsecond))
}

// python is the interpreter that floors use: the one that croft finds for python3.11.
func python() string {
	for _, path := range []string{os.Getenv("BENCH_PYTHON"), "/root/.pyenv/versions/3.11.7/bin/python3.11", "/usr/bin/python3.11"} {
		if _, err := os.Stat(path); path != "" && err == nil {
			return path
		}
	}
	return "python3"
}
