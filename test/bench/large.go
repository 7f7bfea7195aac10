package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"croft/internal/sigv4"
)

const (
	largeSize = 8 << 20
	// largeOnce is how many objects each connection moves in a round.
	largeOnce = 24
	// largeKeys is how many keys a connection goes round.
	largeKeys = 4
)

// largeClient moves bodies with plain requests, signed as an SDK signs them over TLS: the body's checksum is in a header, and its hash is not part of
// the signature. An SDK would spend more on a body than the servers do.
type largeClient struct {
	http     *http.Client
	endpoint string
	bench    *bench
	body     []byte
	sum      string
}

func (b *bench) newLargeClient(endpoint string) *largeClient {
	body := bytes.Repeat([]byte("0123456789abcde\n"), largeSize/16)
	sum := base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(body)))
	return &largeClient{&http.Client{Transport: transport()}, endpoint, b, body, sum}
}

func (c *largeClient) do(ctx context.Context, method string, n int, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, method, fmt.Sprintf("%s/%s/large-%d", c.endpoint, benchName, n), bytes.NewReader(body))
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("X-Amz-Checksum-Crc32", c.sum)
	}
	sigv4.SignHash(req, "UNSIGNED-PAYLOAD", sigv4.Credentials{AccessKey: "test", Secret: "test"}, "us-east-1", "s3", c.bench.clock.Now())
	res, err := c.http.Do(req)
	if err != nil {
		return err
	}
	size, err := io.Copy(io.Discard, res.Body)
	if err = errors.Join(err, res.Body.Close()); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK || method == http.MethodGet && size != largeSize {
		return fmt.Errorf("%s of 8 MB: %s, %d bytes", method, res.Status, size)
	}
	return nil
}

func (c *largeClient) put(ctx context.Context, n int) error {
	return c.do(ctx, http.MethodPut, n, c.body)
}

func (c *largeClient) get(ctx context.Context, n int) error { return c.do(ctx, http.MethodGet, n, nil) }

// large measures objects of 8 MB against a file server that does the same work.
func (b *bench) large(ctx context.Context, rounds int) (err error) {
	subject, err := b.subject(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, subject.stop()) }()
	t := newTarget(subject.endpoint, nil)
	defer t.close()
	if _, err := t.s3.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(benchName)}); err != nil {
		return err
	}
	floor, err := b.startFiles(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, floor.stop()) }()
	fmt.Printf("\n8 MB objects, against a file server with the same checksums and syncs; medians of %d rounds of %d objects a connection\n%-30s %12s %12s %7s %6s %8s\n",
		rounds, largeOnce, "operation", "floor MB/s", "MB/s", "share", "aim", "CPU")
	for _, width := range []int{1, 4} {
		for _, c := range []struct {
			name string
			op   func(*largeClient, context.Context, int) error
		}{{"PutObject", (*largeClient).put}, {"GetObject", (*largeClient).get}} {
			if err := b.largeRow(ctx, rounds, fmt.Sprintf("%s, %d connections", c.name, width), width, c.op, floor, subject); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bench) startFiles(ctx context.Context) (*server, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(b.dir, "files")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s, err := launch(addr, self, "-files", dir, "-addr", addr)
	if err != nil {
		return nil, err
	}
	return s, b.await(ctx, s)
}

func (b *bench) largeRow(ctx context.Context, rounds int, name string, width int, op func(*largeClient, context.Context, int) error, floor, subject *server) error {
	var floors, rates, shares, cpus []float64
	clients := map[*server]*largeClient{floor: b.newLargeClient(floor.endpoint), subject: b.newLargeClient(subject.endpoint)}
	for round := range rounds + 1 {
		sides := []*server{floor, subject}
		if round%2 == 1 {
			slices.Reverse(sides)
		}
		got := map[*server]figures{}
		for _, s := range sides {
			f, err := b.moveLarge(ctx, s, clients[s], width, op)
			if err != nil {
				return err
			}
			got[s] = f
		}
		if round == 0 {
			continue // warms both up
		}
		f, s := got[floor], got[subject]
		floors, rates, shares = append(floors, f.rps), append(rates, s.rps), append(shares, s.rps/f.rps)
		if s.cpu > 0 {
			cpus = append(cpus, float64(s.cpu)/float64(f.cpu))
		}
	}
	cpu := "-"
	if len(cpus) > 0 {
		cpu = fmt.Sprintf("%.2fx", median(cpus))
	}
	fmt.Printf("%-30s %12.0f %12.0f %6.0f%% %6s %8s\n", name, median(floors), median(rates), 100*median(shares), "70%", cpu)
	return nil
}

// moveLarge returns the rate in MB/s and the server's processor time per object.
func (b *bench) moveLarge(ctx context.Context, s *server, c *largeClient, width int, op func(*largeClient, context.Context, int) error) (f figures, err error) {
	before, err := s.cpu()
	if err != nil {
		return f, err
	}
	var wg sync.WaitGroup
	errs := make([]error, width)
	begin := b.clock.Now()
	for i := range width {
		wg.Go(func() {
			for n := range largeOnce {
				if errs[i] = op(c, ctx, i*largeKeys+n%largeKeys); errs[i] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	took := b.clock.Now().Sub(begin)
	if err := errors.Join(errs...); err != nil {
		return f, err
	}
	after, err := s.cpu()
	moved := width * largeOnce
	return figures{cpu: (after - before) / time.Duration(moved), rps: float64(moved*largeSize) / 1e6 / took.Seconds()}, err
}
