package lambda

import (
	"context"
	"net/http"

	"croft/internal/awsapi/lambda"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

// read returns the function that a request names, or ResourceNotFoundException.
func (s *Service) read(ctx context.Context, name string, qualifier *string) (reference, *function, error) {
	ref, err := s.find(ctx, name, qualifier)
	if err != nil {
		return ref, nil, err
	}
	if err := ref.onlyLatest(); err != nil {
		return ref, nil, err
	}
	var f *function
	err = s.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) (err error) {
		f, err = loadFunction(r, ref.name)
		return err
	})
	if err == nil && f == nil {
		err = notFound("Function not found: %s", ref.qualified())
	}
	return ref, f, err
}

// GetFunction implements the operation. The answer has no Location: nothing serves packages for download.
func (s *Service) GetFunction(ctx context.Context, in *lambda.GetFunctionInput) (*lambda.GetFunctionOutput, error) {
	ref, f, err := s.read(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	out := &lambda.GetFunctionOutput{
		Configuration: f.configuration(ref.qualified(), settled),
		Code:          &lambda.FunctionCodeLocation{RepositoryType: wire.Ptr("S3")},
	}
	if len(f.Tags) > 0 {
		out.Tags = f.Tags
	}
	return out, nil
}

// GetFunctionConfiguration implements the operation.
func (s *Service) GetFunctionConfiguration(ctx context.Context, in *lambda.GetFunctionConfigurationInput) (*lambda.GetFunctionConfigurationOutput, error) {
	ref, f, err := s.read(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	return f.configuration(ref.qualified(), settled), nil
}

// maxListed is the most functions on a page, whatever the request says. Source: API Reference, ListFunctions.
const maxListed = 50

// ListFunctions implements the operation. With FunctionVersion ALL it lists every version, which is $LATEST of each function, with the
// qualified ARN.
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
	call := cloud.CallOf(ctx)
	out := &lambda.ListFunctionsOutput{Functions: []lambda.FunctionConfiguration{}}
	err = s.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) error {
		out.Functions, out.NextMarker = out.Functions[:0], nil
		return page(r, functionsKey(), after, limit, func(name string, value []byte) (bool, error) {
			f, err := decodeFunction(value)
			if err != nil {
				return false, err
			}
			arn := reference{account: call.Account, region: call.Region, name: name}.arn()
			if in.FunctionVersion != nil {
				arn += ":" + latest
			}
			out.Functions = append(out.Functions, *f.configuration(arn, listed))
			return true, nil
		}, &out.NextMarker)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// DeleteFunction implements the operation. Event source mappings stay, as on AWS.
func (s *Service) DeleteFunction(ctx context.Context, in *lambda.DeleteFunctionInput) (*lambda.DeleteFunctionOutput, error) {
	ref, err := s.find(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	if isAlias(ref.qualifier) {
		return nil, invalid("Deletion of aliases is not currently supported.")
	}
	err = s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		f, err := loadFunction(tx, ref.name)
		switch {
		case err != nil:
			return err
		case f == nil:
			return notFound("Function not found: %s", ref.arn())
		case ref.qualifier == latest:
			return invalid("$LATEST version cannot be deleted without deleting the function.")
		case ref.qualifier != "":
			return notFound("Function not found: %s", ref.qualified())
		}
		if err := s.dropCode(ctx, f); err != nil {
			return err
		}
		if err := tx.Delete(functionKey(ref.name)); err != nil {
			return err
		}
		return tx.Delete(policyKey(ref.name))
	})
	if err != nil {
		return nil, err
	}
	s.engine.Retire(ref.arn())
	return &lambda.DeleteFunctionOutput{StatusCode: wire.Ptr(int32(http.StatusNoContent))}, nil
}
