package s3

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"net/url"
	"strings"

	api "croft/internal/awsapi/s3"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

// maxListed bounds a page of a listing. Source: S3 API Reference, ListObjectsV2.
const maxListed = 1000

// listing is a request for a page of a bucket's objects, in the order of their keys' bytes.
type listing struct {
	bucket, prefix, delimiter string
	// after is the last key or common prefix that is not wanted any more.
	after string
	limit int
	url   bool // keys are URL-encoded in the answer
	owner *api.Owner
	// initiator is who is said to have begun uploads.
	initiator *api.Initiator
}

// page is a part of a listing.
type page struct {
	objects  []api.Object
	prefixes []api.CommonPrefix
	// last is the last key or common prefix; more says that others follow.
	last string
	more bool
}

func newListing(ctx context.Context, bucket string, prefix, delimiter, encoding *string, maxKeys *int32) (*listing, error) {
	l := &listing{bucket: bucket, prefix: wire.Value(prefix), delimiter: wire.Value(delimiter), limit: maxListed}
	if maxKeys != nil {
		if *maxKeys < 0 {
			return nil, invalidArgument("max-keys", itoa(int(*maxKeys)), "Argument maxKeys must be an integer between 0 and 2147483647")
		}
		l.limit = min(int(*maxKeys), maxListed)
	}
	if encoding != nil && *encoding != api.EncodingTypeUrl {
		return nil, invalidArgument("encoding-type", *encoding, "Invalid Encoding Method specified in Request")
	}
	l.url = encoding != nil
	l.owner = &api.Owner{ID: wire.Ptr(canonicalID(cloud.CallOf(ctx).Account))}
	return l, nil
}

// shown returns a key as the answer has it.
func (l *listing) shown(key string) *string {
	if l.url {
		key = strings.ReplaceAll(strings.ReplaceAll(url.QueryEscape(key), "%2F", "/"), "+", "%20")
	}
	return &key
}

// optional is shown for what the answer leaves out when it is empty.
func (l *listing) optional(text string) *string {
	if text == "" {
		return nil
	}
	return l.shown(text)
}

// common returns the common prefix to which a key belongs, or "".
func (l *listing) common(key string) string {
	if l.delimiter == "" {
		return ""
	}
	i := strings.Index(key[len(l.prefix):], l.delimiter)
	if i < 0 {
		return ""
	}
	return key[:len(l.prefix)+i+len(l.delimiter)]
}

// start returns the range in which the listing goes on behind a key or a whole common prefix.
func (l *listing) start(base kv.Key, after string) kv.Range {
	r := kv.PrefixRange(base.Raw([]byte(l.prefix)...))
	if after == "" || after < l.prefix {
		return r
	}
	behind := kv.Range{Start: append(base.Raw([]byte(after)...), 0), End: r.End}
	if strings.HasPrefix(after, l.prefix) && l.common(after) == after {
		behind.Start = kv.PrefixRange(base.Raw([]byte(after)...)).End
	}
	if bytes.Compare(behind.Start, behind.End) > 0 {
		behind.Start = behind.End // nothing is left
	}
	return behind
}

// read reads a page. It touches one row for each object, and one for each common prefix, however many objects that has.
func (l *listing) read(r kv.Reader) (p page, err error) {
	base, after := objectsPrefix(l.bucket), l.after
	if l.limit == 0 {
		return p, nil
	}
	for {
		jumped := false
		for e, err := range r.Scan(l.start(base, after), kv.ScanOptions{}) {
			if err != nil {
				return p, err
			}
			key := string(e.Key[len(base):])
			if len(p.objects)+len(p.prefixes) == l.limit {
				p.more = true
				return p, nil
			}
			if c := l.common(key); c != "" {
				p.prefixes = append(p.prefixes, api.CommonPrefix{Prefix: l.shown(c)})
				p.last, after, jumped = c, c, true
				break
			}
			o, err := decodeObject(e.Value)
			if err != nil {
				return p, err
			}
			p.objects = append(p.objects, l.row(key, o))
			p.last = key
		}
		if !jumped {
			return p, nil
		}
	}
}

func (l *listing) row(key string, o *object) api.Object {
	row := api.Object{
		Key: l.shown(key), LastModified: &o.Modified, ETag: quoted(o.ETag), Size: &o.Size, StorageClass: wire.Ptr(o.class()), Owner: l.owner,
	}
	if o.Sum.Algorithm != "" {
		row.ChecksumAlgorithm, row.ChecksumType = []string{string(o.Sum.Algorithm)}, wire.Ptr(o.Sum.kind())
	}
	return row
}

// page reads a page of a bucket that is the caller's.
func (s *Service) page(ctx context.Context, l *listing, owner *string) (p page, err error) {
	err = s.space().View(ctx, func(ctx context.Context, r kv.Reader) error {
		if _, err := s.ownHere(ctx, r, l.bucket, owner); err != nil {
			return err
		}
		p, err = l.read(r)
		return err
	})
	return p, err
}

// ListObjects lists a bucket's objects in the older form, whose pages go on behind a key.
func (s *Service) ListObjects(ctx context.Context, in *api.ListObjectsInput) (*api.ListObjectsOutput, error) {
	l, err := newListing(ctx, in.Bucket, in.Prefix, in.Delimiter, in.EncodingType, in.MaxKeys)
	if err != nil {
		return nil, err
	}
	// A marker below a common prefix is behind all of it.
	if l.after = wire.Value(in.Marker); strings.HasPrefix(l.after, l.prefix) {
		l.after = cmp.Or(l.common(l.after), l.after)
	}
	p, err := s.page(ctx, l, in.ExpectedBucketOwner)
	if err != nil {
		return nil, err
	}
	out := &api.ListObjectsOutput{
		IsTruncated: &p.more, Marker: l.shown(wire.Value(in.Marker)), Contents: p.objects, Name: &in.Bucket, Prefix: l.shown(l.prefix), Delimiter: l.optional(l.delimiter),
		MaxKeys: wire.Ptr(int32(l.limit)), CommonPrefixes: p.prefixes, EncodingType: in.EncodingType,
	}
	// Without a delimiter, clients go on behind the last key.
	if p.more && l.delimiter != "" {
		out.NextMarker = l.shown(p.last)
	}
	return out, nil
}

// ListObjectsV2 lists a bucket's objects.
func (s *Service) ListObjectsV2(ctx context.Context, in *api.ListObjectsV2Input) (*api.ListObjectsV2Output, error) {
	l, err := newListing(ctx, in.Bucket, in.Prefix, in.Delimiter, in.EncodingType, in.MaxKeys)
	if err != nil {
		return nil, err
	}
	l.after = wire.Value(in.StartAfter)
	if in.ContinuationToken != nil {
		after, err := base64.RawURLEncoding.DecodeString(*in.ContinuationToken)
		if err != nil || len(after) == 0 {
			return nil, with(cloud.Errorf("InvalidArgument", "The continuation token provided is incorrect"), "ArgumentName", "continuation-token")
		}
		l.after = string(after)
	}
	if !wire.Value(in.FetchOwner) {
		l.owner = nil
	}
	p, err := s.page(ctx, l, in.ExpectedBucketOwner)
	if err != nil {
		return nil, err
	}
	out := &api.ListObjectsV2Output{
		IsTruncated: &p.more, Contents: p.objects, Name: &in.Bucket, Prefix: l.shown(l.prefix), Delimiter: l.optional(l.delimiter),
		MaxKeys: wire.Ptr(int32(l.limit)), CommonPrefixes: p.prefixes, EncodingType: in.EncodingType,
		KeyCount: wire.Ptr(int32(len(p.objects) + len(p.prefixes))), ContinuationToken: in.ContinuationToken,
	}
	if in.StartAfter != nil && in.ContinuationToken == nil {
		out.StartAfter = l.shown(*in.StartAfter)
	}
	if p.more {
		out.NextContinuationToken = wire.Ptr(base64.RawURLEncoding.EncodeToString([]byte(p.last)))
	}
	return out, nil
}
