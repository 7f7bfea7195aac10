package s3

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"net/http"

	api "croft/internal/awsapi/s3"
	"croft/internal/cloud"
	"croft/internal/kv"
)

// name is a bucket and a key in it.
type name struct{ bucket, key string }

// null is the id of the version that has none. Source: S3 User Guide, "How S3 Versioning works".
const null = "null"

// versionEncoding writes the ids of versions: 32 characters of those that AWS's have.
func versionEncoding() *base64.Encoding {
	return base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._").WithPadding(base64.NoPadding)
}

// versionBytes is what a version's id is made of: its number, by which its row is found, random bytes, and, behind the first versionChecked, what
// tells an id from text of the same form. S3 answers differently for what never was an id.
const (
	versionBytes   = 24
	versionChecked = 20
)

func newVersionID(seq uint64) string {
	var b [versionBytes]byte
	binary.BigEndian.PutUint64(b[:8], seq)
	rand.Read(b[8:versionChecked])
	check := sha256.Sum256(b[:versionChecked])
	copy(b[versionChecked:], check[:])
	return versionEncoding().EncodeToString(b[:])
}

// versionSeq returns the number in a version's id, or InvalidArgument for what is none.
func versionSeq(id string) (uint64, error) {
	b, err := versionEncoding().Strict().DecodeString(id)
	valid := err == nil && len(b) == versionBytes
	if valid {
		check := sha256.Sum256(b[:versionChecked])
		valid = bytes.Equal(check[:versionBytes-versionChecked], b[versionChecked:])
	}
	if !valid {
		return 0, invalidArgument("versionId", id, "Invalid version id specified")
	}
	return binary.BigEndian.Uint64(b), nil
}

// checkVersion refuses what cannot be the id of a version.
func checkVersion(id *string) error {
	if id == nil || *id == null {
		return nil
	}
	_, err := versionSeq(*id)
	return err
}

// id is the version's id as clients know it.
func (o *object) id() string {
	if o.Version == "" {
		return null
	}
	return o.Version
}

// shownVersion is the id that answers about an object have: none in a bucket that has never had versions.
func (b *bucket) shownVersion(o *object) *string {
	if b.Versioning == "" {
		return nil
	}
	id := o.id()
	return &id
}

// madeVersion is the id that answers to writes have. A bucket whose versions are suspended gives none.
func (b *bucket) madeVersion(o *object) *string {
	if b.Versioning != api.BucketVersioningStatusEnabled {
		return nil
	}
	return &o.Version
}

func noSuchVersion(at name, id string) *cloud.Error {
	return with(cloud.Errorf("NoSuchVersion", "The specified version does not exist.").WithStatus(http.StatusNotFound), "Key", at.key, "VersionId", id)
}

// newestOlder returns the newest of the versions that are not the current object, or nil.
func newestOlder(r kv.Reader, at name) (*object, error) {
	for e, err := range r.Scan(versionsRange(at.bucket, at.key), kv.ScanOptions{Limit: 1}) {
		if err != nil {
			return nil, err
		}
		return decodeObject(e.Value)
	}
	return nil, nil
}

// getVersion returns a version, which may be a delete marker, and whether it is the current object. It touches a constant number of rows.
func getVersion(r kv.Reader, at name, id string) (o *object, current bool, err error) {
	o, err = lookObject(r, at.bucket, at.key)
	if err != nil {
		return nil, false, err
	}
	if o != nil && o.id() == id {
		return o, true, nil
	}
	var seq uint64
	if id == null {
		data, err := r.Get(nullKey(at.bucket, at.key))
		if errors.Is(err, kv.ErrNotFound) {
			return nil, false, noSuchVersion(at, id)
		}
		if err != nil {
			return nil, false, err
		}
		seq = kv.ReadKey(data, nil).Uint()
	} else if seq, err = versionSeq(id); err != nil {
		return nil, false, err
	}
	data, err := r.Get(versionKey(at.bucket, at.key, seq))
	if errors.Is(err, kv.ErrNotFound) {
		return nil, false, noSuchVersion(at, id)
	}
	if err != nil {
		return nil, false, err
	}
	if o, err = decodeObject(data); err == nil && o.id() != id {
		err = noSuchVersion(at, id)
	}
	return o, false, err
}

// readVersion returns the object that a request means: the current one, or the version of an id. A delete marker is no object. Source: S3 User
// Guide, "Working with delete markers".
func readVersion(r kv.Reader, b *bucket, at name, id *string) (*object, error) {
	if id == nil {
		o, err := readObject(r, at.bucket, at.key)
		if b.Versioning == "" || cloud.Code(err) != "NoSuchKey" {
			return o, err
		}
		marker, lookErr := newestOlder(r, at)
		if lookErr != nil {
			return nil, lookErr
		}
		if marker != nil {
			err = with(noSuchKey(at.key), "Key", at.key, "x-amz-delete-marker", "true", "x-amz-version-id", marker.id())
		}
		return nil, err
	}
	o, _, err := getVersion(r, at, *id)
	if err != nil {
		return nil, err
	}
	if o.Marker {
		return nil, markerNotAllowed(o, http.MethodGet)
	}
	return o, nil
}

func markerNotAllowed(o *object, method string) *cloud.Error {
	e := cloud.Errorf("MethodNotAllowed", "The specified method is not allowed against this resource.").WithStatus(http.StatusMethodNotAllowed)
	return with(e, "Method", method, "ResourceType", "DeleteMarker", "x-amz-delete-marker", "true", "x-amz-version-id", o.id(), "Allow", http.MethodDelete,
		"Last-Modified", o.Modified.UTC().Format(http.TimeFormat))
}

// tagged returns the version whose tags a request is for, and whether it is the current object. A delete marker that is the newest version is
// refused as one that is named.
func tagged(r kv.Reader, b *bucket, at name, id *string, method string) (o *object, current bool, err error) {
	if id != nil {
		o, current, err = getVersion(r, at, *id)
	} else {
		o, err = lookObject(r, at.bucket, at.key)
		if current = o != nil; !current && err == nil && b.Versioning != "" {
			o, err = newestOlder(r, at)
		}
		if o == nil && err == nil {
			err = noSuchKey(at.key)
		}
	}
	if err == nil && o.Marker {
		err = markerNotAllowed(o, method)
	}
	return o, current, err
}

// supersede makes room for o as the newest version of its key, and gives it its number and id. old is the current object, or nil. Its cost
// does not depend on how many versions there are.
func (s *Service) supersede(ctx context.Context, tx kv.Tx, b *bucket, at name, old, o *object) error {
	o.Version, o.Seq = "", 0
	if b.Versioning == "" {
		if old == nil {
			return nil
		}
		return s.dropBody(ctx, tx, at.bucket, at.key, old)
	}
	newest := old
	if old == nil {
		var err error
		if newest, err = newestOlder(tx, at); err != nil {
			return err
		}
	}
	o.Seq = uint64(max(cloud.CallOf(ctx).Now.UnixNano(), 1))
	if newest != nil {
		o.Seq = max(o.Seq, newest.Seq+1)
	}
	if b.Versioning == api.BucketVersioningStatusEnabled {
		o.Version = newVersionID(o.Seq)
		return s.retire(tx, at, old)
	}
	// The new version is the null version and takes the place of the one that was, wherever that lies.
	if old != nil && old.Version == "" {
		return s.dropBody(ctx, tx, at.bucket, at.key, old)
	}
	return errors.Join(s.dropNull(ctx, tx, at), s.retire(tx, at, old))
}

// retire moves the current object, which may be nil, among the older versions.
func (s *Service) retire(tx kv.Tx, at name, old *object) error {
	if old == nil {
		return nil
	}
	return errors.Join(putOlder(tx, at, old), tx.Delete(objectKey(at.bucket, at.key)))
}

func putOlder(tx kv.Tx, at name, o *object) error {
	row, err := json.Marshal(o)
	if err != nil {
		return err
	}
	if o.Version == "" {
		if err := tx.Put(nullKey(at.bucket, at.key), kv.Key(nil).Uint(o.Seq)); err != nil {
			return err
		}
	}
	return tx.Put(versionKey(at.bucket, at.key, o.Seq), row)
}

// dropNull removes the null version where it is an older one.
func (s *Service) dropNull(ctx context.Context, tx kv.Tx, at name) error {
	data, err := tx.Get(nullKey(at.bucket, at.key))
	if errors.Is(err, kv.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	row, err := tx.Get(versionKey(at.bucket, at.key, kv.ReadKey(data, nil).Uint()))
	if err != nil {
		return err
	}
	o, err := decodeObject(row)
	if err != nil {
		return err
	}
	return s.dropOlder(ctx, tx, at, o)
}

// dropOlder removes an older version or a delete marker.
func (s *Service) dropOlder(ctx context.Context, tx kv.Tx, at name, o *object) error {
	if o.Version == "" {
		if err := tx.Delete(nullKey(at.bucket, at.key)); err != nil {
			return err
		}
	}
	return errors.Join(s.dropBody(ctx, tx, at.bucket, at.key, o), tx.Delete(versionKey(at.bucket, at.key, o.Seq)))
}

// dropVersion removes a version for good. Where it was the newest, the next one is the current object, unless it is a delete marker.
func (s *Service) dropVersion(ctx context.Context, tx kv.Tx, at name, o *object, current bool) error {
	if current {
		if err := errors.Join(s.dropBody(ctx, tx, at.bucket, at.key, o), tx.Delete(objectKey(at.bucket, at.key))); err != nil {
			return err
		}
	} else if err := s.dropOlder(ctx, tx, at, o); err != nil {
		return err
	}
	if there, err := lookObject(tx, at.bucket, at.key); there != nil || err != nil {
		return err
	}
	next, err := newestOlder(tx, at)
	if err != nil || next == nil || next.Marker {
		return err
	}
	row, err := json.Marshal(next)
	if err != nil {
		return err
	}
	if next.Version == "" {
		if err := tx.Delete(nullKey(at.bucket, at.key)); err != nil {
			return err
		}
	}
	return errors.Join(tx.Put(objectKey(at.bucket, at.key), row), tx.Delete(versionKey(at.bucket, at.key, next.Seq)))
}

// writeVersion writes the row of a version whose body stays as it is.
func writeVersion(tx kv.Tx, at name, o *object, current bool) error {
	if !current {
		return putOlder(tx, at, o)
	}
	row, err := json.Marshal(o)
	if err != nil {
		return err
	}
	return tx.Put(objectKey(at.bucket, at.key), row)
}

// PutBucketVersioning says whether the bucket keeps versions. What it has kept stays.
func (s *Service) PutBucketVersioning(ctx context.Context, in *api.PutBucketVersioningInput) (*api.PutBucketVersioningOutput, error) {
	if err := checkMembers("PutBucketVersioning", in); err != nil {
		return nil, err
	}
	c := in.VersioningConfiguration
	switch {
	case c.MFADelete != nil && *c.MFADelete != api.MFADeleteDisabled:
		return nil, notImplemented("PutBucketVersioning", "MfaDelete", *c.MFADelete)
	case c.Status == nil:
		return nil, cloud.Errorf("IllegalVersioningConfigurationException", "The Versioning element must be specified")
	case *c.Status != api.BucketVersioningStatusEnabled && *c.Status != api.BucketVersioningStatusSuspended:
		return nil, cloud.Errorf("MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema")
	}
	err := s.space().Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		b, err := s.ownHere(ctx, tx, in.Bucket, in.ExpectedBucketOwner)
		if err != nil {
			return err
		}
		b.Versioning = *c.Status
		return write(tx, in.Bucket, b)
	})
	if err != nil {
		return nil, err
	}
	return new(api.PutBucketVersioningOutput), nil
}

// GetBucketVersioning says whether the bucket keeps versions; nothing, if it never has.
func (s *Service) GetBucketVersioning(ctx context.Context, in *api.GetBucketVersioningInput) (*api.GetBucketVersioningOutput, error) {
	out := new(api.GetBucketVersioningOutput)
	err := s.space().View(ctx, func(ctx context.Context, r kv.Reader) error {
		b, err := s.ownHere(ctx, r, in.Bucket, in.ExpectedBucketOwner)
		if err == nil && b.Versioning != "" {
			out.Status = &b.Versioning
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
