package cloudformation

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	api "croft/internal/awsapi/cloudformation"
	"croft/internal/cfn"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

// drawTemplate draws a template of up to five things that refer to those before them.
func drawTemplate(t *rapid.T) string {
	var b strings.Builder
	b.WriteString("Resources:\n  Root: {Type: Test::Thing, Properties: {Name: root}}\n")
	before := []string{"Root"}
	for _, id := range rapid.SampledFrom([][]string{{"A", "B", "C", "D"}, {"D", "B", "A"}, {"C", "E", "A"}, {"B"}, {"E", "D", "C", "B", "A"}}).Draw(t, "ids") {
		name := strings.ToLower(id) + rapid.SampledFrom([]string{"1", "2"}).Draw(t, "name of "+id)
		value := rapid.SampledFrom([]string{"x", "y", "!Ref ", "!GetAtt "}).Draw(t, "value of "+id)
		if strings.HasPrefix(value, "!") {
			value += rapid.SampledFrom(before).Draw(t, "what "+id+" refers to")
		}
		if strings.HasPrefix(value, "!GetAtt") {
			value += ".Value"
		}
		fmt.Fprintf(&b, "  %s: {Type: Test::Thing, Properties: {Name: %s, Value: %s}}\n", id, name, value)
		before = append(before, id)
	}
	return b.String()
}

// Whatever fails and wherever the process dies: what there is is what the stack knows of, and an update that went back left things
// as they were.
func TestRandomUpdates(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := newStill(t)
		defer b.store.Close()
		template := drawTemplate(rt)
		if _, err := b.s.CreateStack(b.ctx(), &api.CreateStackInput{StackName: "s", TemplateBody: &template}); err != nil {
			rt.Fatal(err)
		}
		b.steps(rt, nil)
		stable := b.fakes.things(t)
		for range rapid.IntRange(1, 4).Draw(rt, "updates") {
			next := drawTemplate(rt)
			fails := rapid.SliceOfN(rapid.SampledFrom([]string{"create A", "create C", "update A", "update B", "update D", "create E"}), 0, 2).Draw(rt, "failures")
			_, err := b.s.UpdateStack(b.ctx(), &api.UpdateStackInput{
				StackName: "s", TemplateBody: &next, DisableRollback: wire.Ptr(rapid.IntRange(0, 4).Draw(rt, "leave") == 0),
			})
			if cloud.Code(err) == "ValidationError" && strings.Contains(err.Error(), "No updates") {
				continue
			}
			if err != nil {
				rt.Fatal(err)
			}
			status := b.steps(rt, fails)
			if status == cfn.UpdateRollbackFailed {
				break
			}
			if status == cfn.UpdateFailed {
				continue // the state to go back to stays the one before
			}
			if left := b.fakes.things(t); status == cfn.UpdateRollbackComplete && left != stable {
				rt.Fatalf("went back to\n%s\nand was\n%s", left, stable)
			}
			stable = b.fakes.things(t)
		}
		if _, err := b.s.DeleteStack(b.ctx(), &api.DeleteStackInput{StackName: "s"}); err != nil {
			rt.Fatal(err)
		}
		b.steps(rt, nil)
		if left := b.fakes.things(t); left != "" {
			rt.Fatalf("the deleted stack left %s", left)
		}
	})
}

// steps finishes what is under way and checks that the stack knows of everything there is.
func (m *machine) steps(rt *rapid.T, fails []string) cfn.Status {
	for _, f := range fails {
		m.fakes.order(f, cloud.Errorf("Broken", "on demand"))
	}
	defer func() {
		for _, f := range fails {
			m.fakes.order(f, nil)
		}
	}()
	for range 200 {
		jobs, err := m.s.jobs(m.t.Context())
		if err != nil {
			rt.Fatal(err)
		}
		if len(jobs) == 0 {
			return m.agree(rt)
		}
		if _, err := m.s.step(m.t.Context(), jobs[0], &targets{s: m.s}); err != nil {
			rt.Fatal(err)
		}
	}
	rt.Fatal("the operation does not end")
	return ""
}

// agree checks that the stack's records stand for exactly the things that there are.
func (m *machine) agree(rt *rapid.T) (status cfn.Status) {
	var known []string
	err := m.s.space(m.ctx()).View(m.ctx(), func(_ context.Context, r kv.Reader) error {
		for e, err := range r.Scan(kv.PrefixRange(createdPrefix()), kv.ScanOptions{}) {
			if err != nil {
				return err
			}
			k := kv.ReadKey(e.Key, createdPrefix())
			k.Time()
			st, err := load(r, k.Str())
			if err != nil {
				return err
			}
			status = st.Status
			all, err := records(r, uid(st.ID))
			if err != nil {
				return err
			}
			for _, rec := range all {
				for _, p := range physicals(rec) {
					known = append(known, p.ID)
				}
			}
		}
		return nil
	})
	if err != nil {
		rt.Fatal(err)
	}
	slices.Sort(known)
	var there []string
	for _, thing := range strings.Fields(m.fakes.things(m.t)) {
		name, _, _ := strings.Cut(thing, "=")
		there = append(there, name)
	}
	if !slices.Equal(there, known) {
		rt.Fatalf("%s: there is %v, the stack knows of %v", status, there, known)
	}
	return status
}
