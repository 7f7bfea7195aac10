package cloudformation

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	api "croft/internal/awsapi/cloudformation"
	"croft/internal/clock"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/kv/pebblekv"
	"croft/internal/lease"
	"croft/internal/service"
	"croft/internal/timer"
)

// machine is a cloud on disk that is shut down and started again between any two steps.
type machine struct {
	t     *testing.T
	dir   string
	store *pebblekv.Store
	fakes *fakes
	s     *Service
	count int
}

// newStill returns a machine in memory, which cannot be restarted.
func newStill(t *testing.T) *machine {
	m := &machine{t: t, fakes: &fakes{}}
	m.start(pebblekv.Options{Ephemeral: true})
	return m
}

func newMachine(t *testing.T) *machine {
	m := &machine{t: t, dir: t.TempDir(), fakes: &fakes{}}
	m.open()
	t.Cleanup(func() { m.store.Close() })
	return m
}

func (m *machine) open() { m.start(pebblekv.Options{Dir: m.dir}) }

func (m *machine) start(o pebblekv.Options) {
	store, err := pebblekv.Open(o)
	if err != nil {
		m.t.Fatal(err)
	}
	c, log := clock.NewManual(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)), slog.New(slog.DiscardHandler)
	m.store, m.fakes.store = store, store
	m.s = New(service.Deps{Leases: lease.Local(), Clock: c, Store: store, Timers: timer.New(store, c, log), Log: log}, m.fakes.lookup)
}

func (m *machine) restart() {
	if err := m.store.Close(); err != nil {
		m.t.Fatal(err)
	}
	m.open()
}

func (m *machine) ctx() context.Context {
	return cloud.WithCall(m.t.Context(), cloud.InternalCall(cloud.DefaultAccount, cloud.DefaultRegion, m.s.deps.Clock.Now()))
}

// finish takes steps until nothing is under way, each in a process of its own.
func (m *machine) finish() {
	m.t.Helper()
	for range 200 {
		m.restart()
		jobs, err := m.s.jobs(m.t.Context())
		if err != nil {
			m.t.Fatal(err)
		}
		if len(jobs) == 0 {
			return
		}
		if _, err := m.s.step(m.t.Context(), jobs[0], &targets{s: m.s}); err != nil {
			m.t.Fatal(err)
		}
		m.count++
	}
	m.t.Fatal("the operation does not end")
}

func (m *machine) status(name string) (string, string) {
	m.t.Helper()
	out, err := m.s.DescribeStacks(m.ctx(), &api.DescribeStacksInput{StackName: &name})
	if err != nil {
		m.t.Fatal(err)
	}
	return out.Stacks[0].StackStatus, *out.Stacks[0].StackId
}

func (m *machine) want(name, status, things string) string {
	m.t.Helper()
	got, id := m.status(name)
	if got != status {
		m.t.Fatalf("%s, want %s", got, status)
	}
	same(m.t, m.fakes.things(m.t), things)
	return id
}

// rows counts what is stored, so that nothing is left behind.
func (m *machine) rows() string {
	m.t.Helper()
	kinds := map[byte]int{}
	err := kv.NewSpace(m.store, cloud.DefaultAccount, cloud.DefaultRegion, serviceName).View(m.t.Context(), func(_ context.Context, r kv.Reader) error {
		for e, err := range r.Scan(kv.Range{}, kv.ScanOptions{}) {
			if err != nil {
				return err
			}
			kinds[e.Key[0]]++
		}
		return nil
	})
	if err != nil {
		m.t.Fatal(err)
	}
	delete(kinds, 'e')
	return fmt.Sprint(kinds)
}

func TestRestartBetweenSteps(t *testing.T) {
	m := newMachine(t)
	first := `
Resources:
  A: {Type: Test::Thing, Properties: {Name: a, Value: one}}
  B: {Type: Test::Thing, Properties: {Name: b, Value: !Ref A}}
  C: {Type: Test::Thing, Properties: {Value: !GetAtt B.Arn}}
`
	if _, err := m.s.CreateStack(m.ctx(), &api.CreateStackInput{StackName: "s", TemplateBody: &first}); err != nil {
		t.Fatal(err)
	}
	m.finish()
	generated := m.fakes.things(t)[len("a=one b=a "):]
	if !strings.HasPrefix(generated, "s-C-") {
		t.Fatal(m.fakes.things(t))
	}
	m.want("s", "CREATE_COMPLETE", "a=one b=a "+generated)

	second := `
Resources:
  A: {Type: Test::Thing, Properties: {Name: a2, Value: two}}
  B: {Type: Test::Thing, Properties: {Name: b, Value: !Ref A}}
  D: {Type: Test::Thing, Properties: {Name: d, Value: !Ref B}}
`
	m.fakes.order("create D", cloud.Errorf("Broken", "no"))
	if _, err := m.s.UpdateStack(m.ctx(), &api.UpdateStackInput{StackName: "s", TemplateBody: &second}); err != nil {
		t.Fatal(err)
	}
	m.finish()
	m.want("s", "UPDATE_ROLLBACK_COMPLETE", "a=one b=a "+generated)

	m.fakes.order("create D", nil)
	if _, err := m.s.UpdateStack(m.ctx(), &api.UpdateStackInput{StackName: "s", TemplateBody: &second}); err != nil {
		t.Fatal(err)
	}
	m.finish()
	id := m.want("s", "UPDATE_COMPLETE", "a2=two b=a2 d=b")
	same(t, m.rows(), "map[109:1 110:1 111:1 112:3 114:3 115:1]") // one template, name, place in order and stack; three records and owners

	if _, err := m.s.DeleteStack(m.ctx(), &api.DeleteStackInput{StackName: "s"}); err != nil {
		t.Fatal(err)
	}
	m.finish()
	m.want(id, "DELETE_COMPLETE", "")
	if m.count < 20 {
		t.Errorf("only %d steps", m.count)
	}
	if err := m.s.expire(m.ctx(), timer.Timer{ID: uid(id)}); err != nil {
		t.Fatal(err)
	}
	same(t, m.rows(), "map[]")
}

// A step that cannot be taken now leaves nothing, and is taken later.
func TestTransientFailure(t *testing.T) {
	m := newMachine(t)
	m.fakes.order("create A", kv.ErrConflict)
	if _, err := m.s.CreateStack(m.ctx(), &api.CreateStackInput{StackName: "s", TemplateBody: body(two)}); err != nil {
		t.Fatal(err)
	}
	jobs, err := m.s.jobs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.s.step(t.Context(), jobs[0], &targets{s: m.s}); err == nil {
		t.Fatal("a conflict went unnoticed")
	}
	m.want("s", "CREATE_IN_PROGRESS", "")
	m.fakes.order("create A", nil)
	m.finish()
	m.want("s", "CREATE_COMPLETE", "a=one b=a arn:thing:a")
}

// A creation under way is broken off by a deletion.
func TestDeleteWhileCreating(t *testing.T) {
	m := newMachine(t)
	if _, err := m.s.CreateStack(m.ctx(), &api.CreateStackInput{StackName: "s", TemplateBody: body(two)}); err != nil {
		t.Fatal(err)
	}
	jobs, err := m.s.jobs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.s.step(t.Context(), jobs[0], &targets{s: m.s}); err != nil {
		t.Fatal(err)
	}
	id := m.want("s", "CREATE_IN_PROGRESS", "a=one")
	_, err = m.s.UpdateStack(m.ctx(), &api.UpdateStackInput{StackName: "s", TemplateBody: body(two)})
	refused(t, err, "ValidationError: Stack:"+id+" is in CREATE_IN_PROGRESS state and can not be updated.")
	if _, err := m.s.DeleteStack(m.ctx(), &api.DeleteStackInput{StackName: "s"}); err != nil {
		t.Fatal(err)
	}
	m.finish()
	m.want(id, "DELETE_COMPLETE", "")
}
