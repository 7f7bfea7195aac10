package cloudformation

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	api "croft/internal/awsapi/cloudformation"
	"croft/internal/cfn"
	"croft/internal/clock"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/service"
	"croft/internal/service/servicetest"
)

// fakes is a service that owns the type Test::Thing, whose creations, updates and deletions fail on demand. Its things lie in the
// store, so that what it did commits or not together with the stack.
type fakes struct {
	store kv.Store

	mu   sync.Mutex
	fail map[string]error // by "create Thing", "update Thing", "delete Thing"
	// onUpdate, when set, decides about updates by the new value.
	onUpdate func(value string) error
}

type thing struct {
	Name  string    `cfn:"Name,replace"`
	In    string    `cfn:"In,replace"`
	Value string    `cfn:"Value"`
	Count *int32    `cfn:"Count"`
	List  []string  `cfn:"List"`
	Tags  []cfn.Tag `cfn:"Tags"`
}

func (f *fakes) space() kv.Space { return kv.NewSpace(f.store, "fakes") }

// call notes what is asked for and returns the failure that was ordered.
func (f *fakes) call(what string, r *cfn.Request) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.fail[what+" "+r.LogicalID]
	if err != nil && err.Error() == "panic" {
		panic("on demand")
	}
	return err
}

func (f *fakes) order(what string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail == nil {
		f.fail = map[string]error{}
	}
	f.fail[what] = err
}

func (f *fakes) put(ctx context.Context, id, value string) error {
	return f.space().Update(ctx, func(_ context.Context, tx kv.Tx) error { return tx.Put(kv.Key{}.Str(id), []byte(value)) })
}

// things returns what there is: "name=value", in order.
func (f *fakes) things(t testing.TB) string {
	t.Helper()
	var all []string
	err := f.space().View(t.Context(), func(_ context.Context, r kv.Reader) error {
		for e, err := range r.Scan(kv.Range{}, kv.ScanOptions{}) {
			if err != nil {
				return err
			}
			all = append(all, kv.ReadKey(e.Key, nil).Str()+"="+string(e.Value))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, " ")
}

func (f *fakes) result(r *cfn.Request, id string, p *thing) *cfn.Result {
	return &cfn.Result{PhysicalID: id, Attributes: map[string]any{"Arn": "arn:thing:" + id, "Value": p.Value}}
}

func (f *fakes) thingType() cfn.ResourceType {
	return cfn.Resource("Test::Thing", cfn.Spec[thing]{
		Create: func(ctx context.Context, r *cfn.Request, p *thing) (*cfn.Result, error) {
			id := p.Name
			if id == "" {
				id = r.GeneratedName
			}
			if err := f.put(ctx, p.In+id, p.Value); err != nil {
				return nil, err
			}
			res := f.result(r, id, p)
			res.Within = p.In
			return res, f.call("create", r)
		},
		Update: func(ctx context.Context, r *cfn.Request, _, p *thing) (*cfn.Result, error) {
			if err := f.put(ctx, p.In+r.PhysicalID, p.Value); err != nil {
				return nil, err
			}
			if f.onUpdate != nil {
				return f.result(r, r.PhysicalID, p), f.onUpdate(p.Value)
			}
			return f.result(r, r.PhysicalID, p), f.call("update", r)
		},
		Delete: func(ctx context.Context, r *cfn.Request, p *thing) error {
			err := f.space().Update(ctx, func(_ context.Context, tx kv.Tx) error { return tx.Delete(kv.Key{}.Str(p.In + r.PhysicalID)) })
			return errors.Join(err, f.call("delete", r))
		},
	})
}

func (f *fakes) lookup(name string) (cfn.ResourceType, bool) {
	t := f.thingType()
	if name == "AWS::IAM::Role" || name == "AWS::DynamoDB::Table" {
		t.Type = name
		t.Check = func(map[string]any) error { return nil }
		t.Create = func(_ context.Context, r *cfn.Request, _ map[string]any) (*cfn.Result, error) {
			return &cfn.Result{PhysicalID: r.GeneratedName}, nil
		}
		return t, true
	}
	return t, name == t.Type
}

// bench is a cloud with CloudFormation and the fakes.
type bench struct {
	*servicetest.Env
	fakes *fakes
	cfn   api.Client
	t     *testing.T
}

func newBench(t *testing.T) *bench {
	b := &bench{fakes: &fakes{}, t: t}
	b.Env = servicetest.New(t, func(deps service.Deps) service.Descriptor {
		b.fakes.store = deps.Store
		return New(deps, b.fakes.lookup).Descriptor()
	}, buckets{}.descriptor)
	b.cfn = api.NewClient(b.Dispatcher)
	return b
}

// patience bounds how long a test waits, in real time, for what should take milliseconds.
const patience = 20 * time.Second

// wait returns the stack once no operation is under way.
func (b *bench) wait(name string) api.Stack {
	b.t.Helper()
	watch := b.Deps.Store.Watch(nil)
	defer watch.Close()
	limit := clock.Real().NewTimer(patience)
	defer limit.Stop()
	for {
		st := b.describe(name)
		if !strings.HasSuffix(st.StackStatus, "_IN_PROGRESS") || st.StackStatus == "REVIEW_IN_PROGRESS" {
			return st
		}
		select {
		case <-watch.C():
		case <-limit.C():
			b.t.Fatalf("stack %s stays %s", name, st.StackStatus)
		}
	}
}

func (b *bench) describe(name string) api.Stack {
	b.t.Helper()
	out, err := b.cfn.DescribeStacks(b.Context(), &api.DescribeStacksInput{StackName: &name})
	if err != nil {
		b.t.Fatal(err)
	}
	return out.Stacks[0]
}

// create creates a stack and returns it when it has come to rest.
func (b *bench) create(in *api.CreateStackInput) api.Stack {
	b.t.Helper()
	out, err := b.cfn.CreateStack(b.Context(), in)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.wait(*out.StackId)
}

func (b *bench) update(in *api.UpdateStackInput) api.Stack {
	b.t.Helper()
	out, err := b.cfn.UpdateStack(b.Context(), in)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.wait(*out.StackId)
}

func (b *bench) delete(id string) api.Stack {
	b.t.Helper()
	if _, err := b.cfn.DeleteStack(b.Context(), &api.DeleteStackInput{StackName: id}); err != nil {
		b.t.Fatal(err)
	}
	return b.wait(id)
}

// events returns a stack's history, the oldest first, a line each.
func (b *bench) events(name string) string {
	b.t.Helper()
	out, err := b.cfn.DescribeStackEvents(b.Context(), &api.DescribeStackEventsInput{StackName: name})
	if err != nil {
		b.t.Fatal(err)
	}
	var lines string
	for i := len(out.StackEvents) - 1; i >= 0; i-- {
		e := out.StackEvents[i]
		line := *e.LogicalResourceId + " " + *e.ResourceStatus
		if *e.ResourceType != cfn.StackType && *e.PhysicalResourceId != "" {
			line += " " + *e.PhysicalResourceId
		}
		if e.ResourceStatusReason != nil {
			line += " (" + *e.ResourceStatusReason + ")"
		}
		lines += line + "\n"
	}
	return lines
}

// refused checks that err is the error given, as "Code: Message".
func refused(t *testing.T, err error, want string) {
	t.Helper()
	var e *cloud.Error
	if !errors.As(err, &e) {
		t.Fatalf("err = %v, want %q", err, want)
	}
	if e.Error() != want {
		t.Errorf("err = %q, want %q", e.Error(), want)
	}
}

func same(t *testing.T, got, want string) {
	t.Helper()
	if strings.TrimSpace(got) != strings.TrimSpace(want) {
		t.Errorf("got\n%s\nwant\n%s", got, strings.TrimSpace(want))
	}
}
