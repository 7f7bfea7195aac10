package lambda

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"croft/internal/awsapi/lambda"
	"croft/internal/kv"
	"croft/internal/wire"
)

// layerRuntimes are the identifiers that a layer may say it is for, in the order of AWS's messages: runtimes of today, of the past and of
// AWS's own.
func layerRuntimes() []string {
	return strings.Fields(`ruby3.5 ruby2.6 dotnetcore1.0 python3.7 nodejs8.10 nasa ruby2.7 python2.7-greengrass dotnetcore2.0 python3.8 java21
		dotnet6 dotnetcore2.1 python3.9 java11 nodejs6.10 provided dotnetcore3.1 dotnet8 java25 java17 nodejs nodejs4.3 java8.al2 go1.x dotnet10
		nodejs20.x go1.9 byol nodejs10.x provided.al2023 nodejs22.x python3.10 java8 nodejs12.x python3.11 nodejs24.x nodejs8.x python3.12
		nodejs14.x nodejs8.9 nodejs26.x python3.13 python3.14 nodejs16.x python3.15 provided.al2 nodejs4.3-edge nodejs18.x ruby3.2 python3.4
		ruby3.3 ruby3.4 ruby2.5 python3.6 python2.7`)
}

// currentRuntimes are those of which the message about an unknown runtime of a new layer speaks; more are taken.
func currentRuntimes() []string {
	return strings.Fields(`nodejs20.x python3.14 provided.al2023 python3.12 python3.13 nodejs24.x nodejs22.x java25 python3.10 python3.11 java21
		ruby3.3 ruby3.4 ruby3.2 python3.8 python3.9 java17 nodejs16.x dotnet10 dotnet8 java11 dotnet6 nodejs18.x provided.al2 java8.al2`)
}

// checkCompatible checks what a new layer says it is for. The model leaves it to this code, because AWS speaks of all that is wrong at once
// and of each list in other words.
func checkCompatible(runtimes, architectures []string) error {
	var problems []string
	known := layerRuntimes()
	if slices.ContainsFunc(runtimes, func(r string) bool { return !slices.Contains(known, r) }) {
		problems = append(problems, fmt.Sprintf("Value '[%s]' at 'compatibleRuntimes' failed to satisfy constraint: Member must satisfy enum value set: [%s]",
			strings.Join(runtimes, ", "), strings.Join(currentRuntimes(), ", ")))
	}
	if slices.ContainsFunc(architectures, func(a string) bool {
		return a != lambda.ArchitectureX86_64 && a != lambda.ArchitectureArm64
	}) {
		problems = append(problems, fmt.Sprintf("Value '[%s]' at 'compatibleArchitectures' failed to satisfy constraint: "+
			"Member must satisfy constraint: [Member must satisfy enum value set: [x86_64, arm64], Member must not be null]", strings.Join(architectures, ", ")))
	}
	return manyProblems(problems)
}

// checkRuntimeFilter checks the runtime that a list is asked for.
func checkRuntimeFilter(runtime *string) error {
	known := layerRuntimes()
	if runtime == nil || slices.Contains(known, *runtime) {
		return nil
	}
	return manyProblems([]string{fmt.Sprintf("Value '%s' at 'compatibleRuntime' failed to satisfy constraint: Member must satisfy enum value set: [%s]",
		*runtime, strings.Join(known, ", "))})
}

// suits reports whether the version is for a runtime and an architecture; nil asks for none. A version that names none is for none.
func (l *layerVersion) suits(runtime, architecture *string) bool {
	return (runtime == nil || slices.Contains(l.Runtimes, *runtime)) && (architecture == nil || slices.Contains(l.Architectures, *architecture))
}

func (l *layerVersion) item(ref layerReference) lambda.LayerVersionsListItem {
	ref.version = l.Version
	item := lambda.LayerVersionsListItem{
		LayerVersionArn: wire.Ptr(ref.arn()), Version: &l.Version, Description: &l.Description, CreatedDate: wire.Ptr(l.created()),
		CompatibleRuntimes: l.Runtimes, CompatibleArchitectures: l.Architectures,
	}
	if l.License != "" {
		item.LicenseInfo = &l.License
	}
	return item
}

// eachLayerVersion gives the versions of a layer that are older than before to take, newest first, until take says that it has enough.
func eachLayerVersion(r kv.Reader, name string, before int64, take func(l *layerVersion) bool) error {
	within := kv.PrefixRange(layerVersionsKey(name))
	within.End = layerVersionKey(name, before)
	for e, err := range r.Scan(within, kv.ScanOptions{Reverse: true}) {
		if err != nil {
			return err
		}
		l, err := decodeLayerVersion(e.Value)
		if err != nil {
			return err
		}
		if !take(l) {
			return nil
		}
	}
	return nil
}

// ListLayerVersions implements the operation.
func (s *Service) ListLayerVersions(ctx context.Context, in *lambda.ListLayerVersionsInput) (*lambda.ListLayerVersionsOutput, error) {
	if err := checkRuntimeFilter(in.CompatibleRuntime); err != nil {
		return nil, err
	}
	ref, err := s.ownLayer(ctx, in.LayerName, "lambda:ListLayerVersions", 0)
	if err != nil {
		return nil, err
	}
	after, err := readMarker(in.Marker)
	if err != nil {
		return nil, err
	}
	before := int64(math.MaxInt64)
	if after != "" {
		if before, err = strconv.ParseInt(after, 10, 64); err != nil {
			return nil, invalid("Invalid Marker")
		}
	}
	limit := pageLimit(in.MaxItems)
	out := &lambda.ListLayerVersionsOutput{}
	err = s.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) error {
		out.LayerVersions, out.NextMarker = []lambda.LayerVersionsListItem{}, nil
		return eachLayerVersion(r, ref.name, before, func(l *layerVersion) bool {
			if !l.suits(in.CompatibleRuntime, in.CompatibleArchitecture) {
				return true
			}
			if n := len(out.LayerVersions); n == limit {
				out.NextMarker = marker(strconv.FormatInt(*out.LayerVersions[n-1].Version, 10))
				return false
			}
			out.LayerVersions = append(out.LayerVersions, l.item(ref))
			return true
		})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func pageLimit(most *int32) int {
	if most == nil {
		return maxListed
	}
	return min(maxListed, int(*most))
}

// ListLayers implements the operation. A layer is listed with its newest version that suits.
func (s *Service) ListLayers(ctx context.Context, in *lambda.ListLayersInput) (*lambda.ListLayersOutput, error) {
	if err := checkRuntimeFilter(in.CompatibleRuntime); err != nil {
		return nil, err
	}
	after, err := readMarker(in.Marker)
	if err != nil {
		return nil, err
	}
	out := &lambda.ListLayersOutput{}
	err = s.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) error {
		out.Layers, out.NextMarker = []lambda.LayersListItem{}, nil
		return page(r, layersKey(), after, pageLimit(in.MaxItems), func(name string, _ []byte) (took bool, err error) {
			err = eachLayerVersion(r, name, math.MaxInt64, func(l *layerVersion) bool {
				if took = l.suits(in.CompatibleRuntime, in.CompatibleArchitecture); took {
					ref := s.parseLayer(ctx, name)
					out.Layers = append(out.Layers, lambda.LayersListItem{
						LayerName: &l.Name, LayerArn: wire.Ptr(ref.layerARN()), LatestMatchingVersion: wire.Ptr(l.item(ref)),
					})
				}
				return !took
			})
			return took, err
		}, &out.NextMarker)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
