package s3

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	api "croft/internal/awsapi/s3"
	"croft/internal/checksum"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

// The limits of uploads. Source: S3 User Guide, "Amazon S3 multipart upload limits".
const (
	maxParts   = 10_000
	minPart    = 5 << 20 // of all parts but the last
	maxUploads = 1000    // listed on a page
)

// upload is the row of an upload in parts that has not ended.
type upload struct {
	Begun     time.Time          `json:"m"`
	Algorithm checksum.Algorithm `json:"a,omitempty"`
	Composite bool               `json:"c,omitempty"`
	// Encrypted says that the parts are encrypted where they lie.
	Encrypted bool    `json:"se,omitempty"`
	ACL       []grant `json:"al,omitzero"`
	Class     string  `json:"sc,omitempty"`
	// Since is Begun in nanoseconds since 1970.
	Since int64 `json:"w,omitempty"`
	properties
}

// algorithm is the checksum that the parts have.
func (u *upload) algorithm() checksum.Algorithm {
	if u.Algorithm == "" {
		return usual
	}
	return u.Algorithm
}

func readUpload(r kv.Reader, bucket, key, id string) (*upload, error) {
	data, err := r.Get(uploadKey(bucket, key, id))
	if errors.Is(err, kv.ErrNotFound) {
		e := api.NewNoSuchUpload("The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.")
		return nil, with(e, "UploadId", id)
	}
	if err != nil {
		return nil, err
	}
	u := new(upload)
	return u, json.Unmarshal(data, u)
}

// ownUpload returns an upload in a bucket of the caller's, and the bucket.
func (s *Service) ownUpload(ctx context.Context, r kv.Reader, bucketName, key, id string, owner *string) (*bucket, *upload, error) {
	b, err := s.ownHere(ctx, r, bucketName, owner)
	if err != nil {
		return nil, nil, err
	}
	u, err := readUpload(r, bucketName, key, id)
	return b, u, err
}

// idDigits is how long the ids of uploads are. Who knows one can add to the object that it will make, so they cannot be guessed.
const idDigits = 64

// CreateMultipartUpload begins an upload in parts.
func (s *Service) CreateMultipartUpload(ctx context.Context, in *api.CreateMultipartUploadInput) (*api.CreateMultipartUploadOutput, error) {
	o, err := s.newObject(ctx, "CreateMultipartUpload", in, in.Key)
	if err != nil {
		return nil, err
	}
	u := &upload{Begun: o.Modified, properties: o.properties, Class: o.Class, Since: cloud.CallOf(ctx).Now.UnixNano()}
	if err := u.chooseSum(in); err != nil {
		return nil, err
	}
	id := cloud.RandomString(idDigits, cloud.LowerAlnum)
	err = s.space().Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		b, err := s.ownHere(ctx, tx, in.Bucket, in.ExpectedBucketOwner)
		if err == nil {
			err = o.admitOwnACL(ctx, tx, b, name{in.Bucket, in.Key})
		}
		if err != nil {
			return err
		}
		u.ACL = o.ACL
		if u.Encrypted, err = s.encryptsNew(tx, in.Bucket, in.ServerSideEncryption); err != nil {
			return err
		}
		row, err := json.Marshal(u)
		if err != nil {
			return err
		}
		return tx.Put(uploadKey(in.Bucket, in.Key, id), row)
	})
	if err != nil {
		return nil, err
	}
	return &api.CreateMultipartUploadOutput{
		Bucket: &in.Bucket, Key: &in.Key, UploadId: &id, ServerSideEncryption: claim(u.Encrypted), ChecksumAlgorithm: in.ChecksumAlgorithm, ChecksumType: u.kind(),
	}, nil
}

func (u *upload) kind() *string {
	if u.Algorithm == "" {
		return nil
	}
	return wire.Ptr(sum{Composite: u.Composite}.kind())
}

// chooseSum reads which checksum the parts are to have and what becomes of theirs. Source: S3 User Guide, "Checking object integrity", the
// table of full object and composite checksums.
func (u *upload) chooseSum(in *api.CreateMultipartUploadInput) error {
	if in.ChecksumAlgorithm == nil {
		if in.ChecksumType != nil {
			return cloud.Errorf("InvalidRequest", "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.")
		}
		return nil
	}
	a, ok := checksum.Parse(*in.ChecksumAlgorithm)
	if !ok {
		return unknownAlgorithm("CreateMultipartUpload", *in.ChecksumAlgorithm)
	}
	u.Algorithm, u.Composite = a, a != checksum.CRC64NVME
	switch kind := wire.Value(in.ChecksumType); {
	case in.ChecksumType == nil:
	case kind == api.ChecksumTypeFULLOBJECT && a.Linear():
		u.Composite = false
	case kind == api.ChecksumTypeCOMPOSITE && a != checksum.CRC64NVME:
		u.Composite = true
	case kind == api.ChecksumTypeFULLOBJECT || kind == api.ChecksumTypeCOMPOSITE:
		return cloud.Errorf("InvalidRequest", "The %s checksum type cannot be used with the %s checksum algorithm.", kind, strings.ToLower(string(a)))
	default:
		return cloud.Errorf("InvalidRequest", "Value for x-amz-checksum-type header is invalid.")
	}
	return nil
}

// AbortMultipartUpload ends an upload and gives up its parts.
func (s *Service) AbortMultipartUpload(ctx context.Context, in *api.AbortMultipartUploadInput) (*api.AbortMultipartUploadOutput, error) {
	if in.IfMatchInitiatedTime != nil {
		return nil, notImplemented("AbortMultipartUpload", "x-amz-if-match-initiated-time", "set")
	}
	err := s.space().Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		if _, _, err := s.ownUpload(ctx, tx, in.Bucket, in.Key, in.UploadId, in.ExpectedBucketOwner); err != nil {
			return err
		}
		return s.abort(ctx, tx, in.Bucket, in.Key, in.UploadId)
	})
	if err != nil {
		return nil, err
	}
	return new(api.AbortMultipartUploadOutput), nil
}

// abort gives up an upload and those of its parts that are still there.
func (s *Service) abort(ctx context.Context, tx kv.Tx, bucket, key, id string) error {
	parts, err := readParts(tx, bucket, id, 0, 0)
	if err != nil {
		return err
	}
	for _, p := range parts {
		if err := errors.Join(s.dropPart(ctx, tx, p), tx.Delete(partKey(bucket, id, p.number))); err != nil {
			return err
		}
	}
	return tx.Delete(uploadKey(bucket, key, id))
}

// ListMultipartUploads lists the uploads of a bucket that have not ended, by key.
func (s *Service) ListMultipartUploads(ctx context.Context, in *api.ListMultipartUploadsInput) (*api.ListMultipartUploadsOutput, error) {
	l, err := newListing(ctx, in.Bucket, in.Prefix, in.Delimiter, in.EncodingType, in.MaxUploads)
	if err != nil {
		return nil, err
	}
	l.initiator = initiator(ctx)
	out := &api.ListMultipartUploadsOutput{
		Bucket: &in.Bucket, KeyMarker: l.shown(wire.Value(in.KeyMarker)), UploadIdMarker: wire.Ptr(wire.Value(in.UploadIdMarker)),
		Prefix: l.optional(l.prefix), Delimiter: l.optional(l.delimiter), MaxUploads: wire.Ptr(int32(l.limit)), EncodingType: in.EncodingType,
	}
	err = s.space().View(ctx, func(ctx context.Context, r kv.Reader) error {
		if _, err := s.ownHere(ctx, r, in.Bucket, in.ExpectedBucketOwner); err != nil {
			return err
		}
		more, err := l.uploads(r, in, out)
		out.IsTruncated = &more
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// uploads reads a page of uploads into out.
func (l *listing) uploads(r kv.Reader, in *api.ListMultipartUploadsInput, out *api.ListMultipartUploadsOutput) (more bool, err error) {
	base := uploadsPrefix(l.bucket)
	rng := kv.PrefixRange(base)
	after, afterID := wire.Value(in.KeyMarker), wire.Value(in.UploadIdMarker)
	n, last, lastID := 0, "", ""
	for e, err := range r.Scan(rng, kv.ScanOptions{}) {
		if err != nil {
			return false, err
		}
		k := kv.ReadKey(e.Key, base)
		key, id := k.Str(), string(k.Rest())
		c := ""
		switch {
		case k.Err() != nil:
			return false, k.Err()
		case len(key) < len(l.prefix) || key[:len(l.prefix)] != l.prefix, key < after, key == after && (afterID == "" || id <= afterID):
			continue
		}
		if c = l.common(key); c != "" && (c == last || c <= after) {
			continue
		}
		if n == l.limit {
			out.NextKeyMarker, out.NextUploadIdMarker = l.shown(last), &lastID
			return true, nil
		}
		n, last, lastID = n+1, key, id
		if c != "" {
			last, lastID = c, ""
			out.CommonPrefixes = append(out.CommonPrefixes, api.CommonPrefix{Prefix: l.shown(c)})
			continue
		}
		u := new(upload)
		if err := json.Unmarshal(e.Value, u); err != nil {
			return false, err
		}
		out.Uploads = append(out.Uploads, l.upload(key, id, u))
	}
	if len(out.Uploads) > 0 {
		out.NextKeyMarker, out.NextUploadIdMarker = l.shown(last), &lastID // S3 says where it has come to at the end too
	}
	return false, nil
}

// initiator is who began an upload: the caller's account, since nobody else gets to it.
func initiator(ctx context.Context) *api.Initiator {
	call := cloud.CallOf(ctx)
	return &api.Initiator{ID: wire.Ptr(canonicalID(call.Account)), DisplayName: &call.Account}
}

func (l *listing) upload(key, id string, u *upload) api.MultipartUpload {
	row := api.MultipartUpload{
		UploadId: &id, Key: l.shown(key), Initiated: &u.Begun, StorageClass: wire.Ptr((&object{Class: u.Class}).class()), Owner: l.owner,
		Initiator: l.initiator, ChecksumType: u.kind(),
	}
	if u.Algorithm != "" {
		row.ChecksumAlgorithm = wire.Ptr(string(u.Algorithm))
	}
	return row
}
