package sqs

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"croft/internal/awsapi/sqs"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/service"
	"croft/internal/timer"
)

// Service implements the API of SQS. It is safe for concurrent use.
type Service struct {
	sqs.Unimplemented
	deps   service.Deps
	claims claims
	queues queueCache
	// sequences makes the sequence numbers of FIFO queues.
	sequences sequences
}

var _ sqs.API = (*Service)(nil)

// New returns the service.
func New(deps service.Deps) *Service { return &Service{deps: deps} }

// Descriptor declares the service.
func (s *Service) Descriptor() service.Descriptor {
	return service.Descriptor{
		API: sqs.Service(), Impl: s,
		Timers:    map[string]timer.Handler{sweepHandler: s.sweep, moveHandler: s.move},
		Resources: s.resources(),
	}
}

func randomUint64() uint64 {
	var b [8]byte
	rand.Read(b[:])
	return binary.BigEndian.Uint64(b[:])
}

func (s *Service) space(ctx context.Context) kv.Space { return s.deps.Space(ctx, "sqs") }

// queue is a queue's row. Queues are shared by the cache: they must not be changed.
type queue struct {
	ID uint64 `json:"i"`
	// Created and Modified are in seconds since 1970.
	Created  int64      `json:"c"`
	Modified int64      `json:"m"`
	Settings attributes `json:"s"`
}

// queueCache holds decoded queues by the bytes they were decoded from, so that it can never be out of date.
type queueCache struct {
	mu    sync.RWMutex
	byRow map[string]*queue
}

// cacheLimit bounds the cached queues, and cacheBytes the row of a queue that is cached: policies can be long.
const (
	cacheLimit = 512
	cacheBytes = 4 << 10
)

func (c *queueCache) decode(row []byte) (*queue, error) {
	c.mu.RLock()
	q := c.byRow[string(row)]
	c.mu.RUnlock()
	if q != nil {
		return q, nil
	}
	q = new(queue)
	if err := json.Unmarshal(row, q); err != nil {
		return nil, fmt.Errorf("sqs: the row of a queue: %w", err)
	}
	if len(row) > cacheBytes {
		return q, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byRow == nil || len(c.byRow) >= cacheLimit {
		c.byRow = make(map[string]*queue)
	}
	c.byRow[string(row)] = q
	return q, nil
}

// queue reads the queue of that name, or fails with QueueDoesNotExist.
func (s *Service) queue(r kv.Reader, name string) (*queue, error) {
	row, err := r.Get(queueKey(name))
	if errors.Is(err, kv.ErrNotFound) {
		return nil, queueDoesNotExist()
	}
	if err != nil {
		return nil, err
	}
	return s.queues.decode(row)
}

// view runs fn with the queue that url names.
func (s *Service) view(ctx context.Context, url string, fn func(r kv.Reader, name string, q *queue) error) error {
	name, err := s.resolve(ctx, url)
	if err != nil {
		return err
	}
	return s.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) error {
		q, err := s.queue(r, name)
		if err != nil {
			return err
		}
		return fn(r, name, q)
	})
}

// update runs fn with the queue that url names.
func (s *Service) update(ctx context.Context, url string, fn func(ctx context.Context, tx kv.Tx, name string, q *queue) error) error {
	name, err := s.resolve(ctx, url)
	if err != nil {
		return err
	}
	return s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		q, err := s.queue(tx, name)
		if err != nil {
			return err
		}
		return fn(ctx, tx, name, q)
	})
}

// resolve returns the queue's name in a queue URL: the last two parts of its path are account and name, whatever the host.
func (s *Service) resolve(ctx context.Context, url string) (string, error) {
	if url == "" {
		return "", missingParameter("QueueUrl")
	}
	rest := strings.TrimSuffix(url, "/")
	if _, after, ok := strings.Cut(rest, "://"); ok {
		// The host is no part of the path.
		if _, rest, ok = strings.Cut(after, "/"); !ok {
			return "", sqs.NewInvalidAddress("The address %s is not valid for this endpoint.", clip(url))
		}
	}
	slash := strings.LastIndexByte(rest, '/')
	if slash < 0 {
		return "", sqs.NewInvalidAddress("The address %s is not valid for this endpoint.", clip(url))
	}
	name := rest[slash+1:]
	account := rest[strings.LastIndexByte(rest[:slash], '/')+1 : slash]
	if err := s.own(ctx, account, url); err != nil {
		return "", err
	}
	return name, nil
}

// own checks that account is the caller's. what is what a refusal names.
func (s *Service) own(ctx context.Context, account, what string) error {
	call := cloud.CallOf(ctx)
	if account == call.Account {
		return nil
	}
	if s.deps.Account(ctx, account, what) != call.Account {
		return accessDenied(clip(what))
	}
	return nil
}

func queueURL(call *cloud.Call, name string) string {
	return call.Endpoint + "/" + call.Account + "/" + name
}
