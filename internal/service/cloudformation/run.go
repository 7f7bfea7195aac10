package cloudformation

import (
	"context"
	"errors"
	"sync"
	"time"

	"croft/internal/cfn"
	"croft/internal/cfn/template"
	"croft/internal/clock"
	"croft/internal/cloud"
	"croft/internal/kv"
)

const (
	// workers bounds how many stacks change at the same time.
	workers    = 8
	firstPause = 50 * time.Millisecond
	maxPause   = 30 * time.Second
)

// job names a stack that has an operation under way.
type job struct{ account, region, stack string }

// crew takes the steps of the operations under way.
type crew struct {
	s     *Service
	slots chan struct{}
	done  sync.WaitGroup
	// wake says that a stack has come to rest, so that one which has got a new operation meanwhile is not missed.
	wake chan struct{}

	mu   sync.Mutex
	busy map[job]bool
}

// run carries on with every operation, those of an earlier process first, until ctx ends. Of several processes on the store one
// does so at a time; two that take the same step would only be in each other's way.
func (s *Service) run(ctx context.Context) { s.deps.Leases.Run(ctx, "stacks", s.carry) }

func (s *Service) carry(ctx context.Context) {
	c := &crew{s: s, slots: make(chan struct{}, workers), wake: make(chan struct{}, 1), busy: map[job]bool{}}
	watch := s.deps.Shared(serviceName).Watch(nil)
	defer watch.Close()
	defer c.done.Wait()
	for failures := 0; ctx.Err() == nil; {
		if err := c.hire(ctx); err != nil && ctx.Err() == nil {
			if failures++; failures == 1 {
				s.deps.Log.Error("the stacks that have work cannot be read; trying again every second", "err", err)
			}
			if clock.Sleep(ctx, s.deps.Clock, time.Second) != nil {
				return
			}
			continue
		}
		failures = 0
		select {
		case <-watch.C():
		case <-c.wake:
		case <-ctx.Done():
		}
	}
}

// hire starts a worker for each stack that has work and no worker.
func (c *crew) hire(ctx context.Context) error {
	jobs, err := c.s.jobs(ctx)
	if err != nil {
		return err
	}
	for _, j := range jobs {
		c.mu.Lock()
		busy := c.busy[j]
		c.busy[j] = true
		c.mu.Unlock()
		if busy {
			continue
		}
		select {
		case c.slots <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		c.done.Go(func() {
			defer c.release(j)
			c.s.carryOn(ctx, j)
		})
	}
	return nil
}

func (c *crew) release(j job) {
	<-c.slots
	c.mu.Lock()
	delete(c.busy, j)
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (s *Service) jobs(ctx context.Context) (out []job, err error) {
	err = s.deps.Shared(serviceName).View(ctx, func(_ context.Context, r kv.Reader) error {
		for e, err := range r.Scan(kv.Range{}, kv.ScanOptions{}) {
			if err != nil {
				return err
			}
			k := kv.ReadKey(e.Key, nil)
			j := job{account: k.Str(), region: k.Str(), stack: k.Str()}
			if k.Err() != nil {
				return k.Err()
			}
			out = append(out, j)
		}
		return nil
	})
	return out, err
}

// carryOn takes steps until the stack's operation has ended.
func (s *Service) carryOn(ctx context.Context, j job) {
	targets := &targets{s: s}
	pause := firstPause
	for ctx.Err() == nil {
		over, err := s.step(ctx, j, targets)
		if over {
			return
		}
		if err == nil {
			pause = firstPause
			continue
		}
		if ctx.Err() != nil || errors.Is(err, kv.ErrClosed) {
			return
		}
		s.deps.Log.Warn("a stack's step is tried again", "stack", j.stack, "in", pause, "err", err)
		if clock.Sleep(ctx, s.deps.Clock, clock.Jitter(pause)) != nil {
			return
		}
		pause = min(2*pause, maxPause)
	}
}

// step takes one step of the operation under way, in one transaction.
func (s *Service) step(ctx context.Context, j job, targets *targets) (over bool, err error) {
	call := cloud.InternalCall(j.account, j.region, s.deps.Clock.Now())
	ctx = cloud.WithCall(ctx, call)
	err = s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		over = false
		st, err := load(tx, j.stack)
		if err != nil {
			return err
		}
		if st == nil || st.Op == nil {
			over = true
			return s.deps.Shared(serviceName).Update(ctx, func(_ context.Context, tx kv.Tx) error {
				return tx.Delete(workKey(j.account, j.region, j.stack))
			})
		}
		acting := *call
		acting.Principal, acting.Endpoint = st.Op.Principal, st.Op.Endpoint
		ctx = cloud.WithCall(ctx, &acting)
		op, texts := st.Op, templatesOf(st)
		journal := journalOf(tx, st)
		target := func() (*cfn.Target, error) { return targets.of(ctx, tx, st) }
		if err := s.exec.Step(ctx, st, target, journal, journal); err != nil {
			return err
		}
		if st.Op == nil {
			over = true
			if err := s.ended(ctx, tx, st, op); err != nil {
				return err
			}
		}
		for _, name := range texts {
			if !contains(templatesOf(st), name) {
				if err := tx.Delete(textKey(name)); err != nil {
					return err
				}
			}
		}
		return s.save(ctx, tx, st)
	})
	return over, err
}

func templatesOf(st *cfn.Stack) []string {
	if st.Stable == nil {
		return []string{st.Current.Template}
	}
	return []string{st.Current.Template, st.Stable.Template}
}

func contains(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}

// ended does what belongs to the end of an operation.
func (s *Service) ended(ctx context.Context, tx kv.Tx, st *cfn.Stack, op *cfn.Operation) error {
	if op.ChangeSetID != "" {
		status := executeComplete
		if st.Status != cfn.CreateComplete && st.Status != cfn.UpdateComplete {
			status = executeFailed
		}
		if err := setExecution(tx, op.ChangeSetID, status); err != nil {
			return err
		}
	}
	if st.Status != cfn.DeleteComplete {
		return nil
	}
	if err := s.dropChangeSets(tx, st, ""); err != nil {
		return err
	}
	if err := tx.Delete(nameKey(st.Name)); err != nil {
		return err
	}
	return s.forgetLater(ctx, st)
}

// targets keeps the parsed template of one operation between its steps.
type targets struct {
	s      *Service
	op     string
	target *cfn.Target
}

func (t *targets) of(ctx context.Context, r kv.Reader, st *cfn.Stack) (*cfn.Target, error) {
	if t.target != nil && t.op == st.Op.ID {
		return t.target, nil
	}
	text, err := loadText(r, st.Current.Template)
	if err != nil {
		return nil, err
	}
	parsed, err := template.Parse([]byte(text.processed()))
	if err != nil {
		return nil, err
	}
	target, err := bind(ctx, st, parsed, &st.Current)
	if err != nil {
		return nil, err
	}
	t.op, t.target = st.Op.ID, target
	return target, nil
}
