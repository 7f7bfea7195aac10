package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"croft/internal/awsapi/lambda"
	"croft/internal/cloud"
	"croft/internal/engine"
	"croft/internal/kv"
	"croft/internal/wire"
)

// provisioned is the stored form of the provisioned concurrency of a version or an alias.
type provisioned struct {
	Function string `json:"function"`
	// Qualifier names the version or alias.
	Qualifier string    `json:"qualifier"`
	Requested int32     `json:"requested"`
	Modified  time.Time `json:"modified"`
}

func decodeProvisioned(value []byte) (*provisioned, error) {
	p := new(provisioned)
	if err := json.Unmarshal(value, p); err != nil {
		return nil, fmt.Errorf("lambda: damaged provisioned concurrency: %w", err)
	}
	return p, nil
}

// provisions gives every provisioned concurrency of the caller's account to take; that of one function alone if it is named.
func (s *Service) provisions(ctx context.Context, function string, take func(*provisioned) error) error {
	return s.shared().View(ctx, func(ctx context.Context, r kv.Reader) error {
		call := cloud.CallOf(ctx)
		within := provisionsKey(call.Account, call.Region)
		if function != "" {
			within = within.Str(function)
		}
		for e, err := range r.Scan(kv.PrefixRange(within), kv.ScanOptions{}) {
			if err != nil {
				return err
			}
			p, err := decodeProvisioned(e.Value)
			if err == nil {
				err = take(p)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// provisionedOf returns what is provisioned of a function, but for what the qualifier except has.
func (s *Service) provisionedOf(ctx context.Context, function, except string) (sum int32, err error) {
	err = s.provisions(ctx, function, func(p *provisioned) error {
		if p.Qualifier != except {
			sum += p.Requested
		}
		return nil
	})
	return sum, err
}

func loadProvisioned(ctx context.Context, r kv.Reader, function, qualifier string) (*provisioned, error) {
	call := cloud.CallOf(ctx)
	v, err := r.Get(provisionKey(call.Account, call.Region, function, qualifier))
	if errors.Is(err, kv.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return decodeProvisioned(v)
}

func storeProvisioned(ctx context.Context, w kv.Writer, p *provisioned) error {
	v, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("lambda: %w", err)
	}
	call := cloud.CallOf(ctx)
	return w.Put(provisionKey(call.Account, call.Region, p.Function, p.Qualifier), v)
}

// touchProvisions lets the provisioners look at a function again, in the transaction that ctx carries.
func (s *Service) touchProvisions(ctx context.Context, function string) error {
	var rows []*provisioned
	if err := s.provisions(ctx, function, func(p *provisioned) error { rows = append(rows, p); return nil }); err != nil || len(rows) == 0 {
		return err
	}
	return s.shared().Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		for _, p := range rows {
			if err := storeProvisioned(ctx, tx, p); err != nil {
				return err
			}
		}
		return nil
	})
}

// provisionable resolves the version or alias that a request about provisioned concurrency names.
func (s *Service) provisionable(ctx context.Context, r kv.Reader, name, qualifier, unpublished string) (*resolved, error) {
	ref, err := s.find(ctx, name, &qualifier)
	if err != nil {
		return nil, err
	}
	if ref.qualifier == latest {
		return nil, invalid("%s", unpublished)
	}
	t, err := resolve(r, ref)
	if cloud.Code(err) == "ResourceNotFoundException" && isAlias(ref.qualifier) {
		err = notFound("Cannot find alias arn: %s", ref.qualified())
	}
	return t, err
}

const (
	errUnpublished = "Provisioned Concurrency Configs cannot be applied to unpublished function versions."
	errNotVersion  = "The function resource provided must be an alias or a published version."
)

// PutProvisionedConcurrencyConfig implements the operation. The environments are made after it has answered.
func (s *Service) PutProvisionedConcurrencyConfig(ctx context.Context, in *lambda.PutProvisionedConcurrencyConfigInput) (*lambda.PutProvisionedConcurrencyConfigOutput, error) {
	p := &provisioned{Qualifier: in.Qualifier, Requested: in.ProvisionedConcurrentExecutions, Modified: cloud.CallOf(ctx).Now}
	err := s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		t, err := s.provisionable(ctx, tx, in.FunctionName, in.Qualifier, errUnpublished)
		if err != nil {
			return err
		}
		p.Function = t.ref.name
		if err := errors.Join(s.overlap(ctx, tx, t)); err != nil {
			return err
		}
		if err := s.checkProvisioned(ctx, t, p); err != nil {
			return err
		}
		return s.shared().Update(ctx, func(ctx context.Context, tx kv.Tx) error { return storeProvisioned(ctx, tx, p) })
	})
	if err != nil {
		return nil, err
	}
	c := p.answer(engine.Provision{})
	return &lambda.PutProvisionedConcurrencyConfigOutput{
		RequestedProvisionedConcurrentExecutions: c.RequestedProvisionedConcurrentExecutions,
		AvailableProvisionedConcurrentExecutions: c.AvailableProvisionedConcurrentExecutions,
		AllocatedProvisionedConcurrentExecutions: c.AllocatedProvisionedConcurrentExecutions,
		Status:                                   c.Status, LastModified: c.LastModified,
	}, nil
}

// overlap refuses what would be provisioned twice: a version by itself and through an alias.
func (s *Service) overlap(ctx context.Context, r kv.Reader, t *resolved) error {
	return s.provisions(ctx, t.ref.name, func(p *provisioned) error {
		switch {
		case p.Qualifier == t.ref.qualifier:
			return nil
		case t.alias != nil && t.alias.uses(p.Qualifier):
			return conflict("Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version")
		case t.alias != nil || !isAlias(p.Qualifier):
			return nil
		}
		a, err := loadAlias(r, t.ref.name, p.Qualifier)
		if err == nil && a != nil && a.uses(t.ref.qualifier) {
			return conflict("Version is pointed by a Provisioned Concurrency alias")
		}
		return err
	})
}

// checkProvisioned checks that there is room for what is asked for: in the function's reservation if it has one, and in the account otherwise.
func (s *Service) checkProvisioned(ctx context.Context, t *resolved, p *provisioned) error {
	others, err := s.provisionedOf(ctx, t.ref.name, p.Qualifier)
	if err != nil {
		return err
	}
	if t.fn.SnapStart {
		return invalid("Provisioned Concurrency is not supported for SnapStart enabled functions.")
	}
	total := int64(others) + int64(p.Requested)
	if t.latest.Reserved != nil {
		if total > int64(*t.latest.Reserved) {
			return invalid("Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function")
		}
		return nil
	}
	u, err := s.usage(ctx, t.ref.name)
	if err != nil {
		return err
	}
	switch free := int64(u.unreserved()); {
	case total > free:
		return quota("Specified ConcurrentExecutions for function is greater than account's unreserved concurrency [%d].", free-int64(others))
	case free-total < minUnreserved:
		return quota("Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [%d].", minUnreserved)
	}
	return nil
}

// answer returns the configuration as answers show it; have is how far the engine has come with it.
func (p *provisioned) answer(have engine.Provision) *lambda.GetProvisionedConcurrencyConfigOutput {
	c := &lambda.GetProvisionedConcurrencyConfigOutput{
		RequestedProvisionedConcurrentExecutions: &p.Requested,
		AvailableProvisionedConcurrentExecutions: wire.Ptr(min(p.Requested, int32(have.Available))),
		AllocatedProvisionedConcurrentExecutions: wire.Ptr(min(p.Requested, int32(have.Allocated))),
		Status:                                   wire.Ptr(lambda.ProvisionedConcurrencyStatusEnumINPROGRESS),
		LastModified:                             wire.Ptr(p.Modified.UTC().Format("2006-01-02T15:04:05-0700")),
	}
	switch {
	case have.Failure != "":
		c.Status, c.StatusReason = wire.Ptr(lambda.ProvisionedConcurrencyStatusEnumFAILED), &have.Failure
	case have.Available >= int(p.Requested):
		c.Status = wire.Ptr(lambda.ProvisionedConcurrencyStatusEnumREADY)
	}
	return c
}

// standing returns how far the engine has come with what is provisioned of a version, or of all versions of an alias.
func (s *Service) standing(t *resolved, p *provisioned) (have engine.Provision) {
	for version := range t.shares(p.Requested) {
		of := s.engine.Provisioned(t.ref.arn(), version)
		have.Requested += of.Requested
		have.Allocated += of.Allocated
		have.Available += of.Available
		if of.Failure != "" {
			have.Failure = of.Failure
		}
	}
	return have
}

// GetProvisionedConcurrencyConfig implements the operation.
func (s *Service) GetProvisionedConcurrencyConfig(ctx context.Context, in *lambda.GetProvisionedConcurrencyConfigInput) (*lambda.GetProvisionedConcurrencyConfigOutput, error) {
	var t *resolved
	var p *provisioned
	err := s.space(ctx).View(ctx, func(ctx context.Context, r kv.Reader) (err error) {
		if t, err = s.provisionable(ctx, r, in.FunctionName, in.Qualifier, errNotVersion); err != nil {
			return err
		}
		return s.shared().View(ctx, func(ctx context.Context, r kv.Reader) error {
			if p, err = loadProvisioned(ctx, r, t.ref.name, t.ref.qualifier); err == nil && p == nil {
				err = user(lambda.NewProvisionedConcurrencyConfigNotFoundException("No Provisioned Concurrency Config found for this function"))
			}
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return p.answer(s.standing(t, p)), nil
}

// DeleteProvisionedConcurrencyConfig implements the operation. One that is not there is deleted.
func (s *Service) DeleteProvisionedConcurrencyConfig(ctx context.Context, in *lambda.DeleteProvisionedConcurrencyConfigInput) (*lambda.DeleteProvisionedConcurrencyConfigOutput, error) {
	err := s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		t, err := s.provisionable(ctx, tx, in.FunctionName, in.Qualifier, errNotVersion)
		if err != nil {
			return err
		}
		return s.unprovision(ctx, t.ref.name, t.ref.qualifier)
	})
	if err != nil {
		return nil, err
	}
	return &lambda.DeleteProvisionedConcurrencyConfigOutput{}, nil
}

// unprovision deletes what is provisioned of a qualifier, or of all of a function's without one, in the transaction that ctx carries.
func (s *Service) unprovision(ctx context.Context, function, qualifier string) error {
	return s.shared().Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		call := cloud.CallOf(ctx)
		if qualifier != "" {
			return tx.Delete(provisionKey(call.Account, call.Region, function, qualifier))
		}
		return tx.DeleteRange(kv.PrefixRange(provisionsKey(call.Account, call.Region).Str(function)))
	})
}

// ListProvisionedConcurrencyConfigs implements the operation.
func (s *Service) ListProvisionedConcurrencyConfigs(ctx context.Context, in *lambda.ListProvisionedConcurrencyConfigsInput) (*lambda.ListProvisionedConcurrencyConfigsOutput, error) {
	ref, err := s.unqualified(ctx, in.FunctionName)
	if err != nil {
		return nil, err
	}
	after, err := readMarker(in.Marker)
	if err != nil {
		return nil, err
	}
	limit := maxListed
	if in.MaxItems != nil {
		limit = min(limit, int(*in.MaxItems))
	}
	out := &lambda.ListProvisionedConcurrencyConfigsOutput{}
	err = s.space(ctx).View(ctx, func(ctx context.Context, r kv.Reader) error {
		out.ProvisionedConcurrencyConfigs, out.NextMarker = []lambda.ProvisionedConcurrencyConfigListItem{}, nil
		if _, err := resolve(r, ref); err != nil {
			return err
		}
		return s.shared().View(ctx, func(ctx context.Context, shared kv.Reader) error {
			call := cloud.CallOf(ctx)
			return page(shared, provisionsKey(call.Account, call.Region).Str(ref.name), after, limit, func(qualifier string, value []byte) (bool, error) {
				item, err := s.provisionedItem(r, ref, qualifier, value)
				if item != nil {
					out.ProvisionedConcurrencyConfigs = append(out.ProvisionedConcurrencyConfigs, *item)
				}
				return item != nil, err
			}, &out.NextMarker)
		})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (s *Service) provisionedItem(r kv.Reader, ref reference, qualifier string, value []byte) (*lambda.ProvisionedConcurrencyConfigListItem, error) {
	p, err := decodeProvisioned(value)
	if err != nil {
		return nil, err
	}
	ref.qualifier = qualifier
	t, err := resolve(r, ref)
	if err != nil {
		return nil, err
	}
	c := p.answer(s.standing(t, p))
	return &lambda.ProvisionedConcurrencyConfigListItem{
		FunctionArn:                              wire.Ptr(ref.qualified()),
		RequestedProvisionedConcurrentExecutions: c.RequestedProvisionedConcurrentExecutions,
		AvailableProvisionedConcurrentExecutions: c.AvailableProvisionedConcurrentExecutions,
		AllocatedProvisionedConcurrentExecutions: c.AllocatedProvisionedConcurrentExecutions,
		Status:                                   c.Status, StatusReason: c.StatusReason, LastModified: c.LastModified,
	}, nil
}
