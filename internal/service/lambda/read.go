package lambda

import (
	"context"
	"errors"
	"math"
	"strings"

	"croft/internal/awsapi/lambda"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

// GetFunction implements the operation.
func (s *Service) GetFunction(ctx context.Context, in *lambda.GetFunctionInput) (*lambda.GetFunctionOutput, error) {
	t, err := s.target(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	location, err := s.location(ctx, t.fn.code(), t.latest.Name)
	if err != nil {
		return nil, err
	}
	out := &lambda.GetFunctionOutput{
		Configuration: t.fn.configuration(t.ref.qualified(), settled),
		Code:          &lambda.FunctionCodeLocation{RepositoryType: wire.Ptr("S3"), Location: &location},
	}
	if len(t.latest.Tags) > 0 {
		out.Tags = t.latest.Tags
	}
	if t.latest.Reserved != nil {
		out.Concurrency = &lambda.Concurrency{ReservedConcurrentExecutions: t.latest.Reserved}
	}
	return out, nil
}

// GetFunctionConfiguration implements the operation.
func (s *Service) GetFunctionConfiguration(ctx context.Context, in *lambda.GetFunctionConfigurationInput) (*lambda.GetFunctionConfigurationOutput, error) {
	t, err := s.target(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	return t.fn.configuration(t.ref.qualified(), settled), nil
}

// maxListed is the most functions on a page, whatever the request says. Source: API Reference, ListFunctions.
const maxListed = 50

// ListFunctions implements the operation. With FunctionVersion ALL it lists every version of every function, under its own ARN.
func (s *Service) ListFunctions(ctx context.Context, in *lambda.ListFunctionsInput) (*lambda.ListFunctionsOutput, error) {
	if in.MasterRegion != nil && *in.MasterRegion != "ALL" {
		return nil, refused("MasterRegion", "functions are not replicated")
	}
	limit := maxListed
	if in.MaxItems != nil {
		limit = min(limit, int(*in.MaxItems))
	}
	after, err := readMarker(in.Marker)
	if err != nil {
		return nil, err
	}
	out := &lambda.ListFunctionsOutput{}
	err = s.space(ctx).View(ctx, func(ctx context.Context, r kv.Reader) error {
		out.Functions, out.NextMarker = []lambda.FunctionConfiguration{}, nil
		if in.FunctionVersion != nil {
			return everyVersion(ctx, r, after, limit, out)
		}
		return page(r, functionsKey(), after, limit, func(name string, value []byte) (bool, error) {
			f, err := decodeFunction(value)
			if err != nil {
				return false, err
			}
			out.Functions = append(out.Functions, *f.configuration(named(ctx, name).arn(), listed))
			return true, nil
		}, &out.NextMarker)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// named returns the reference to a function of the caller's.
func named(ctx context.Context, name string) reference {
	call := cloud.CallOf(ctx)
	return reference{account: call.Account, region: call.Region, name: name}
}

// everyVersion lists all versions of all functions. A marker is a function and, after a colon, the version up to which it has been listed.
func everyVersion(ctx context.Context, r kv.Reader, after string, limit int, out *lambda.ListFunctionsOutput) error {
	from, version, split := strings.Cut(after, ":")
	if !split { // a marker of a list of functions
		version = versionMarker(math.MaxInt64)
	}
	within, last := kv.PrefixRange(functionsKey()), after
	if from != "" {
		within.Start = functionKey(from)
	}
	for e, err := range r.Scan(within, kv.ScanOptions{}) {
		if err != nil {
			return err
		}
		f, err := decodeFunction(e.Value)
		if err != nil {
			return err
		}
		if f.Name != from {
			version = ""
		}
		var more *string
		room := limit - len(out.Functions)
		if room == 0 && version == "" {
			more = marker(last)
		} else if err := versions(r, named(ctx, f.Name), f, version, room, &out.Functions, &more); err != nil {
			return err
		} else if more != nil {
			at, err := readMarker(more)
			if err != nil {
				return err
			}
			more = marker(f.Name + ":" + at)
		}
		if more != nil {
			out.NextMarker = more
			return nil
		}
		last = f.Name + ":" + versionMarker(math.MaxInt64)
	}
	return nil
}

// DeleteFunction implements the operation: of a version, or of the function with all it has. Event source mappings stay, as on AWS.
func (s *Service) DeleteFunction(ctx context.Context, in *lambda.DeleteFunctionInput) (*lambda.DeleteFunctionOutput, error) {
	ref, err := s.find(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	if isAlias(ref.qualifier) {
		return nil, invalid("Deletion of aliases is not currently supported.")
	}
	whole := ref
	whole.qualifier = ""
	err = s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		t, err := resolve(tx, whole)
		switch {
		case err != nil:
			return err
		case ref.qualifier == latest:
			return invalid("$LATEST version cannot be deleted without deleting the function.")
		case ref.qualifier != "":
			return s.deleteVersion(ctx, tx, t, ref.qualifier)
		}
		return errors.Join(s.dropURLs(ctx, tx, whole), s.dropVersion(ctx, t.latest), s.deleteVersions(ctx, tx, ref.name), tx.Delete(functionKey(ref.name)))
	})
	if err != nil {
		return nil, err
	}
	if ref.qualifier == "" {
		s.engine.Retire(ref.arn())
	}
	return &lambda.DeleteFunctionOutput{StatusCode: wire.Ptr(noContent)}, nil
}
