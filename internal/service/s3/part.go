package s3

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	api "croft/internal/awsapi/s3"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

// part is the row of a part of an upload.
type part struct {
	number   int32
	Blob     string    `json:"b,omitempty"` // an empty part has none
	Size     int64     `json:"s"`
	ETag     string    `json:"e"`
	Sum      sum       `json:"c"`
	Modified time.Time `json:"m"`
	Key      []byte    `json:"k,omitempty"` // sealed
	// Own is the checksum of the upload's algorithm, in bytes, where the client gave one of another.
	Own []byte `json:"o,omitempty"`
}

// readParts returns the parts of an upload with numbers greater than after, at most limit of them; 0 is no limit.
func readParts(r kv.Reader, bucket, id string, after int32, limit int) (out []*part, err error) {
	base := partsPrefix(bucket, id)
	rng := kv.Range{Start: base.Uint(uint64(after) + 1), End: kv.PrefixRange(base).End}
	for e, err := range r.Scan(rng, kv.ScanOptions{Limit: limit}) {
		if err != nil {
			return nil, err
		}
		p := &part{number: int32(kv.ReadKey(e.Key, base).Uint())}
		if err := json.Unmarshal(e.Value, p); err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

func (s *Service) dropPart(ctx context.Context, _ kv.Tx, p *part) error {
	if p.Blob == "" {
		return nil
	}
	return s.deps.Refs.Release(ctx, p.Blob)
}

// place is where a part belongs.
type place struct {
	bucket, key, id string
	number          int32
	owner           *string
}

func (p *place) check() error {
	if p.number < 1 || p.number > maxParts {
		return invalidArgument("partNumber", itoa(int(p.number)), "Part number must be an integer between 1 and %d, inclusive", maxParts)
	}
	return nil
}

// UploadPart stores a part of an upload. It takes the place of an earlier one with its number.
func (s *Service) UploadPart(ctx context.Context, in *api.UploadPartInput) (*api.UploadPartOutput, error) {
	at := place{in.Bucket, in.Key, in.UploadId, in.PartNumber, in.ExpectedBucketOwner}
	if err := errors.Join(checkMembers("UploadPart", in), at.check()); err != nil {
		return nil, err
	}
	var trailer http.Header
	if in.Body != nil {
		trailer = in.Body.Trailer
	}
	promise, err := promised(in, in.ContentMD5, trailer)
	if err != nil {
		return nil, err
	}
	p, u, err := s.storePart(ctx, at, func(u *upload) (*digest, error) {
		given := cmp.Or(promise.algorithm, "null")
		if u.Algorithm != "" && promise.algorithm != u.Algorithm {
			return nil, cloud.Errorf("InvalidRequest", "Checksum Type mismatch occurred, expected checksum Type: %s, actual checksum Type: %s", strings.ToLower(string(u.Algorithm)), strings.ToLower(string(given)))
		}
		return newDigest(in.Body, promise, u.algorithm()).with(u.algorithm()), nil
	})
	if err != nil {
		return nil, err
	}
	out := &api.UploadPartOutput{ETag: quoted(p.ETag), ServerSideEncryption: claim(u.Encrypted)}
	p.Sum.show(out)
	return out, nil
}

// storePart stores the part that open makes of the upload that it belongs to.
func (s *Service) storePart(ctx context.Context, at place, open func(*upload) (*digest, error)) (p *part, u *upload, err error) {
	err = s.space().View(ctx, func(ctx context.Context, r kv.Reader) (err error) {
		_, u, err = s.ownUpload(ctx, r, at.bucket, at.key, at.id, at.owner)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	d, err := open(u)
	if err != nil {
		return nil, nil, err
	}
	var key []byte
	if u.Encrypted {
		key = newKey()
	}
	c, err := s.keepLarge(ctx, d, key)
	if err != nil {
		return nil, nil, err
	}
	p = &part{number: at.number, Size: d.size, ETag: d.etag(), Sum: d.sum(), Modified: now(ctx), Blob: c.segments[0].Blob}
	if d.also != nil {
		p.Own = d.also.Sum(nil)
	}
	if err := s.putPart(ctx, at, p, key); err != nil {
		s.discard(ctx, c, err)
		return nil, nil, err
	}
	return p, u, nil
}

// putPart writes the row of a part whose body is encrypted under the key, if there is one.
func (s *Service) putPart(ctx context.Context, at place, p *part, key []byte) error {
	return s.space().Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		b, _, err := s.ownUpload(ctx, tx, at.bucket, at.key, at.id, at.owner)
		if err != nil {
			return err
		}
		if key != nil {
			if err := keyFor(tx, at.bucket, b); err != nil {
				return err
			}
			if p.Key, err = b.sealKey(key); err != nil {
				return err
			}
		}
		row, err := json.Marshal(p)
		if err != nil {
			return err
		}
		if err := s.deps.Refs.Retain(ctx, p.Blob); err != nil {
			return err
		}
		key := partKey(at.bucket, at.id, at.number)
		old, err := tx.Get(key)
		if err == nil {
			var before part
			if err := errors.Join(json.Unmarshal(old, &before), s.dropPart(ctx, tx, &before)); err != nil {
				return err
			}
		} else if !errors.Is(err, kv.ErrNotFound) {
			return err
		}
		return tx.Put(key, row)
	})
}

// UploadPartCopy makes a part of an upload of an object, or of a range of one.
func (s *Service) UploadPartCopy(ctx context.Context, in *api.UploadPartCopyInput) (*api.UploadPartCopyOutput, error) {
	at := place{in.Bucket, in.Key, in.UploadId, in.PartNumber, in.ExpectedBucketOwner}
	src, err := parseSource(in.CopySource)
	if err := errors.Join(err, checkMembers("UploadPartCopy", in), at.check()); err != nil {
		return nil, err
	}
	src.owner = in.ExpectedSourceBucketOwner
	src.condition = readCondition{
		match: in.CopySourceIfMatch, noneMatch: in.CopySourceIfNoneMatch, modified: in.CopySourceIfModifiedSince, unmodified: in.CopySourceIfUnmodifiedSince,
		matchName: "x-amz-copy-source-",
	}
	body, version, err := s.openSource(ctx, src, in.CopySourceRange)
	if err != nil {
		return nil, err
	}
	p, u, err := s.storePart(ctx, at, func(u *upload) (*digest, error) { return newDigest(body, promise{}, u.algorithm()), nil })
	if err = errors.Join(err, body.Close()); err != nil {
		return nil, err
	}
	result := &api.CopyPartResult{ETag: quoted(p.ETag), LastModified: &p.Modified}
	if u.Algorithm != "" {
		p.Sum.show(result)
	}
	return &api.UploadPartCopyOutput{CopyPartResult: result, CopySourceVersionId: version, ServerSideEncryption: claim(u.Encrypted)}, nil
}

// copyRange returns the part of a body of size bytes that a part is to be a copy of: unlike a reader's range, it has two ends that are both there.
func copyRange(header string, size int64) (offset, n int64, err error) {
	spec, isBytes := strings.CutPrefix(header, "bytes=")
	first, last, _ := strings.Cut(spec, "-")
	from, valid := parseSize(first)
	to, validTo := parseSize(last)
	switch {
	case !isBytes || !valid || !validTo || to < from:
		return 0, 0, invalidArgument("x-amz-copy-source-range", header, "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last "+
			"are the zero-based offsets of the first and last bytes to copy")
	case from >= size:
		return 0, 0, cloud.Errorf("InvalidRequest", "The specified copy range is invalid for the source object size")
	case to >= size:
		return 0, 0, invalidArgument("x-amz-copy-source-range", header, "Range specified is not valid for source object of size: %d", size)
	}
	return from, to - from + 1, nil
}

// openSource opens what a part is copied from.
func (s *Service) openSource(ctx context.Context, src source, header *string) (body *wire.Stream, version *string, err error) {
	var o original
	err = s.space().View(ctx, func(ctx context.Context, r kv.Reader) (err error) {
		o, err = s.readSource(ctx, r, src)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	offset, n := int64(0), o.Size
	if header != nil {
		if offset, n, err = copyRange(*header, o.Size); err != nil {
			return nil, nil, err
		}
	}
	if n > maxBody {
		return nil, nil, cloud.Errorf("InvalidRequest", "The specified copy source is larger than the maximum allowable size for a copy source: %d", int64(maxBody))
	}
	body, err = s.open(ctx, o.content, offset, n)
	return body, o.version, err
}

// ListParts lists the parts of an upload.
func (s *Service) ListParts(ctx context.Context, in *api.ListPartsInput) (*api.ListPartsOutput, error) {
	if err := checkMembers("ListParts", in); err != nil {
		return nil, err
	}
	limit, after := maxListed, wire.Value(in.PartNumberMarker)
	if in.MaxParts != nil {
		limit = min(int(*in.MaxParts), maxListed)
	}
	if limit < 0 || after < 0 {
		return nil, invalidArgument("max-parts", strconv.Itoa(limit), "Argument max-parts must be an integer between 0 and 2147483647")
	}
	id := wire.Ptr(canonicalID(cloud.CallOf(ctx).Account))
	out := &api.ListPartsOutput{
		Bucket: &in.Bucket, Key: &in.Key, UploadId: &in.UploadId, PartNumberMarker: &after, MaxParts: wire.Ptr(int32(limit)),
		Initiator: initiator(ctx), Owner: &api.Owner{ID: id}, IsTruncated: wire.Ptr(false),
	}
	err := s.space().View(ctx, func(ctx context.Context, r kv.Reader) error {
		_, u, err := s.ownUpload(ctx, r, in.Bucket, in.Key, in.UploadId, in.ExpectedBucketOwner)
		if err != nil {
			return err
		}
		out.StorageClass = wire.Ptr((&object{Class: u.Class}).class())
		if out.ChecksumType = u.kind(); u.Algorithm != "" {
			out.ChecksumAlgorithm = wire.Ptr(string(u.Algorithm))
		}
		parts, err := readParts(r, in.Bucket, in.UploadId, after, limit+1)
		showParts(out, parts, limit, u)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// showParts puts at most limit parts into the answer, and says whether there are more.
func showParts(out *api.ListPartsOutput, parts []*part, limit int, u *upload) {
	if len(parts) > limit {
		parts, out.IsTruncated = parts[:limit], wire.Ptr(true)
	}
	for _, p := range parts {
		row := api.Part{PartNumber: &p.number, LastModified: &p.Modified, ETag: quoted(p.ETag), Size: &p.Size}
		if u.Algorithm != "" {
			p.Sum.show(&row)
		}
		out.Parts = append(out.Parts, row)
		out.NextPartNumberMarker = &p.number
	}
}
