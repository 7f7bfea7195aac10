package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"croft/internal/awsapi/lambda"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

// alias is the stored form of an alias.
type alias struct {
	Name        string `json:"name"`
	Version     string `json:"version"`
	Description string `json:"description,omitempty"`
	// Weights are the parts of the traffic that go to other versions than Version, between 0 and 1.
	Weights  map[string]float64 `json:"weights,omitempty"`
	Revision string             `json:"revision"`
}

func loadAlias(r kv.Reader, function, name string) (*alias, error) {
	v, err := r.Get(aliasKey(function, name))
	if errors.Is(err, kv.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return decodeAlias(v)
}

func decodeAlias(value []byte) (*alias, error) {
	a := new(alias)
	if err := json.Unmarshal(value, a); err != nil {
		return nil, fmt.Errorf("lambda: damaged alias: %w", err)
	}
	return a, nil
}

// storeAlias stores an alias under a new revision.
func storeAlias(w kv.Writer, function string, a *alias) error {
	a.Revision = cloud.NewRequestID()
	v, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("lambda: %w", err)
	}
	return w.Put(aliasKey(function, a.Name), v)
}

// uses reports whether traffic of the alias goes to a version.
func (a *alias) uses(version string) bool {
	_, weighted := a.Weights[version]
	return weighted || a.Version == version
}

func (a *alias) configuration(ref reference) *lambda.AliasConfiguration {
	ref.qualifier = a.Name
	c := &lambda.AliasConfiguration{
		AliasArn: wire.Ptr(ref.qualified()), Name: &a.Name, FunctionVersion: &a.Version, Description: &a.Description, RevisionId: &a.Revision,
	}
	if len(a.Weights) > 0 {
		c.RoutingConfig = &lambda.AliasRoutingConfiguration{AdditionalVersionWeights: a.Weights}
	}
	return c
}

// unqualified resolves the name of a function in a request of which a qualifier is no part.
func (s *Service) unqualified(ctx context.Context, name string) (reference, error) {
	ref, err := s.find(ctx, name, nil)
	if err == nil && ref.qualifier != "" {
		err = invalid("This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. " +
			"Please specify either a function name or an unqualified function ARN.")
	}
	return ref, err
}

// checkAlias checks that the versions of an alias are there, and that its traffic can be divided as it says.
func checkAlias(r kv.Reader, ref reference, a *alias) error {
	exists := func(version string) error {
		ref.qualifier = version
		_, err := resolve(r, ref)
		return err
	}
	if err := exists(a.Version); err != nil {
		return err
	}
	if len(a.Weights) > 1 {
		return invalid("Number of items in AdditionalVersionWeights cannot be greater than 1")
	}
	for version := range a.Weights {
		switch {
		case version == a.Version:
			return invalid("Invalid function version %s. Function version %s is already included in routing configuration.", version, version)
		case a.Version == latest:
			return invalid("$LATEST is not supported for an alias pointing to more than 1 version")
		}
		if err := exists(version); err != nil {
			return err
		}
	}
	return nil
}

// CreateAlias implements the operation.
func (s *Service) CreateAlias(ctx context.Context, in *lambda.CreateAliasInput) (*lambda.CreateAliasOutput, error) {
	ref, err := s.unqualified(ctx, in.FunctionName)
	if err != nil {
		return nil, err
	}
	a := &alias{Name: in.Name, Version: in.FunctionVersion, Description: wire.Value(in.Description)}
	if in.RoutingConfig != nil {
		a.Weights = in.RoutingConfig.AdditionalVersionWeights
	}
	err = s.space(ctx).Update(ctx, func(_ context.Context, tx kv.Tx) error {
		if err := checkAlias(tx, ref, a); err != nil {
			return err
		}
		old, err := loadAlias(tx, ref.name, a.Name)
		if err != nil {
			return err
		}
		if old != nil {
			return conflict("Alias already exists: %s", *old.configuration(ref).AliasArn)
		}
		return storeAlias(tx, ref.name, a)
	})
	if err != nil {
		return nil, err
	}
	return a.configuration(ref), nil
}

// GetAlias implements the operation.
func (s *Service) GetAlias(ctx context.Context, in *lambda.GetAliasInput) (*lambda.GetAliasOutput, error) {
	ref, err := s.unqualified(ctx, in.FunctionName)
	if err != nil {
		return nil, err
	}
	var a *alias
	err = s.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) error {
		if a, err = loadAlias(r, ref.name, in.Name); err == nil && a == nil {
			err = errNoAlias(ref, in.Name)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return a.configuration(ref), nil
}

func errNoAlias(ref reference, name string) error {
	ref.qualifier = name
	return notFound("Cannot find alias arn: %s", ref.qualified())
}

// maxAliases is the most aliases on a page. Source: API Reference, ListAliases.
const maxAliases = 50

// ListAliases implements the operation.
func (s *Service) ListAliases(ctx context.Context, in *lambda.ListAliasesInput) (*lambda.ListAliasesOutput, error) {
	ref, err := s.unqualified(ctx, in.FunctionName)
	if err != nil {
		return nil, err
	}
	after, err := readMarker(in.Marker)
	if err != nil {
		return nil, err
	}
	limit := maxAliases
	if in.MaxItems != nil {
		limit = min(limit, int(*in.MaxItems))
	}
	out := &lambda.ListAliasesOutput{}
	err = s.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) error {
		out.Aliases, out.NextMarker = []lambda.AliasConfiguration{}, nil
		if _, err := resolve(r, ref); err != nil {
			return err
		}
		return page(r, aliasesKey(ref.name), after, limit, func(_ string, value []byte) (bool, error) {
			a, err := decodeAlias(value)
			if err != nil || in.FunctionVersion != nil && !a.uses(*in.FunctionVersion) {
				return false, err
			}
			out.Aliases = append(out.Aliases, *a.configuration(ref))
			return true, nil
		}, &out.NextMarker)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// UpdateAlias implements the operation. What the request leaves out stays.
func (s *Service) UpdateAlias(ctx context.Context, in *lambda.UpdateAliasInput) (*lambda.UpdateAliasOutput, error) {
	ref, err := s.unqualified(ctx, in.FunctionName)
	if err != nil {
		return nil, err
	}
	var a *alias
	err = s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		if _, err := resolve(tx, ref); err != nil {
			return err
		}
		if a, err = loadAlias(tx, ref.name, in.Name); err != nil {
			return err
		}
		if a == nil {
			ref.qualifier = in.Name
			return notFound("Alias not found: %s", ref.qualified())
		}
		if in.RevisionId != nil && *in.RevisionId != a.Revision {
			return errRevision()
		}
		set(&a.Version, in.FunctionVersion)
		set(&a.Description, in.Description)
		if in.RoutingConfig != nil {
			a.Weights = in.RoutingConfig.AdditionalVersionWeights
		}
		if err := checkAlias(tx, ref, a); err != nil {
			return err
		}
		return errors.Join(storeAlias(tx, ref.name, a), s.touchProvisions(ctx, ref.name))
	})
	if err != nil {
		return nil, err
	}
	return a.configuration(ref), nil
}

// DeleteAlias implements the operation. An alias that is not there is deleted.
func (s *Service) DeleteAlias(ctx context.Context, in *lambda.DeleteAliasInput) (*lambda.DeleteAliasOutput, error) {
	ref, err := s.unqualified(ctx, in.FunctionName)
	if err != nil {
		return nil, err
	}
	err = s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		if _, err := resolve(tx, ref); err != nil {
			return err
		}
		if err := tx.Delete(aliasKey(ref.name, in.Name)); err != nil {
			return err
		}
		return s.forget(ctx, tx, ref.name, in.Name)
	})
	if err != nil {
		return nil, err
	}
	return &lambda.DeleteAliasOutput{}, nil
}

// aliasesOf returns the aliases of a function whose traffic goes to a version.
func aliasesOf(r kv.Reader, function, version string) (names []string, err error) {
	for e, err := range r.Scan(kv.PrefixRange(aliasesKey(function)), kv.ScanOptions{}) {
		if err != nil {
			return nil, err
		}
		a, err := decodeAlias(e.Value)
		if err != nil {
			return nil, err
		}
		if a.uses(version) {
			names = append(names, a.Name)
		}
	}
	return names, nil
}

const noContent = int32(http.StatusNoContent)
