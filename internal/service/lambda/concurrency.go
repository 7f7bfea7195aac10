package lambda

import (
	"context"
	"errors"

	"croft/internal/awsapi/lambda"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

// Concurrency of an account in a region. Source: Lambda Developer Guide, "Understanding Lambda function scaling".
const (
	accountConcurrency = 1000
	// minUnreserved is what functions without a reservation must be left with.
	minUnreserved = 100
)

// quota is invalid for limits of the account, whose errors do not say that they are the caller's.
func quota(format string, args ...any) *cloud.Error {
	return lambda.NewInvalidParameterValueException(format, args...)
}

// usage is what an account has in a region.
type usage struct {
	functions, codeSize int64
	// reserved sums the reservations of functions, provisioned what is provisioned of functions without one.
	reserved, provisioned int32
}

func (u usage) unreserved() int32 { return accountConcurrency - u.reserved - u.provisioned }

// usage counts what the caller's account has, without what the function named except reserves and provisions.
func (s *Service) usage(ctx context.Context, except string) (u usage, err error) {
	err = s.space(ctx).View(ctx, func(ctx context.Context, r kv.Reader) error {
		u = usage{}
		hasReserved := map[string]bool{}
		for e, err := range r.Scan(kv.PrefixRange(functionsKey()), kv.ScanOptions{}) {
			if err != nil {
				return err
			}
			f, err := decodeFunction(e.Value)
			if err != nil {
				return err
			}
			u.functions++
			if err := u.addCode(r, f); err != nil {
				return err
			}
			if f.Reserved != nil {
				hasReserved[f.Name] = true
				if f.Name != except {
					u.reserved += *f.Reserved
				}
			}
		}
		if err := u.addLayers(r); err != nil {
			return err
		}
		return s.provisions(ctx, "", func(p *provisioned) error {
			if !hasReserved[p.Function] && p.Function != except {
				u.provisioned += p.Requested
			}
			return nil
		})
	})
	return u, err
}

// addCode adds the sizes of a function's packages, each version's by itself.
func (u *usage) addCode(r kv.Reader, f *function) error {
	u.codeSize += f.CodeSize
	for e, err := range r.Scan(kv.PrefixRange(versionsKey(f.Name)), kv.ScanOptions{}) {
		if err != nil {
			return err
		}
		v, err := decodeFunction(e.Value)
		if err != nil {
			return err
		}
		u.codeSize += v.CodeSize
	}
	return nil
}

// addLayers adds the sizes of the layer versions that are published.
func (u *usage) addLayers(r kv.Reader) error {
	for e, err := range r.Scan(kv.PrefixRange(allLayerVersionsKey()), kv.ScanOptions{}) {
		if err != nil {
			return err
		}
		l, err := decodeLayerVersion(e.Value)
		if err != nil {
			return err
		}
		u.codeSize += l.CodeSize
	}
	return nil
}

// whole finds a function for a change of what belongs to it as a whole. The error for one that is not there names $LATEST.
func (s *Service) whole(ctx context.Context, r kv.Reader, name string) (*function, error) {
	ref, err := s.unqualified(ctx, name)
	if err != nil {
		return nil, err
	}
	f, err := loadFunction(r, ref.name)
	if err == nil && f == nil {
		err = notFound("Function not found: %s:%s", ref.arn(), latest)
	}
	return f, err
}

// PutFunctionConcurrency implements the operation.
func (s *Service) PutFunctionConcurrency(ctx context.Context, in *lambda.PutFunctionConcurrencyInput) (*lambda.PutFunctionConcurrencyOutput, error) {
	wanted := in.ReservedConcurrentExecutions
	err := s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		f, err := s.whole(ctx, tx, in.FunctionName)
		if err != nil {
			return err
		}
		u, err := s.usage(ctx, f.Name)
		if err != nil {
			return err
		}
		if int64(u.unreserved())-int64(wanted) < minUnreserved {
			return quota("Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution "+
				"below its minimum value of [%d].", minUnreserved)
		}
		own, err := s.provisionedOf(ctx, f.Name, "")
		if err != nil {
			return err
		}
		if own > wanted {
			return quota(" ReservedConcurrentExecutions  %d should not be lower than function's total provisioned concurrency [%d].", wanted, own)
		}
		f.Reserved = &wanted
		return s.storeWhole(ctx, tx, f)
	})
	if err != nil {
		return nil, err
	}
	return &lambda.PutFunctionConcurrencyOutput{ReservedConcurrentExecutions: &wanted}, nil
}

// storeWhole stores a change of what belongs to a function as a whole, and no process can see.
func (s *Service) storeWhole(ctx context.Context, tx kv.Tx, f *function) error {
	f.changed(cloud.CallOf(ctx).Now, false)
	return errors.Join(storeFunction(tx, f), s.touchProvisions(ctx, f.Name))
}

// GetFunctionConcurrency implements the operation.
func (s *Service) GetFunctionConcurrency(ctx context.Context, in *lambda.GetFunctionConcurrencyInput) (*lambda.GetFunctionConcurrencyOutput, error) {
	ref, err := s.unqualified(ctx, in.FunctionName)
	if err != nil {
		return nil, err
	}
	t, err := s.target(ctx, ref.arn(), nil)
	if err != nil {
		return nil, err
	}
	return &lambda.GetFunctionConcurrencyOutput{ReservedConcurrentExecutions: t.latest.Reserved}, nil
}

// DeleteFunctionConcurrency implements the operation.
func (s *Service) DeleteFunctionConcurrency(ctx context.Context, in *lambda.DeleteFunctionConcurrencyInput) (*lambda.DeleteFunctionConcurrencyOutput, error) {
	err := s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		f, err := s.whole(ctx, tx, in.FunctionName)
		if err != nil || f.Reserved == nil {
			return err
		}
		f.Reserved = nil
		return s.storeWhole(ctx, tx, f)
	})
	if err != nil {
		return nil, err
	}
	return &lambda.DeleteFunctionConcurrencyOutput{}, nil
}

// Sizes that an account is allowed. Source: Lambda quotas.
const (
	totalCodeSize = 75 << 30
	maxUnzipped   = 250 << 20
)

// GetAccountSettings implements the operation.
func (s *Service) GetAccountSettings(ctx context.Context, _ *lambda.GetAccountSettingsInput) (*lambda.GetAccountSettingsOutput, error) {
	u, err := s.usage(ctx, "")
	if err != nil {
		return nil, err
	}
	return &lambda.GetAccountSettingsOutput{
		AccountLimit: &lambda.AccountLimit{
			TotalCodeSize: wire.Ptr[int64](totalCodeSize), CodeSizeUnzipped: wire.Ptr[int64](maxUnzipped), CodeSizeZipped: wire.Ptr[int64](maxZipped),
			ConcurrentExecutions: wire.Ptr[int32](accountConcurrency), UnreservedConcurrentExecutions: wire.Ptr(u.unreserved()),
		},
		AccountUsage: &lambda.AccountUsage{TotalCodeSize: &u.codeSize, FunctionCount: &u.functions},
	}, nil
}
