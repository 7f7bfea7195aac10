package lambda

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"

	"croft/internal/blob"
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

// code is a stored deployment package.
type code struct {
	sha  string
	size int64
}

// check reports what is wrong with the source itself, before anything is read.
func (c source) check() error {
	if err := firstRefused(
		refusal{c.version != nil, "S3ObjectVersion", "assets have no versions"},
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
func (s *Service) store(ctx context.Context, c source) (code, error) {
	if err := c.check(); err != nil {
		return code{}, err
	}
	if c.zip == nil {
		return s.asset(ctx, *c.bucket, *c.key)
	}
	if len(c.zip) == 0 {
		return code{}, invalid("Uploaded file must be a non-empty zip")
	}
	if len(c.zip) > maxZipped {
		return code{}, entityTooLarge("Zipped size must be smaller than %d bytes", maxZipped)
	}
	if _, err := bundle.Check(bytes.NewReader(c.zip), int64(len(c.zip))); err != nil {
		return code{}, err
	}
	ref, err := s.deps.Blobs.Put(ctx, bytes.NewReader(c.zip), maxZipped)
	return code{ref.SHA256, ref.Size}, err
}

// asset finds code that was uploaded before.
func (s *Service) asset(ctx context.Context, bucket, key string) (code, error) {
	const failed = "Error occurred while GetObject. S3 Error Code: %s. S3 Error Message: %s"
	if bucket != cloud.AssetBucket {
		return code{}, invalid(failed, "NoSuchBucket", "The specified bucket does not exist. This cloud has no S3: "+
			"give the package as ZipFile, or deploy the application's folder with croft deploy.")
	}
	body, size, err := s.deps.Blobs.Open(ctx, key)
	if errors.Is(err, blob.ErrNotFound) {
		return code{}, invalid(failed, "NoSuchKey", "The specified key does not exist.")
	}
	if err != nil {
		return code{}, err
	}
	_, bad := bundle.Check(body, size)
	if err := body.Close(); err != nil && bad == nil {
		bad = err
	}
	return code{key, size}, bad
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
