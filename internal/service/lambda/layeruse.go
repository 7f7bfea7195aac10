package lambda

import (
	"context"
	"errors"
	"io"

	"croft/internal/awsapi/lambda"
	"croft/internal/blob"
	"croft/internal/cloud"
	"croft/internal/engine"
	"croft/internal/engine/bundle"
	"croft/internal/wire"
)

// functionLayer is a layer version as a function version has it. It stands by itself: the layer version may be deleted, and the function
// goes on using it.
type functionLayer struct {
	ARN      string `json:"arn"`
	CodeID   string `json:"codeId"`
	CodeSHA  string `json:"codeSha"`
	CodeSize int64  `json:"codeSize"`
	Unzipped int64  `json:"unzipped"`
}

// layersOf finds the layer versions that a function is to have, in their order, and checks that it may: how many there are, that each is
// there once and may be used by the caller. It joins the transaction that ctx carries. had are those that the function has already: they
// may be deleted.
func (s *Service) layersOf(ctx context.Context, arns []string, had []functionLayer) ([]functionLayer, error) {
	if len(arns) > bundle.MaxMerged {
		return nil, invalid("Cannot reference more than %d layers.", bundle.MaxMerged)
	}
	var out []functionLayer
	seen := map[string]string{}
	for _, arn := range arns {
		ref := s.parseLayer(ctx, arn)
		if region := cloud.CallOf(ctx).Region; ref.region != region {
			return nil, invalid("Layers are not in the same region as the function. Layers are expected to be in region %s.", region)
		}
		if other, twice := seen[ref.layerARN()]; twice {
			return nil, invalid("Two different versions of the same layer are not allowed to be referenced in the same function. "+
				"%s and %s are versions of the same layer.", other, ref.arn())
		}
		seen[ref.layerARN()] = ref.arn()
		l, err := s.layerFor(ctx, ref, had)
		if err != nil {
			return nil, err
		}
		out = append(out, *l)
	}
	return out, nil
}

func (s *Service) layerFor(ctx context.Context, ref layerReference, had []functionLayer) (*functionLayer, error) {
	for i := range had {
		if had[i].ARN == ref.arn() {
			return &had[i], nil
		}
	}
	l, err := s.usableLayer(ctx, ref)
	if err != nil {
		return nil, err
	}
	if l == nil {
		return nil, invalid("Layer version %s does not exist.", ref.arn())
	}
	return &functionLayer{ARN: ref.arn(), CodeID: l.CodeID, CodeSHA: l.CodeSHA, CodeSize: l.CodeSize, Unzipped: l.Unzipped}, nil
}

// takeLayers makes layers a function version's, in the transaction that ctx carries.
func (s *Service) takeLayers(ctx context.Context, layers []functionLayer) error {
	for _, l := range layers {
		if err := s.deps.Refs.Retain(ctx, l.CodeID); err != nil {
			return err
		}
	}
	return nil
}

// dropLayers gives up the layers of a function version, in the transaction that ctx carries.
func (s *Service) dropLayers(ctx context.Context, layers []functionLayer) error {
	var all error
	for _, l := range layers {
		all = errors.Join(all, s.deps.Refs.Release(ctx, l.CodeID))
	}
	return all
}

// checkUnzipped checks that a function's code, whose files have unzipped bytes, fits beside its layers.
func checkUnzipped(unzipped int64, layers []functionLayer) error {
	for _, l := range layers {
		unzipped += l.Unzipped
	}
	if len(layers) > 0 && unzipped > bundle.MaxUnzipped {
		return invalid("Function code combined with layers exceeds the maximum allowed size of %d bytes. The actual size is %d bytes.",
			bundle.MaxUnzipped, unzipped)
	}
	return nil
}

// unzipped returns the size of the files in a package, as it states it.
func (s *Service) unzipped(ctx context.Context, ref blob.Ref) (size int64, err error) {
	body, length, err := s.deps.Blobs.Open(ctx, ref.ID)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	return bundle.Check(io.ReaderAt(body), length)
}

// layerAnswers returns a function's layers as answers show them, nil when it has none.
func layerAnswers(layers []functionLayer) []lambda.Layer {
	var out []lambda.Layer
	for _, l := range layers {
		out = append(out, lambda.Layer{Arn: wire.Ptr(l.ARN), CodeSize: wire.Ptr(l.CodeSize)})
	}
	return out
}

// enginePackages returns a function's layers as the engine needs them.
func enginePackages(layers []functionLayer) []engine.Package {
	var out []engine.Package
	for _, l := range layers {
		out = append(out, engine.Package{ID: l.CodeID, SHA: l.CodeSHA, ARN: l.ARN})
	}
	return out
}
