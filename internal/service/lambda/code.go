package lambda

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"

	"croft/internal/awsapi/s3"
	"croft/internal/blob"
	"croft/internal/blobref"
	"croft/internal/cloud"
	"croft/internal/engine/bundle"
	"croft/internal/wire"
)

const (
	// maxZipped bounds a package that comes within a request. Source: Lambda quotas.
	maxZipped = 50 << 20
)

// source is where a request says that the code is.
type source struct {
	zip                                 []byte
	bucket, key, version, image, kmsKey *string
}

// check reports what is wrong with the source itself, before anything is read.
func (c source) check() error {
	if err := firstRefused(
		refusal{c.version != nil, "S3ObjectVersion", "buckets have no versions here"},
		refusal{wire.Value(c.kmsKey) != "", "SourceKMSKeyArn", "packages are not encrypted with keys of yours"},
	); err != nil {
		return err
	}
	switch {
	case c.image != nil:
		return invalid("Please don't provide ImageUri when updating a function with packageType Zip.")
	case c.zip != nil && (c.bucket != nil || c.key != nil):
		return invalid("Please do not provide other FunctionCode parameters when providing a ZipFile.")
	case c.zip == nil && (c.bucket == nil || c.key == nil):
		return invalid("Please provide a source for function code.")
	}
	return nil
}

// store makes sure that the code is in the blob store and is a package that can be run.
func (s *Service) store(ctx context.Context, c source) (blob.Ref, error) {
	if err := c.check(); err != nil {
		return blob.Ref{}, err
	}
	if c.zip == nil {
		return s.asset(ctx, *c.bucket, *c.key)
	}
	if len(c.zip) == 0 {
		return blob.Ref{}, invalid("Uploaded file must be a non-empty zip")
	}
	if len(c.zip) > maxZipped {
		return blob.Ref{}, entityTooLarge("Zipped size must be smaller than %d bytes", maxZipped)
	}
	if _, err := bundle.Check(bytes.NewReader(c.zip), int64(len(c.zip))); err != nil {
		return blob.Ref{}, err
	}
	return s.deps.Blobs.Put(ctx, bytes.NewReader(c.zip), maxZipped)
}

// objectFailed is how Lambda reports an object that it cannot get: the code and the message are S3's.
const objectFailed = "Error occurred while GetObject. S3 Error Code: %s. S3 Error Message: %s"

func noSuchKey() error {
	return invalid(objectFailed, "NoSuchKey", "The specified key does not exist.")
}

// asset finds code that was uploaded before.
func (s *Service) asset(ctx context.Context, bucket, key string) (blob.Ref, error) {
	if bucket != cloud.AssetBucket {
		return s.object(ctx, bucket, key)
	}
	ref, err := s.deps.Refs.Asset(ctx, key)
	if errors.Is(err, blobref.ErrNoAsset) {
		return blob.Ref{}, noSuchKey()
	}
	if err != nil {
		return blob.Ref{}, err
	}
	body, size, err := s.deps.Blobs.Open(ctx, ref.ID)
	if errors.Is(err, blob.ErrNotFound) { // its time has just come
		return blob.Ref{}, noSuchKey()
	}
	if err != nil {
		return blob.Ref{}, err
	}
	_, bad := bundle.Check(body, size)
	if err := body.Close(); err != nil && bad == nil {
		bad = err
	}
	return ref, bad
}

// maxObject bounds a package in a bucket: what it unpacks to is bounded so. Source: Lambda quotas.
const maxObject = 250 << 20

// object stores a copy of a package that lies in a bucket of the caller's: what becomes of the object does not matter to the function.
func (s *Service) object(ctx context.Context, bucket, key string) (blob.Ref, error) {
	out, err := s3.NewClient(s.deps.Caller).GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: key})
	var refused *cloud.Error
	if errors.As(err, &refused) {
		return blob.Ref{}, invalid(objectFailed, refused.Code, refused.Message)
	}
	if err != nil {
		return blob.Ref{}, err
	}
	ref, err := s.deps.Blobs.Put(ctx, out.Body, maxObject)
	if err = errors.Join(err, out.Body.Close()); errors.Is(err, blob.ErrTooLarge) {
		return blob.Ref{}, invalid("Unzipped size must be smaller than %d bytes", maxObject)
	}
	if err != nil {
		return blob.Ref{}, err
	}
	body, size, err := s.deps.Blobs.Open(ctx, ref.ID)
	if err != nil {
		return blob.Ref{}, err
	}
	_, bad := bundle.Check(body, size)
	if err := errors.Join(bad, body.Close()); err != nil {
		// Nobody has heard of the copy. If it cannot be deleted, the sweep takes it.
		return blob.Ref{}, errors.Join(err, s.deps.Blobs.Delete(ctx, ref.ID))
	}
	return ref, nil
}

// takeCode makes a package a function's, in the transaction that ctx carries.
func (s *Service) takeCode(ctx context.Context, ref blob.Ref) error {
	err := s.deps.Refs.Retain(ctx, ref.ID)
	if errors.Is(err, blobref.ErrStale) { // an asset whose time came since it was looked at
		return noSuchKey()
	}
	return err
}

// replaceCode takes a package for one that the function had.
func (s *Service) replaceCode(ctx context.Context, f *function, with blob.Ref) error {
	if err := s.takeCode(ctx, with); err != nil {
		return err
	}
	return s.dropCode(ctx, f)
}

// dropCode gives up the function's package. It can be found as an asset for a while: by the deployment that replaced it, when that has to go back,
// and by invocations that have begun.
func (s *Service) dropCode(ctx context.Context, f *function) error {
	if blob.IsFormer(f.CodeID) {
		return nil // such packages stay, and are found by their hash
	}
	return errors.Join(s.deps.Refs.Keep(ctx, f.code()), s.deps.Refs.Release(ctx, f.CodeID))
}

// inline makes the package of code that a template holds as text: one file named index, as CloudFormation names it.
func inline(runtime, text string) ([]byte, error) {
	if len(text) > maxInline {
		return nil, invalid("The inline code has %d characters, more than %d.", len(text), maxInline)
	}
	name := "index.py"
	if len(runtime) > 4 && runtime[:4] == "node" {
		name = "index.js"
	}
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	// The same text makes the same package: the entry carries no time.
	f, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate})
	if err == nil {
		_, err = f.Write([]byte(text))
	}
	if err = errors.Join(err, z.Close()); err != nil {
		return nil, fmt.Errorf("lambda: inline code: %w", err)
	}
	return b.Bytes(), nil
}

// maxInline bounds inline code, in bytes. Source: CloudFormation Template Reference, AWS::Lambda::Function Code.
const maxInline = 4 << 20
