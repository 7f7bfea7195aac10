package sqs

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"croft/internal/awsapi/sqs"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/timer"
	"croft/internal/wire"
)

// moveHandler is the timer of a move task: each time it fires it moves some messages.
const moveHandler = "sqs.move"

// Limits of move tasks. Source: Amazon SQS API Reference, StartMessageMoveTask and ListMessageMoveTasks.
const (
	maxMoveRate = 500
	maxTasks    = 10
	// moveBatch and moveBytes bound one transaction of a task.
	moveBatch = 100
	moveBytes = 8 << 20
)

// States of a move task.
const (
	taskRunning   = "RUNNING"
	taskCompleted = "COMPLETED"
	taskCancelled = "CANCELLED"
	taskFailed    = "FAILED"
)

// task is the row of a move task.
type task struct {
	ID string `json:"i"`
	// Started is in milliseconds since 1970.
	Started int64  `json:"t"`
	Status  string `json:"s"`
	Failure string `json:"f,omitempty"`
	// Destination is an ARN; empty sends each message back to where it came from.
	Destination string `json:"d,omitempty"`
	// Rate is in messages per second; zero means as fast as it goes.
	Rate   int32 `json:"r,omitempty"`
	Moved  int64 `json:"m"`
	ToMove int64 `json:"n"`
}

func (t *task) key(q *queue) kv.Key { return tasksPrefix(q.ID).Int(t.Started).Str(t.ID) }

func putTask(tx kv.Tx, q *queue, t *task) error {
	row, err := json.Marshal(t)
	if err != nil {
		return fmt.Errorf("sqs: %w", err)
	}
	return tx.Put(t.key(q), row)
}

// tasks returns the tasks out of a queue, the newest first.
func tasks(r kv.Reader, q *queue) (out []*task, err error) {
	for e, err := range r.Scan(kv.PrefixRange(tasksPrefix(q.ID)), kv.ScanOptions{Reverse: true, Limit: maxTasks}) {
		if err != nil {
			return nil, err
		}
		t := new(task)
		if err := json.Unmarshal(e.Value, t); err != nil {
			return nil, fmt.Errorf("sqs: the row of a move task: %w", err)
		}
		out = append(out, t)
	}
	return out, nil
}

// taskHandle names a task and the queue that it empties.
type taskHandle struct {
	TaskID    string `json:"taskId"`
	SourceARN string `json:"sourceArn"`
}

func (h taskHandle) String() string { return base64.StdEncoding.EncodeToString(plainJSON(h)) }

func parseTaskHandle(s string) (h taskHandle, ok bool) {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil || len(b) > maxPolicy || json.Unmarshal(b, &h) != nil {
		return h, false
	}
	return h, h.TaskID != "" && h.SourceARN != ""
}

func noResource(parameter string) error {
	return sqs.NewResourceNotFoundException("The resource that you specified for the %s parameter doesn't exist.", parameter).WithStatus(404)
}

// queueOf reads the queue of an ARN in the caller's account and region. parameter is what gave the ARN.
func (s *Service) queueOf(ctx context.Context, r kv.Reader, arn, parameter string) (q *queue, name string, err error) {
	if arn == "" {
		return nil, "", missingParameter(parameter)
	}
	a, err := cloud.ParseARN(arn)
	if err != nil || a.Service != "sqs" || a.Resource == "" {
		return nil, "", sqs.NewInvalidAddress("The address %s is not valid for this endpoint.", clip(arn))
	}
	if err := s.own(ctx, a.Account, arn); err != nil {
		return nil, "", err
	}
	q, err = s.queue(r, a.Resource)
	if cloud.Code(err) == queueDoesNotExist().Code || err == nil && a.Region != cloud.CallOf(ctx).Region {
		return nil, "", noResource(parameter)
	}
	return q, a.Resource, err
}

// StartMessageMoveTask begins to move the messages of a dead-letter queue to another queue, or to where they came from.
func (s *Service) StartMessageMoveTask(ctx context.Context, in *sqs.StartMessageMoveTaskInput) (*sqs.StartMessageMoveTaskOutput, error) {
	if n := in.MaxNumberOfMessagesPerSecond; n != nil && (*n < 1 || *n > maxMoveRate) {
		return nil, invalidParameter("Value for parameter MaxNumberOfMessagesPerSecond is invalid. " +
			"Reason: You must enter a number that's between 1 and 500.")
	}
	call := cloud.CallOf(ctx)
	t := &task{ID: cloud.NewRequestID(), Started: call.Now.UnixMilli(), Status: taskRunning,
		Destination: wire.Value(in.DestinationArn), Rate: wire.Value(in.MaxNumberOfMessagesPerSecond)}
	var name string
	err := s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		q, source, err := s.queueOf(ctx, tx, in.SourceArn, "SourceArn")
		if err != nil {
			return err
		}
		name = source
		if err := s.checkMove(ctx, tx, q, name, t); err != nil {
			return err
		}
		n, err := count(ctx, tx.Loose(), q, call.Now)
		if err != nil {
			return err
		}
		t.ToMove = int64(n.visible)
		if err := putTask(tx, q, t); err != nil {
			return err
		}
		return s.moveAt(ctx, name, t.ID, call.Now)
	})
	if err != nil {
		return nil, err
	}
	handle := taskHandle{t.ID, call.ARN("sqs", name)}
	return &sqs.StartMessageMoveTaskOutput{TaskHandle: wire.Ptr(handle.String())}, nil
}

// checkMove checks whether the task may begin, and makes room for it in the list of tasks.
func (s *Service) checkMove(ctx context.Context, tx kv.Tx, q *queue, name string, t *task) error {
	if t.Destination != "" {
		destination, other, err := s.queueOf(ctx, tx, t.Destination, "DestinationArn")
		switch {
		case err != nil:
			return err
		case other == name:
			return invalidParameter("Source queue arn and destination queue arn cannot be the same.")
		case destination.Settings.FIFO != q.Settings.FIFO:
			return invalidParameter("Source queue and destination queue must be of the same type.")
		}
	}
	isTarget := false
	for _, err := range tx.Scan(kv.PrefixRange(sourcesPrefix(name)), kv.ScanOptions{Limit: 1}) {
		if err != nil {
			return err
		}
		isTarget = true
	}
	if !isTarget {
		return invalidParameter("Source queue must be configured as a Dead Letter Queue.")
	}
	before, err := tasks(tx, q)
	if err != nil {
		return err
	}
	for i, old := range before {
		if old.Status == taskRunning {
			return sqs.NewUnsupportedOperation("There is already a task running. Only one active task is allowed for a source queue arn at a given time.")
		}
		if i >= maxTasks-1 {
			if err := tx.Delete(old.key(q)); err != nil {
				return err
			}
		}
	}
	return nil
}

// ListMessageMoveTasks returns the most recent tasks out of a queue.
func (s *Service) ListMessageMoveTasks(ctx context.Context, in *sqs.ListMessageMoveTasksInput) (*sqs.ListMessageMoveTasksOutput, error) {
	limit := 1
	if n := in.MaxResults; n != nil {
		if limit = int(*n); limit < 1 || limit > maxTasks {
			return nil, invalidParameter("Value for parameter MaxResults is invalid. Reason: You must enter a number that's between 1 and 10.")
		}
	}
	out := &sqs.ListMessageMoveTasksOutput{Results: []sqs.ListMessageMoveTasksResultEntry{}}
	err := s.space(ctx).View(ctx, func(ctx context.Context, r kv.Reader) error {
		q, name, err := s.queueOf(ctx, r, in.SourceArn, "SourceArn")
		if err != nil {
			return err
		}
		list, err := tasks(r, q)
		if err != nil {
			return err
		}
		source := cloud.CallOf(ctx).ARN("sqs", name)
		for _, t := range list[:min(limit, len(list))] {
			entry := sqs.ListMessageMoveTasksResultEntry{
				SourceArn: &source, Status: &t.Status, StartedTimestamp: &t.Started, DestinationArn: optional(t.Destination),
				ApproximateNumberOfMessagesMoved: &t.Moved, ApproximateNumberOfMessagesToMove: &t.ToMove, FailureReason: optional(t.Failure),
			}
			if t.Rate > 0 {
				entry.MaxNumberOfMessagesPerSecond = &t.Rate
			}
			if t.Status == taskRunning {
				entry.TaskHandle = wire.Ptr(taskHandle{t.ID, source}.String())
			}
			out.Results = append(out.Results, entry)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// CancelMessageMoveTask ends a task that runs. What it has moved stays where it is.
func (s *Service) CancelMessageMoveTask(ctx context.Context, in *sqs.CancelMessageMoveTaskInput) (*sqs.CancelMessageMoveTaskOutput, error) {
	if in.TaskHandle == "" {
		return nil, missingParameter("TaskHandle")
	}
	h, ok := parseTaskHandle(in.TaskHandle)
	if !ok {
		return nil, invalidParameter("Value for parameter TaskHandle is invalid.")
	}
	out := &sqs.CancelMessageMoveTaskOutput{}
	err := s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		q, name, err := s.queueOf(ctx, tx, h.SourceARN, "SourceArn")
		if err != nil {
			return err
		}
		list, err := tasks(tx, q)
		if err != nil {
			return err
		}
		for _, t := range list {
			if t.ID != h.TaskID {
				continue
			}
			if t.Status != taskRunning {
				return invalidParameter("Only active tasks can be cancelled")
			}
			t.Status, out.ApproximateNumberOfMessagesMoved = taskCancelled, &t.Moved
			call := cloud.CallOf(ctx)
			if err := s.deps.Timers.Cancel(ctx, timer.Timer{Handler: moveHandler, ID: name, Account: call.Account, Region: call.Region}); err != nil {
				return err
			}
			return putTask(tx, q, t)
		}
		return sqs.NewResourceNotFoundException("Task does not exist.").WithStatus(404)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// moveAt sets the timer of the one task that a queue can have.
func (s *Service) moveAt(ctx context.Context, name, id string, due time.Time) error {
	call := cloud.CallOf(ctx)
	return s.deps.Timers.Set(ctx, timer.Timer{Handler: moveHandler, ID: name, Account: call.Account, Region: call.Region, Due: due, Body: []byte(id)})
}

// move is a task's timer: it moves a second's worth of messages, or a batch where there is no rate.
func (s *Service) move(ctx context.Context, t timer.Timer) error {
	return s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		q, err := s.queue(tx, t.ID)
		if cloud.Code(err) == queueDoesNotExist().Code {
			return nil // and its tasks with it
		}
		if err != nil {
			return err
		}
		list, err := tasks(tx, q)
		if err != nil || len(list) == 0 || list[0].ID != string(t.Body) || list[0].Status != taskRunning {
			return err
		}
		return s.moveSome(ctx, tx, t.ID, q, list[0])
	})
}

// errStop ends the walk through the messages to move.
var errStop = errors.New("sqs: enough moved")

func (s *Service) moveSome(ctx context.Context, tx kv.Tx, name string, q *queue, t *task) error {
	now := cloud.CallOf(ctx).Now
	limit, pause := int64(moveBatch), time.Duration(0)
	if t.Rate > 0 {
		limit, pause = int64(t.Rate), time.Second
	}
	limit = min(limit, t.ToMove-t.Moved)
	moved, size := int64(0), 0
	err := errStop
	if limit > 0 {
		err = drain(tx, q, now, func(r *record) error {
			if err := s.moveOne(ctx, tx, t, r, now); err != nil {
				return err
			}
			size += len(r.body)
			if moved++; moved == limit || size >= moveBytes {
				return errStop
			}
			return nil
		})
	}
	t.Moved += moved
	var refused *cloud.Error
	switch {
	case errors.As(err, &refused):
		t.Status, t.Failure = taskFailed, refused.Message
	case err != nil && !errors.Is(err, errStop):
		return err
	case err == nil || t.Moved >= t.ToMove:
		t.Status = taskCompleted
	}
	if err := putTask(tx, q, t); err != nil || t.Status != taskRunning {
		return err
	}
	return s.moveAt(ctx, name, t.ID, now.Add(pause))
}

// moveOne sends a message to where it is to go, as a new one. A refusal becomes the task's failure and leaves the message alone.
func (s *Service) moveOne(ctx context.Context, tx kv.Tx, t *task, r *record, now time.Time) error {
	arn := t.Destination
	if arn == "" {
		arn = r.source
	}
	if arn == "" {
		return cloud.Errorf("MoveTask", "CouldNotDetermineMessageSource")
	}
	target, err := s.queue(tx, arn[strings.LastIndexByte(arn, ':')+1:])
	if cloud.Code(err) == queueDoesNotExist().Code {
		return cloud.Errorf("MoveTask", "AWS.SimpleQueueService.NonExistentQueue")
	}
	if err != nil {
		return err
	}
	m := *r
	m.id, m.sent, m.source, m.sequence = newMessageID(), now, "", 0
	if !target.Settings.FIFO {
		return tx.Append(waitingLog(target.ID), m.encode())
	}
	if m.group == "" {
		return cloud.Errorf("MoveTask", "CouldNotDetermineMessageSource")
	}
	return s.enqueue(tx, target, &m, &flight{visible: now, nonce: randomUint64()}, now)
}
