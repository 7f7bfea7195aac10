package lambda

import (
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"strconv"

	"croft/internal/clock"
	"croft/internal/engine"
	"croft/internal/kv"
)

// resolved is what a reference leads to.
type resolved struct {
	ref reference
	// fn is the version that is meant: $LATEST, a published one, or the one an alias points to.
	fn *function
	// latest is the function's $LATEST, which knows what belongs to the function as a whole. It is fn when that is meant.
	latest *function
	// alias is the alias that the reference names; nil when it names none.
	alias *alias
	// decode reads stored functions.
	decode func([]byte) (*function, error)
}

// toEngine returns what the engine must know to run the version.
func (t *resolved) toEngine() engine.Function {
	fn := t.fn.toEngine(t.ref)
	if t.latest.Reserved != nil {
		reserved := int(*t.latest.Reserved)
		fn.Reserved = &reserved
	}
	return fn
}

// resolve finds what a reference leads to: the function's $LATEST without a qualifier, for an alias the version that it points to.
// Nothing is ResourceNotFoundException. It does not look at whether the caller may see it.
func resolve(r kv.Reader, ref reference) (*resolved, error) {
	return resolveWith(r, ref, decodeFunction)
}

func resolveWith(r kv.Reader, ref reference, decode func([]byte) (*function, error)) (*resolved, error) {
	t := &resolved{ref: ref, decode: decode}
	var err error
	if t.latest, err = loadAt(r, functionKey(ref.name), decode); err != nil {
		return nil, err
	}
	if t.latest == nil {
		return nil, notFound("Function not found: %s", ref.qualified())
	}
	number := ref.qualifier
	if isAlias(number) {
		if t.alias, err = loadAlias(r, ref.name, number); err != nil {
			return nil, err
		}
		if t.alias != nil {
			number = t.alias.Version
		}
	}
	if t.fn, err = t.at(r, number); err != nil {
		return nil, err
	}
	if t.fn == nil {
		return nil, notFound("Function not found: %s", ref.qualified())
	}
	return t, nil
}

// at returns the version of the function that has a name, or nil.
func (t *resolved) at(r kv.Reader, version string) (*function, error) {
	if version == "" || version == latest {
		return t.latest, nil
	}
	number, err := strconv.ParseInt(version, 10, 64)
	if err != nil || number <= 0 || strconv.FormatInt(number, 10) != version {
		return nil, nil
	}
	return loadAt(r, versionKey(t.latest.Name, number), t.decode)
}

// route is resolve for an invocation: an alias that divides its traffic leads to one of its versions at random. What it finds is not to be changed.
func (s *Service) route(r kv.Reader, ref reference) (*resolved, error) {
	t, err := resolveWith(r, ref, s.known.decode)
	if err != nil || t.alias == nil {
		return t, err
	}
	version := t.alias.pick(clock.Pick)
	if version == t.alias.Version {
		return t, nil
	}
	fn, err := t.at(r, version)
	if err != nil {
		return nil, err
	}
	if fn != nil {
		t.fn = fn
	}
	return t, nil
}

// weightUnit divides the weights of aliases: finer ones than a millionth are not told apart.
const weightUnit = 1_000_000

// pick returns one of the alias's versions by their weights. random returns a number in [0, n).
func (a *alias) pick(random func(n int) int) string {
	if len(a.Weights) == 0 {
		return a.Version
	}
	drawn := random(weightUnit)
	for _, version := range slices.Sorted(maps.Keys(a.Weights)) {
		if drawn -= int(math.Round(a.Weights[version] * weightUnit)); drawn < 0 {
			return version
		}
	}
	return a.Version
}

// target resolves the reference that a request gives, for whoever describes or changes what it leads to.
func (s *Service) target(ctx context.Context, name string, qualifier *string) (t *resolved, err error) {
	ref, err := s.find(ctx, name, qualifier)
	if err != nil {
		return nil, err
	}
	err = s.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) error {
		t, err = resolve(r, ref)
		return err
	})
	return t, err
}

// forget deletes what belongs to a version or an alias besides itself, in the transaction that ctx carries.
func (s *Service) forget(ctx context.Context, tx kv.Tx, function, qualifier string) error {
	return errors.Join(tx.Delete(policyKey(function, qualifier)), tx.Delete(eventConfigKey(function, qualifier)), s.unprovision(ctx, function, qualifier))
}

// forgetAll is forget for everything of a function that is deleted.
func (s *Service) forgetAll(ctx context.Context, tx kv.Tx, function string) error {
	return errors.Join(tx.DeleteRange(kv.PrefixRange(policiesKey(function))), tx.DeleteRange(kv.PrefixRange(eventConfigsKey(function))),
		s.unprovision(ctx, function, ""))
}
