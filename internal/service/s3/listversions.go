package s3

import (
	"bytes"
	"context"
	"iter"

	api "croft/internal/awsapi/s3"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

// walk goes through all versions of a range of keys: by key, and the newest of a key first. It reads the current objects and the older
// versions beside each other. It is for one goroutine, and is closed.
type walk struct {
	bucket  string
	current row
	older   row
}

// row is the next entry of a scan.
type row struct {
	next func() (kv.Entry, error, bool)
	stop func()
	key  string
	o    *object // nil at the end
}

// version is what a walk yields.
type version struct {
	key    string
	o      *object
	latest bool
}

// openWalk begins behind a key, at the prefix, or in the middle of a key's versions.
func openWalk(r kv.Reader, l *listing, from kv.Range, older kv.Range) (*walk, error) {
	w := &walk{bucket: l.bucket}
	w.current.next, w.current.stop = iter.Pull2(r.Scan(from, kv.ScanOptions{}))
	w.older.next, w.older.stop = iter.Pull2(r.Scan(older, kv.ScanOptions{}))
	if err := w.advance(&w.current); err != nil {
		return w, err
	}
	return w, w.advance(&w.older)
}

func (w *walk) close() {
	w.current.stop()
	w.older.stop()
}

func (w *walk) advance(c *row) (err error) {
	e, err, ok := c.next()
	if c.o = nil; !ok || err != nil {
		return err
	}
	if c == &w.current {
		c.key = string(e.Key[len(objectsPrefix(w.bucket)):])
	} else {
		k := kv.ReadKey(e.Key, versionsPrefix(w.bucket))
		if c.key = k.Str(); k.Err() != nil {
			return k.Err()
		}
	}
	c.o, err = decodeObject(e.Value)
	return err
}

// take returns the next version, or nil at the end. before is the key of the one that was taken last.
func (w *walk) take(before string) (v *version, err error) {
	c := &w.older
	if w.current.o != nil && (w.older.o == nil || w.current.key <= w.older.key) {
		c = &w.current
	}
	if c.o == nil {
		return nil, nil
	}
	v = &version{key: c.key, o: c.o, latest: c == &w.current || c.key != before}
	return v, w.advance(c)
}

// olderFrom is the range of older versions that goes with a listing's range of current objects: those of the keys that have the prefix and come
// behind after, or behind all keys with the common prefix after.
func (l *listing) olderFrom(after string) kv.Range {
	part := func(s string) []byte { // the beginning of all keys that begin with s
		k := versionsPrefix(l.bucket).Str(s)
		return k[:len(k)-len(kv.Key(nil).Str(""))]
	}
	all := kv.PrefixRange(part(l.prefix))
	if after == "" || after < l.prefix {
		return all
	}
	start := kv.PrefixRange(versionsPrefix(l.bucket).Str(after)).End
	if len(after) >= len(l.prefix) && after[:len(l.prefix)] == l.prefix && l.common(after) == after {
		start = kv.PrefixRange(part(after)).End
	}
	if bytes.Compare(start, all.End) > 0 {
		start = all.End
	}
	return kv.Range{Start: start, End: all.End}
}

// versionPage is a page of ListObjectVersions.
type versionPage struct {
	out *api.ListObjectVersionsOutput
	n   int
	// lastKey and lastID are of the last version on the page. The id is empty behind a common prefix.
	lastKey, lastID string
}

// versions reads a page of versions into out. It touches one row for each version and one for each common prefix.
func (l *listing) versions(r kv.Reader, in *api.ListObjectVersionsInput, out *api.ListObjectVersionsOutput) (more bool, err error) {
	if l.limit == 0 {
		return false, nil
	}
	p := &versionPage{out: out}
	from, older, before, err := l.versionStart(r, in)
	for jumped := true; jumped && err == nil; {
		jumped, more, err = l.walkVersions(r, p, from, older, before)
		from, older, before = l.start(objectsPrefix(l.bucket), p.lastKey), l.olderFrom(p.lastKey), p.lastKey
	}
	if err == nil && more {
		out.NextKeyMarker = l.shown(p.lastKey)
		if p.lastID != "" {
			out.NextVersionIdMarker = &p.lastID
		}
	}
	return more, err
}

// versionStart finds out where a page begins. With a version's id that is behind that version, among its key's older ones.
func (l *listing) versionStart(r kv.Reader, in *api.ListObjectVersionsInput) (from, older kv.Range, before string, err error) {
	after, id := wire.Value(in.KeyMarker), wire.Value(in.VersionIdMarker)
	from, older = l.start(objectsPrefix(l.bucket), after), l.olderFrom(after)
	if id == "" {
		return from, older, "", nil
	}
	at := name{l.bucket, after}
	seq := uint64(0)
	if id == null {
		o, _, err := getVersion(r, at, id)
		if cloud.Code(err) == "NoSuchVersion" {
			return from, older, "", nil
		}
		if err != nil {
			return from, older, "", err
		}
		seq = o.Seq
	} else if seq, err = versionSeq(id); err != nil {
		return from, older, "", err
	}
	if rest := append(versionKey(l.bucket, after, seq), 0); bytes.Compare(rest, older.Start) < 0 && len(after) >= len(l.prefix) && after[:len(l.prefix)] == l.prefix {
		older.Start = rest
	}
	return from, older, after, nil
}

// walkVersions goes on until the page is full, the end, or a common prefix that is jumped over.
func (l *listing) walkVersions(r kv.Reader, p *versionPage, from, older kv.Range, before string) (jumped, more bool, err error) {
	w, err := openWalk(r, l, from, older)
	defer w.close()
	for err == nil {
		var v *version
		if v, err = w.take(before); v == nil || err != nil {
			return false, false, err
		}
		if p.n == l.limit {
			return false, true, nil
		}
		p.n++
		if c := l.common(v.key); c != "" {
			p.out.CommonPrefixes = append(p.out.CommonPrefixes, api.CommonPrefix{Prefix: l.shown(c)})
			p.lastKey, p.lastID = c, ""
			return true, false, nil
		}
		l.addVersion(p.out, v)
		before, p.lastKey, p.lastID = v.key, v.key, v.o.id()
	}
	return false, false, err
}

func (l *listing) addVersion(out *api.ListObjectVersionsOutput, v *version) {
	if v.o.Marker {
		out.DeleteMarkers = append(out.DeleteMarkers, api.DeleteMarkerEntry{
			Key: l.shown(v.key), VersionId: wire.Ptr(v.o.id()), IsLatest: &v.latest, LastModified: &v.o.Modified, Owner: l.owner,
		})
		return
	}
	shown := l.row(v.key, v.o)
	out.Versions = append(out.Versions, api.ObjectVersion{
		Key: shown.Key, VersionId: wire.Ptr(v.o.id()), IsLatest: &v.latest, LastModified: shown.LastModified, ETag: shown.ETag, Size: shown.Size,
		StorageClass: shown.StorageClass, Owner: l.owner, ChecksumAlgorithm: shown.ChecksumAlgorithm, ChecksumType: shown.ChecksumType,
	})
}

// ListObjectVersions lists the versions of a bucket's objects and its delete markers.
func (s *Service) ListObjectVersions(ctx context.Context, in *api.ListObjectVersionsInput) (*api.ListObjectVersionsOutput, error) {
	l, err := newListing(ctx, in.Bucket, in.Prefix, in.Delimiter, in.EncodingType, in.MaxKeys)
	if err != nil {
		return nil, err
	}
	switch {
	case in.VersionIdMarker != nil && in.KeyMarker == nil:
		return nil, invalidArgument("version-id-marker", *in.VersionIdMarker, "A version-id marker cannot be specified without a key marker.")
	case in.VersionIdMarker != nil && *in.VersionIdMarker == "":
		return nil, invalidArgument("version-id-marker", "", "A version-id marker cannot be empty.")
	}
	if err := checkVersion(in.VersionIdMarker); err != nil {
		return nil, err
	}
	out := &api.ListObjectVersionsOutput{
		Name: &in.Bucket, Prefix: l.shown(l.prefix), Delimiter: l.optional(l.delimiter), KeyMarker: l.shown(wire.Value(in.KeyMarker)),
		VersionIdMarker: wire.Ptr(wire.Value(in.VersionIdMarker)), MaxKeys: wire.Ptr(int32(l.limit)), EncodingType: in.EncodingType,
	}
	err = s.space().View(ctx, func(ctx context.Context, r kv.Reader) error {
		if _, err := s.ownHere(ctx, r, in.Bucket, in.ExpectedBucketOwner); err != nil {
			return err
		}
		more, err := l.versions(r, in, out)
		out.IsTruncated = &more
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
