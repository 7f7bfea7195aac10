package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"croft/internal/awsapi/lambda"
	"croft/internal/blob"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

// layerVersion is the stored form of one version of a layer. It never changes but for its policy.
type layerVersion struct {
	Name        string `json:"name"`
	Version     int64  `json:"version"`
	Description string `json:"description,omitempty"`
	License     string `json:"license,omitempty"`
	// Runtimes and Architectures are nil when none were given, which answers show.
	Runtimes      []string `json:"runtimes"`
	Architectures []string `json:"architectures"`
	// CodeID is the zip file's id in the blob store, CodeSHA its SHA-256 in hexadecimal.
	CodeID   string `json:"codeId"`
	CodeSHA  string `json:"codeSha"`
	CodeSize int64  `json:"codeSize"`
	// Unzipped is the size of its files, in bytes.
	Unzipped int64     `json:"unzipped"`
	Created  time.Time `json:"created"`
	// Policy says who else may use the version.
	Policy         []statement `json:"policy,omitempty"`
	PolicyRevision string      `json:"policyRevision,omitempty"`
}

// layerCount is the stored form of a layer: how many versions it ever had. Numbers are never given twice.
type layerCount struct {
	Last int64 `json:"last"`
}

func layersKey() kv.Key { return kv.Key(nil).Raw('l') }

func layerKey(name string) kv.Key { return layersKey().Str(name) }

// allLayerVersionsKey is the prefix of the versions of all layers.
func allLayerVersionsKey() kv.Key { return kv.Key(nil).Raw('w') }

func layerVersionsKey(name string) kv.Key { return allLayerVersionsKey().Str(name) }

func layerVersionKey(name string, version int64) kv.Key { return layerVersionsKey(name).Int(version) }

// layerReference is a layer, or a version of one, as a caller names it.
type layerReference struct {
	account, region, name string
	version               int64 // zero when none was named
}

func (r layerReference) layerARN() string {
	return cloud.ARN{
		Partition: cloud.Partition, Service: "lambda", Region: r.region, Account: r.account, Resource: "layer:" + r.name,
	}.String()
}

func (r layerReference) arn() string { return r.layerARN() + ":" + strconv.FormatInt(r.version, 10) }

// parseLayer reads a layer's name or ARN, with or without a version. The model's pattern has been checked before.
func (s *Service) parseLayer(ctx context.Context, text string) layerReference {
	call := cloud.CallOf(ctx)
	r := layerReference{account: call.Account, region: call.Region, name: text}
	a, err := cloud.ParseARN(text)
	if err != nil {
		return r
	}
	r.account, r.region = s.deps.Account(ctx, a.Account, text), a.Region
	r.name = strings.TrimPrefix(a.Resource, "layer:")
	if name, version, ok := strings.Cut(r.name, ":"); ok {
		r.name = name
		// Too large a number is no version that there is.
		r.version, _ = strconv.ParseInt(version, 10, 64)
	}
	return r
}

// ownLayer is parseLayer for what only the layer's own account may do, in its own region.
func (s *Service) ownLayer(ctx context.Context, text, action string, version int64) (layerReference, error) {
	r := s.parseLayer(ctx, text)
	r.version = version
	call := cloud.CallOf(ctx)
	switch {
	case r.account != call.Account:
		return r, denied(ctx, action, r.layerARN())
	case r.region != call.Region:
		return r, errNoResource()
	}
	return r, nil
}

func checkLayerVersion(version int64) error {
	if version < 1 {
		return invalid("Layer Version Cannot be less than 1")
	}
	return nil
}

func errNoResource() error { return notFound("The resource you requested does not exist.") }

// layerSpace is where the layers of an account and region lie.
func (s *Service) layerSpace(r layerReference) kv.Space {
	return kv.NewSpace(s.deps.Store, r.account, r.region, "lambda")
}

func loadLayerVersion(r kv.Reader, name string, version int64) (*layerVersion, error) {
	v, err := r.Get(layerVersionKey(name, version))
	if errors.Is(err, kv.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return decodeLayerVersion(v)
}

func decodeLayerVersion(value []byte) (*layerVersion, error) {
	l := new(layerVersion)
	if err := json.Unmarshal(value, l); err != nil {
		return nil, fmt.Errorf("lambda: damaged layer: %w", err)
	}
	return l, nil
}

func storeLayerVersion(w kv.Writer, l *layerVersion) error {
	v, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("lambda: %w", err)
	}
	return w.Put(layerVersionKey(l.Name, l.Version), v)
}

// PublishLayerVersion implements the operation.
func (s *Service) PublishLayerVersion(ctx context.Context, in *lambda.PublishLayerVersionInput) (*lambda.PublishLayerVersionOutput, error) {
	if err := checkCompatible(in.CompatibleRuntimes, in.CompatibleArchitectures); err != nil {
		return nil, err
	}
	ref, err := s.ownLayer(ctx, in.LayerName, "lambda:PublishLayerVersion", 0)
	if err != nil {
		return nil, err
	}
	code, err := s.store(ctx, source{zip: in.Content.ZipFile, bucket: in.Content.S3Bucket, key: in.Content.S3Key, version: in.Content.S3ObjectVersion})
	if err != nil {
		return nil, err
	}
	unzipped, err := s.unzipped(ctx, code)
	if err != nil {
		return nil, err
	}
	l := &layerVersion{
		Name: ref.name, Description: wire.Value(in.Description), License: wire.Value(in.LicenseInfo),
		Runtimes: in.CompatibleRuntimes, Architectures: in.CompatibleArchitectures,
		CodeID: code.ID, CodeSHA: code.SHA256, CodeSize: code.Size, Unzipped: unzipped, Created: cloud.CallOf(ctx).Now,
	}
	err = s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) (err error) {
		if l.Version, err = nextLayerVersion(tx, ref.name); err != nil {
			return err
		}
		if err := s.takeCode(ctx, code); err != nil {
			return err
		}
		return storeLayerVersion(tx, l)
	})
	if err != nil {
		return nil, err
	}
	out, err := s.describeLayer(ctx, ref, l)
	return (*lambda.PublishLayerVersionOutput)(out), err
}

func nextLayerVersion(tx kv.Tx, name string) (int64, error) {
	var n layerCount
	v, err := tx.Get(layerKey(name))
	if err == nil {
		err = json.Unmarshal(v, &n)
	}
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		return 0, err
	}
	n.Last++
	if v, err = json.Marshal(n); err != nil {
		return 0, err
	}
	return n.Last, tx.Put(layerKey(name), v)
}

func (l *layerVersion) code() blob.Ref {
	return blob.Ref{ID: l.CodeID, SHA256: l.CodeSHA, Size: l.CodeSize}
}

// describeLayer returns a layer version as answers show it, with an address for its zip file.
func (s *Service) describeLayer(ctx context.Context, ref layerReference, l *layerVersion) (*lambda.GetLayerVersionOutput, error) {
	ref.version = l.Version
	location, err := s.location(ctx, l.code(), l.Name+"-"+strconv.FormatInt(l.Version, 10))
	if err != nil {
		return nil, err
	}
	out := &lambda.GetLayerVersionOutput{
		Content:  &lambda.LayerVersionContentOutput{Location: &location, CodeSha256: wire.Ptr(codeDigest(l.CodeSHA)), CodeSize: &l.CodeSize},
		LayerArn: wire.Ptr(ref.layerARN()), LayerVersionArn: wire.Ptr(ref.arn()), Description: &l.Description, CreatedDate: wire.Ptr(l.created()),
		Version: &l.Version, CompatibleRuntimes: l.Runtimes, CompatibleArchitectures: l.Architectures,
	}
	if l.License != "" {
		out.LicenseInfo = &l.License
	}
	return out, nil
}

func (l *layerVersion) created() string {
	return l.Created.UTC().Format("2006-01-02T15:04:05.000+0000")
}

// GetLayerVersion implements the operation.
func (s *Service) GetLayerVersion(ctx context.Context, in *lambda.GetLayerVersionInput) (*lambda.GetLayerVersionOutput, error) {
	if err := checkLayerVersion(in.VersionNumber); err != nil {
		return nil, err
	}
	ref := s.parseLayer(ctx, in.LayerName)
	ref.version = in.VersionNumber
	return s.getLayer(ctx, ref)
}

// GetLayerVersionByArn implements the operation.
func (s *Service) GetLayerVersionByArn(ctx context.Context, in *lambda.GetLayerVersionByArnInput) (*lambda.GetLayerVersionByArnOutput, error) {
	ref := s.parseLayer(ctx, in.Arn)
	if err := checkLayerVersion(ref.version); err != nil {
		return nil, err
	}
	return s.getLayer(ctx, ref)
}

func (s *Service) getLayer(ctx context.Context, ref layerReference) (*lambda.GetLayerVersionOutput, error) {
	if ref.region != cloud.CallOf(ctx).Region {
		return nil, errNoResource()
	}
	l, err := s.usableLayer(ctx, ref)
	if err != nil {
		return nil, err
	}
	if l == nil {
		return nil, errNoResource()
	}
	return s.describeLayer(ctx, ref, l)
}

// usableLayer returns a layer version that the caller may use, or nil when there is none. One of another account that does not permit it is
// AccessDeniedException, whether it exists or not.
func (s *Service) usableLayer(ctx context.Context, ref layerReference) (l *layerVersion, err error) {
	err = s.layerSpace(ref).View(ctx, func(_ context.Context, r kv.Reader) error {
		l, err = loadLayerVersion(r, ref.name, ref.version)
		return err
	})
	if err != nil {
		return nil, err
	}
	account := cloud.CallOf(ctx).Account
	if ref.account != account && (l == nil || !l.permits(account)) {
		return nil, denied(ctx, getLayerAction, ref.arn())
	}
	return l, nil
}

// DeleteLayerVersion implements the operation. Functions that have the version keep it.
func (s *Service) DeleteLayerVersion(ctx context.Context, in *lambda.DeleteLayerVersionInput) (*lambda.DeleteLayerVersionOutput, error) {
	if err := checkLayerVersion(in.VersionNumber); err != nil {
		return nil, err
	}
	ref, err := s.ownLayer(ctx, in.LayerName, "lambda:DeleteLayerVersion", in.VersionNumber)
	if err != nil {
		return nil, err
	}
	err = s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		l, err := loadLayerVersion(tx, ref.name, ref.version)
		if err != nil || l == nil {
			return err
		}
		return errors.Join(tx.Delete(layerVersionKey(ref.name, ref.version)), s.deps.Refs.Release(ctx, l.CodeID))
	})
	if err != nil {
		return nil, err
	}
	return &lambda.DeleteLayerVersionOutput{}, nil
}
