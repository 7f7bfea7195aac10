package s3

import (
	"context"
	"errors"
	"io"
	"net/url"
	"slices"
	"strings"

	api "croft/internal/awsapi/s3"
	"croft/internal/checksum"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

// source is what a copy is made of.
type source struct {
	bucket, key string
	version     *string // nil for the current one
	owner       *string
	condition   readCondition
}

// parseSource reads the header x-amz-copy-source: BUCKET/KEY, URL-encoded, perhaps with a slash before it and a version behind it.
func parseSource(text string) (src source, err error) {
	invalid := invalidArgument("x-amz-copy-source", text, "Invalid copy source object key")
	path, query, versioned := strings.Cut(text, "?")
	if versioned {
		id, ok := strings.CutPrefix(query, "versionId=")
		if !ok {
			return src, invalid
		}
		if err := checkVersion(&id); err != nil {
			return src, err
		}
		src.version = &id
	}
	if path, err = url.PathUnescape(path); err != nil {
		return src, invalid
	}
	var ok bool
	if src.bucket, src.key, ok = strings.Cut(strings.TrimPrefix(path, "/"), "/"); !ok || src.key == "" || src.bucket == "" {
		return src, invalidArgument("x-amz-copy-source", text, "Copy Source must mention the source bucket and key: sourcebucket/sourcekey")
	}
	if strings.HasPrefix(src.bucket, "arn:") {
		return src, notImplemented("CopyObject", "x-amz-copy-source", text)
	}
	return src, nil
}

// original is what a copy is made of.
type original struct {
	*object
	content content
	// version is the id that the answer has, or nil.
	version *string
}

// readSource returns the object that a copy is made of. It may lie in any region.
func (s *Service) readSource(ctx context.Context, r kv.Reader, src source) (from original, err error) {
	b, err := own(ctx, r, src.bucket, src.owner)
	if err != nil {
		return from, err
	}
	from.object, err = readVersion(r, b, name{src.bucket, src.key}, src.version)
	if cloud.Code(err) == "MethodNotAllowed" {
		err = cloud.Errorf("InvalidRequest", "The source of a copy request may not specifically refer to a delete marker by version id.")
	}
	if err != nil {
		return from, err
	}
	if err := src.condition.check(from.object); err != nil {
		if cloud.Code(err) == "NotModified" {
			err = preconditionFailed("x-amz-copy-source-If-Modified-Since")
			if c := src.condition; c.noneMatch != nil && sameETag(*c.noneMatch, from.ETag) {
				err = preconditionFailed("x-amz-copy-source-If-None-Match")
			}
		}
		return from, err
	}
	if from.Version != "" {
		from.version = &from.Version
	}
	from.content, err = openContent(r, b, name{src.bucket, src.key}, from.object)
	return from, err
}

// maxTries bounds how often a copy begins again because its source was replaced while its checksum was computed.
const maxTries = 10

// CopyObject makes an object of another one. Both share what lies in the blob store.
func (s *Service) CopyObject(ctx context.Context, in *api.CopyObjectInput) (*api.CopyObjectOutput, error) {
	o, src, err := s.newCopy(ctx, in)
	if err != nil {
		return nil, err
	}
	cond := writeCondition{match: in.IfMatch, noneMatch: in.IfNoneMatch}
	var wanted checksum.Algorithm
	if in.ChecksumAlgorithm != nil {
		var ok bool
		if wanted, ok = checksum.Parse(*in.ChecksumAlgorithm); !ok {
			return nil, notImplemented("CopyObject", "x-amz-checksum-algorithm", *in.ChecksumAlgorithm)
		}
	}
	// What takes reading the body is prepared before the transaction, and is right if the source is still the same in it.
	var ready prepared
	out := &api.CopyObjectOutput{}
	for try := 1; ; try++ {
		err = s.space().Update(ctx, func(ctx context.Context, tx kv.Tx) error {
			return s.copy(ctx, tx, in, out, cond, src, o, wanted, ready)
		})
		var needs *needsBody
		if !errors.As(err, &needs) || try == maxTries {
			break
		}
		if ready, err = s.prepare(ctx, needs); err != nil {
			return nil, err
		}
	}
	if err != nil {
		s.discard(ctx, ready.body, err)
		return nil, err
	}
	out.ServerSideEncryption = claim(o.Encrypted)
	result := &api.CopyObjectResult{ETag: quoted(o.ETag), LastModified: &o.Modified}
	o.Sum.show(result)
	out.CopyObjectResult = result
	return out, nil
}

// newCopy checks a request for a copy, and returns what is known of the new object and where it comes from.
func (s *Service) newCopy(ctx context.Context, in *api.CopyObjectInput) (*object, source, error) {
	src, err := parseSource(in.CopySource)
	if err != nil {
		return nil, src, err
	}
	src.owner = in.ExpectedSourceBucketOwner
	src.condition = readCondition{
		match: in.CopySourceIfMatch, noneMatch: in.CopySourceIfNoneMatch, modified: in.CopySourceIfModifiedSince, unmodified: in.CopySourceIfUnmodifiedSince,
		matchName: "x-amz-copy-source-",
	}
	for _, d := range [...]struct {
		header string
		value  *string
	}{{"x-amz-metadata-directive", in.MetadataDirective}, {"x-amz-tagging-directive", in.TaggingDirective}} {
		if v := wire.Value(d.value); d.value != nil && !slices.Contains([]string{api.MetadataDirectiveCOPY, api.MetadataDirectiveREPLACE}, v) {
			return nil, src, invalidArgument(d.header, v, "Unknown directive.")
		}
	}
	o, err := s.newObject(ctx, "CopyObject", in, in.Key)
	if err != nil {
		return nil, src, err
	}
	if src.bucket == in.Bucket && src.key == in.Key && src.version == nil && wire.Value(in.MetadataDirective) != api.MetadataDirectiveREPLACE && in.ServerSideEncryption == nil &&
		in.StorageClass == nil && !s.hasEncryption(ctx, in.Bucket) {
		return nil, src, cloud.Errorf("InvalidRequest", "This copy request is illegal because it is trying to copy an object to itself without changing the "+
			"object's metadata, storage class, website redirect location or encryption attributes.")
	}
	return o, src, nil
}

// needsBody says that the body of a source has to be read first: for a checksum, or to be encrypted.
type needsBody struct {
	content content
	etag    string
	wanted  checksum.Algorithm // empty for none
	encrypt bool
}

func (*needsBody) Error() string { return "s3: the body of a source has to be read" }

// prepared is what was made of the body of a source with the ETag of: its checksum, and its content once more, if that was to be encrypted.
type prepared struct {
	of   string
	etag string
	sum  sum
	body content
}

// prepare reads the body of a source.
func (s *Service) prepare(ctx context.Context, needs *needsBody) (p prepared, err error) {
	p.of = needs.etag
	if needs.wanted != "" {
		if p.sum, p.etag, err = s.compute(ctx, needs.content, needs.wanted); err != nil {
			return p, err
		}
	}
	if needs.encrypt {
		p.body, err = s.reencrypt(ctx, needs.content)
	}
	return p, err
}

// copy makes the copy in a transaction.
func (s *Service) copy(
	ctx context.Context, tx kv.Tx, in *api.CopyObjectInput, out *api.CopyObjectOutput, cond writeCondition, src source, o *object,
	wanted checksum.Algorithm, ready prepared,
) error {
	b, err := s.ownHere(ctx, tx, in.Bucket, in.ExpectedBucketOwner)
	if err != nil {
		return err
	}
	from, err := s.readSource(ctx, tx, src)
	if err != nil {
		return err
	}
	old, err := lookObject(tx, in.Bucket, in.Key)
	if err != nil {
		return err
	}
	if err := cond.check(in.Key, old); err != nil {
		return err
	}
	tags := o.Tags
	if wire.Value(in.TaggingDirective) != api.TaggingDirectiveREPLACE {
		tags = from.Tags
	}
	if wire.Value(in.MetadataDirective) != api.MetadataDirectiveREPLACE {
		o.properties = from.properties
	}
	o.Size, o.ETag, o.Sum, o.Tags = from.Size, from.ETag, from.Sum, tags
	if wanted == "" && from.Sum.Composite {
		wanted = from.Sum.Algorithm
	}
	encrypt, err := s.encryptsNew(tx, in.Bucket, in.ServerSideEncryption)
	if err != nil {
		return err
	}
	o.Encrypted, encrypt = encrypt || from.Encrypted, encrypt && !from.Encrypted
	// A copy is an object in one part: its checksum and its ETag are those of one body.
	sums := from.multipart() || wanted != "" && (from.Sum.Algorithm != wanted || from.Sum.Composite)
	if wanted == "" {
		wanted = from.Sum.Algorithm
	}
	if (sums || encrypt) && (ready.of != from.ETag || sums && ready.sum.Algorithm != wanted || encrypt && !ready.body.encrypted()) {
		return &needsBody{from.content, from.ETag, wanted, encrypt}
	}
	body := from.content
	if sums {
		o.Sum, o.ETag = ready.sum, ready.etag
	}
	if encrypt {
		body = ready.body
	}
	if err := s.writeObject(ctx, tx, b, name{in.Bucket, in.Key}, old, o, body, api.EventS3ObjectCreatedCopy); err != nil {
		return err
	}
	out.CopySourceVersionId, out.VersionId = from.version, b.shownVersion(o)
	return nil
}

// compute reads a body for its checksum and its ETag.
func (s *Service) compute(ctx context.Context, c content, a checksum.Algorithm) (sum, string, error) {
	body, err := s.open(ctx, c, 0, c.size())
	if err != nil {
		return sum{}, "", err
	}
	d := newDigest(body, promise{}, a)
	_, err = io.Copy(io.Discard, d)
	return d.sum(), d.etag(), errors.Join(err, body.Close())
}
