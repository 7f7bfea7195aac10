package cfn

import (
	"slices"

	"croft/internal/cfn/template"
)

// outputs finds out whether the outputs change.
func (pl *planning) outputs() error {
	r := &foreseen{pl: pl}
	values, err := pl.Target.Bound.EvalOutputs(r)
	if err != nil {
		if isTransient(err) || !r.unknown {
			return err
		}
		pl.plan.Outputs = true
		return nil
	}
	after := make([]Output, len(values))
	for i, v := range values {
		after[i] = Output{Name: v.Name, Value: v.Value, Description: v.Description, Export: v.ExportName}
	}
	pl.plan.Outputs = !slices.Equal(after, pl.Stack.Current.Outputs)
	return nil
}

// foreseen resolves references as far as the plan knows.
type foreseen struct {
	pl      *planning
	unknown bool
}

func (f *foreseen) now(id string, mayStay bool) *Physical {
	r := f.pl.Records[id]
	if r == nil || r.Now == nil || !mayStay {
		f.unknown = true
		return nil
	}
	return r.Now
}

// Ref returns the physical id of a resource that stays or changes in place.
func (f *foreseen) Ref(id string) (*template.Value, error) {
	if p := f.now(id, f.pl.state[id] != isNew); p != nil {
		return template.NewString(p.ID), nil
	}
	return template.NewString(KnownAfterApply), nil
}

// GetAtt returns the attribute of a resource that stays or changes in place.
func (f *foreseen) GetAtt(id, attribute string) (*template.Value, error) {
	if p := f.now(id, f.pl.state[id] != isNew); p != nil {
		return attributeOf(id, p, attribute)
	}
	return template.NewString(KnownAfterApply), nil
}

// Import returns what another stack exports; what nobody exports yet, somebody may by then.
func (f *foreseen) Import(name string) (*template.Value, error) {
	value, ok, err := f.pl.Exports.Import(name)
	if err != nil {
		return nil, journalError(err)
	}
	if ok {
		return template.NewString(value), nil
	}
	f.unknown = true
	if m := "No export named " + name + " found."; !slices.Contains(f.pl.missing, m) {
		f.pl.missing = append(f.pl.missing, m)
	}
	return template.NewString(KnownAfterApply), nil
}
