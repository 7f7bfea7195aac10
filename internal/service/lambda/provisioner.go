package lambda

import (
	"context"
	"maps"
	"math"
	"slices"

	"croft/internal/clock"
	"croft/internal/cloud"
	"croft/internal/engine"
	"croft/internal/kv"
)

// shares divides what is provisioned of a version or alias over the versions that get its traffic, by their weights.
func (t *resolved) shares(requested int32) map[string]int {
	rest := int(requested)
	out := map[string]int{}
	if t.alias != nil {
		for _, version := range slices.Sorted(maps.Keys(t.alias.Weights)) {
			n := min(rest, int(math.Round(t.alias.Weights[version]*float64(requested))))
			out[version] += n
			rest -= n
		}
	}
	out[t.fn.version()] += rest
	return out
}

// provision is what the engine is to hold ready of one version.
type provision struct {
	fn engine.Function
	n  int
}

// provisioner makes the engine follow the provisioned concurrency of all accounts. Every process does it for itself: a call is answered
// by the process that it reaches, with the environments that this one has.
func (s *Service) provisioner(ctx context.Context) {
	watch := s.shared().Watch(allProvisionsKey())
	defer watch.Close()
	held := map[string]provision{}
	for failures := 0; ; {
		wanted, err := s.wanted(ctx)
		if err == nil {
			failures = 0
			s.follow(held, wanted)
			held = wanted
		} else if ctx.Err() == nil {
			if failures++; failures == 1 {
				s.deps.Log.Error("provisioned concurrency cannot be read; trying again", "every", retryRead, "err", err)
			}
			if clock.Sleep(ctx, s.deps.Clock, retryRead) == nil {
				continue
			}
		}
		select {
		case <-watch.C():
		case <-ctx.Done():
			return
		}
	}
}

// follow tells the engine what has changed.
func (s *Service) follow(held, wanted map[string]provision) {
	for _, key := range slices.Sorted(maps.Keys(held)) {
		if _, still := wanted[key]; !still {
			s.engine.Provision(held[key].fn, 0)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(wanted)) {
		s.engine.Provision(wanted[key].fn, wanted[key].n)
	}
}

// wanted returns what is to be held ready, by the ARNs of versions.
func (s *Service) wanted(ctx context.Context) (out map[string]provision, err error) {
	err = s.shared().View(ctx, func(ctx context.Context, r kv.Reader) error {
		out = map[string]provision{}
		for e, err := range r.Scan(kv.PrefixRange(allProvisionsKey()), kv.ScanOptions{}) {
			if err != nil {
				return err
			}
			account, region, err := readProvisionKey(e.Key)
			if err != nil {
				return err
			}
			p, err := decodeProvisioned(e.Value)
			if err != nil {
				return err
			}
			of := cloud.WithCall(ctx, cloud.InternalCall(account, region, s.deps.Clock.Now()))
			if err := s.addWanted(of, p, out); err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

// addWanted adds what one row asks for. A row whose version or alias is gone asks for nothing.
func (s *Service) addWanted(ctx context.Context, p *provisioned, out map[string]provision) error {
	ref := named(ctx, p.Function)
	ref.qualifier = p.Qualifier
	return s.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) error {
		t, err := resolve(r, ref)
		if cloud.Code(err) == "ResourceNotFoundException" {
			return nil
		}
		if err != nil {
			return err
		}
		for version, n := range t.shares(p.Requested) {
			of := *t
			if of.fn, err = t.at(r, version); err != nil || of.fn == nil || n == 0 {
				return err
			}
			key := of.fn.arn(ref)
			out[key] = provision{of.toEngine(), out[key].n + n}
		}
		return nil
	})
}
