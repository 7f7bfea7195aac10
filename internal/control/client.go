package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"syscall"
)

const (
	header = "X-Croft-Control"
	// maxLine bounds one line of a streamed answer.
	maxLine = 16 << 20
)

// Client talks to the cloud at one endpoint. It is safe for concurrent use.
type Client struct {
	endpoint string
	account  string
	http     *http.Client
}

// ParseEndpoint returns the address of a cloud as people write it, such as "localhost:4566", in the form that NewClient wants.
func ParseEndpoint(s string) (string, error) {
	full := s
	if !strings.Contains(full, "://") {
		full = "http://" + full
	}
	u, err := url.Parse(full)
	if err != nil || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", fmt.Errorf("the endpoint %q is not an address such as http://127.0.0.1:4566", s)
	}
	return u.Scheme + "://" + u.Host, nil
}

// NewClient returns a client of the cloud at endpoint, such as "http://127.0.0.1:4566".
func NewClient(endpoint string) *Client {
	transport := &http.Transport{Proxy: nil, MaxIdleConnsPerHost: 4}
	return &Client{endpoint: endpoint, http: &http.Client{Transport: transport}}
}

// In returns a client of the same cloud whose calls act in another account, twelve digits.
func (c *Client) In(account string) *Client {
	other := *c
	other.account = account
	return &other
}

// Endpoint returns the cloud's address.
func (c *Client) Endpoint() string { return c.endpoint }

// ErrNotRunning is in the chain of errors that say that nothing answers at the endpoint.
var ErrNotRunning = errors.New("no croft is running")

func (c *Client) send(ctx context.Context, method, path string, query url.Values, body []byte) (*http.Response, error) {
	target := c.endpoint + path
	if c.account != "" {
		query = maps.Clone(query)
		if query == nil {
			query = url.Values{}
		}
		query.Set("account", c.account)
	}
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("the endpoint %q is not an address: %w", c.endpoint, err)
	}
	req.Header.Set(header, "1")
	res, err := c.http.Do(req)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return nil, fmt.Errorf("%w at %s; start one with: croft up", ErrNotRunning, c.endpoint)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
		return nil, fmt.Errorf("%w at %s any more: it stopped before it answered", ErrNotRunning, c.endpoint)
	}
	if err != nil {
		return nil, err
	}
	if res.StatusCode == http.StatusOK {
		return res, nil
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if err != nil {
		return nil, err
	}
	var p Problem
	if json.Unmarshal(text, &p) == nil && p.Error != "" {
		return nil, errors.New(p.Error)
	}
	return nil, fmt.Errorf("%s %s: %s: something else than croft answers there; name croft's address with --endpoint URL", method, target, res.Status)
}

func (c *Client) call(ctx context.Context, method, path string, query url.Values, body []byte, out any) error {
	res, err := c.send(ctx, method, path, query, body)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if out == nil {
		_, err := io.Copy(io.Discard, res.Body)
		return err
	}
	return json.NewDecoder(res.Body).Decode(out)
}

// stream calls line for each line of the answer until it ends, line fails or ctx ends.
func stream[T any](ctx context.Context, c *Client, method, path string, query url.Values, body []byte, line func(T) error) error {
	res, err := c.send(ctx, method, path, query, body)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var v T
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			return fmt.Errorf("unexpected answer of %s: %w", path, err)
		}
		if err := line(v); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(lines.Err(), io.ErrUnexpectedEOF) || errors.Is(lines.Err(), syscall.ECONNRESET) {
		return nil // the cloud was killed: the answer has no end, as when it stops
	}
	return lines.Err()
}

// Health asks whether the cloud serves.
func (c *Client) Health(ctx context.Context) (out HealthReport, err error) {
	return out, c.call(ctx, http.MethodGet, Health, nil, nil, &out)
}

// Status asks what the cloud is and holds.
func (c *Client) Status(ctx context.Context) (out StatusReport, err error) {
	return out, c.call(ctx, http.MethodGet, Status, nil, nil, &out)
}

// Traces asks for the segments that functions have sent last.
func (c *Client) Traces(ctx context.Context) (out TracesReport, err error) {
	return out, c.call(ctx, http.MethodGet, Traces, nil, nil, &out)
}

// Names asks for what there is to be named.
func (c *Client) Names(ctx context.Context) (out NamesReport, err error) {
	return out, c.call(ctx, http.MethodPost, Names, nil, nil, &out)
}

// Credentials asks for the credentials of the account's root user.
func (c *Client) Credentials(ctx context.Context) (out CredentialsReport, err error) {
	return out, c.call(ctx, http.MethodPost, Credentials, nil, nil, &out)
}

// Reset empties the cloud.
func (c *Client) Reset(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, Reset, nil, nil, nil)
}

// Upload stores a deployment package.
func (c *Client) Upload(ctx context.Context, zip []byte) (out Asset, err error) {
	return out, c.call(ctx, http.MethodPost, Assets, nil, zip, &out)
}

// Deploy makes a stack or brings it up to date, calling event for each step. An error means that the deployment failed; its last event
// says why as well.
func (c *Client) Deploy(ctx context.Context, req DeployRequest, event func(DeployEvent)) (end DeployEvent, err error) {
	body, err := json.Marshal(req)
	if err != nil {
		return end, err
	}
	err = stream(ctx, c, http.MethodPost, Deploy, nil, body, func(e DeployEvent) error {
		if !e.Done {
			event(e)
			return nil
		}
		end = e
		return nil
	})
	switch {
	case err != nil:
		return end, err
	case !end.Done:
		return end, errors.New("the cloud stopped before the deployment was done; it goes on when the cloud starts again")
	case end.Error != "":
		return end, errors.New(end.Error)
	}
	return end, nil
}

// Invoke runs a function and waits for its answer, or for the event to be accepted.
func (c *Client) Invoke(ctx context.Context, req InvokeRequest, event []byte) (out InvokeReport, err error) {
	return out, c.call(ctx, http.MethodPost, Invoke, req.query(), event, &out)
}

// Stream runs a function and calls piece for each part of its answer when it comes.
func (c *Client) Stream(ctx context.Context, req InvokeRequest, event []byte, piece func([]byte) error) (out InvokeReport, err error) {
	ended := false
	err = stream(ctx, c, http.MethodPost, Stream, req.query(), event, func(p StreamPiece) error {
		switch {
		case p.Error != "":
			return errors.New(p.Error)
		case p.End != nil:
			out, ended = *p.End, true
			return nil
		}
		return piece(p.Payload)
	})
	if err == nil && !ended {
		err = errors.New("the answer has no end: croft stopped before the function did")
	}
	return out, err
}

// Logs calls line for each log line that query asks for. With "follow" it returns when the cloud stops, without an error.
func (c *Client) Logs(ctx context.Context, query url.Values, line func(LogLine) error) error {
	return stream(ctx, c, http.MethodPost, Logs, query, nil, line)
}
