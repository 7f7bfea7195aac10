// Package s3blob keeps bodies in a bucket of S3, or of any server that speaks its protocol.
//
// A body is the object PREFIX/ID. What is put is first received completely, in memory when it is small and in an unnamed local file otherwise. So
// its length and hash are known when it is sent, a part that fails can be sent again, and the slowest client holds neither memory nor a
// connection to the bucket. The hash goes along as the object's metadata, and is checked when the body is read from its beginning to its end.
//
// Bodies over partSize are sent in parts. An upload that was cut off leaves its parts; Tidy aborts it.
//
// A bucket that keeps versions keeps every deleted body as well: give it a life-cycle rule, or bodies a bucket of their own.
package s3blob

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"

	"croft/internal/blob"
	"croft/internal/clock"
)

const (
	// small is up to which size a body is received in memory.
	small = 256 << 10
	// partSize is how much is sent in one request; more when there would be more than maxParts. Source: Amazon S3 User Guide, multipart
	// upload limits.
	partSize = 16 << 20
	maxParts = 10_000
	// maxBody is the largest object there is. Source: ibid.
	maxBody = 5 << 40
	// abreast is how many parts of one body are under way at once.
	abreast = 4
	// listPage is how many objects one listing or one deletion names. Source: API Reference, ListObjectsV2 and DeleteObjects.
	listPage = 1000
	// shaKey is the metadata that holds a body's hash.
	shaKey = "Sha256"
)

// Options say how a Store works.
type Options struct {
	// Clock gives the times of new bodies; the machine's when nil.
	Clock clock.Clock
	// Owner is the cloud that the bodies belong to, as blob.DirOptions has it.
	Owner string
	// Spool is the folder for what is being received; the system's for temporary files when empty.
	Spool string
}

// Store is a blob.Store in a bucket.
type Store struct {
	core   minio.Core
	idle   func()
	bucket string
	prefix string
	opts   Options
}

var _ blob.Store = (*Store)(nil)

// Open returns the store at a location of the form s3://BUCKET/PREFIX?endpoint=https://HOST:PORT&region=REGION&path-style=true, of which
// only the bucket is required. Credentials come from where AWS's tools look for them. The bucket must be there.
func Open(ctx context.Context, text string, o Options) (*Store, error) {
	l, err := parse(text)
	if err != nil {
		return nil, err
	}
	if o.Clock == nil {
		o.Clock = clock.Real()
	}
	core, idle, err := l.connect(ctx)
	if err != nil {
		return nil, err
	}
	s := &Store{core: core, bucket: l.bucket, prefix: l.prefix, opts: o, idle: idle}
	if o.Owner != "" {
		if err := s.claim(ctx); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Close gives up the connections that are not in use.
func (s *Store) Close() error {
	s.idle()
	return nil
}

// claim makes the place the owner's, or finds that it is somebody else's.
func (s *Store) claim(ctx context.Context) error {
	says, err := s.owner(ctx)
	if err != nil {
		return err
	}
	if says == "" {
		var opts minio.PutObjectOptions
		opts.SetMatchETagExcept("*") // only if it is not there
		sum := sha256.Sum256([]byte(s.opts.Owner))
		_, err := s.core.PutObject(ctx, s.bucket, s.prefix+blob.OwnerName, strings.NewReader(s.opts.Owner), int64(len(s.opts.Owner)), "",
			hex.EncodeToString(sum[:]), opts)
		if err != nil && minio.ToErrorResponse(err).Code != minio.PreconditionFailed {
			return fmt.Errorf("the bucket %s for bodies cannot be written: %w", s.bucket, err)
		}
		if says, err = s.owner(ctx); err != nil {
			return err
		}
	}
	return blob.CheckOwner("s3://"+s.bucket+"/"+s.prefix+blob.OwnerName, says, s.opts.Owner)
}

// owner returns whose the place is, empty when it is nobody's yet.
func (s *Store) owner(ctx context.Context) (string, error) {
	r, _, _, err := s.core.GetObject(ctx, s.bucket, s.prefix+blob.OwnerName, minio.GetObjectOptions{})
	if isNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("the bucket %s for bodies cannot be read: %w", s.bucket, err)
	}
	defer r.Close()
	says, err := io.ReadAll(io.LimitReader(r, blob.MaxOwner))
	return string(says), err
}

// Put implements blob.Store.
func (s *Store) Put(ctx context.Context, r io.Reader, limit int64) (blob.Ref, error) {
	h := sha256.New()
	limited := io.TeeReader(blob.Limit(ctx, r, min(limit, maxBody)), h)
	var head bytes.Buffer
	n, err := io.Copy(&head, io.LimitReader(limited, small))
	if err != nil {
		return blob.Ref{}, fmt.Errorf("blob: %w", err)
	}
	if n < small {
		return s.send(ctx, bytes.NewReader(head.Bytes()), n, h.Sum(nil))
	}
	f, err := s.spool()
	if err != nil {
		return blob.Ref{}, err
	}
	defer f.Close()
	n, err = io.Copy(f, io.MultiReader(&head, limited))
	if err != nil {
		return blob.Ref{}, fmt.Errorf("blob: %w", err)
	}
	return s.send(ctx, f, n, h.Sum(nil))
}

// spool returns a file that is gone when it is closed, or its process has ended.
func (s *Store) spool() (*os.File, error) {
	f, err := os.CreateTemp(s.opts.Spool, "croft-body-*")
	if err != nil {
		return nil, fmt.Errorf("blob: no room for what is received: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("blob: %w", err), f.Close())
	}
	return f, nil
}

// send makes an object of what was received.
func (s *Store) send(ctx context.Context, r io.ReaderAt, size int64, sum []byte) (blob.Ref, error) {
	ref := blob.Ref{ID: blob.NewID(s.opts.Clock.Now()), SHA256: hex.EncodeToString(sum), Size: size}
	opts := minio.PutObjectOptions{
		ContentType: "application/octet-stream", UserMetadata: map[string]string{shaKey: ref.SHA256},
		DisableContentSha256: true, // the hash is known: no need to sign piece by piece
	}
	var err error
	if size <= partSize {
		_, err = s.core.PutObject(ctx, s.bucket, s.prefix+ref.ID, io.NewSectionReader(r, 0, size), size, "", ref.SHA256, opts)
	} else {
		err = s.sendParts(ctx, s.prefix+ref.ID, r, size, opts)
	}
	if err != nil {
		return blob.Ref{}, failed(err)
	}
	return ref, nil
}

func (s *Store) sendParts(ctx context.Context, key string, r io.ReaderAt, size int64, opts minio.PutObjectOptions) (err error) {
	upload, err := s.core.NewMultipartUpload(ctx, s.bucket, key, opts)
	if err != nil {
		return err
	}
	defer func() {
		if err == nil {
			return
		}
		// Also when ctx has ended. What this does not reach is aborted by Tidy.
		late, cancel := clock.WithTimeout(context.WithoutCancel(ctx), clock.Real(), connectTime)
		defer cancel()
		_ = s.core.AbortMultipartUpload(late, s.bucket, key, upload)
	}()
	each := max(partSize, (size+maxParts-1)/maxParts)
	parts := make([]minio.CompletePart, (size+each-1)/each)
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(abreast)
	for i := range parts {
		group.Go(func() (err error) {
			at := int64(i) * each
			parts[i], err = s.sendPart(groupCtx, key, upload, i+1, io.NewSectionReader(r, at, min(each, size-at)))
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	_, err = s.core.CompleteMultipartUpload(ctx, s.bucket, key, upload, parts, minio.PutObjectOptions{})
	return err
}

func (s *Store) sendPart(ctx context.Context, key, upload string, number int, r *io.SectionReader) (minio.CompletePart, error) {
	if ctx.Err() != nil {
		return minio.CompletePart{}, ctx.Err()
	}
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return minio.CompletePart{}, err
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return minio.CompletePart{}, err
	}
	part, err := s.core.PutObjectPart(ctx, s.bucket, key, upload, number, r, r.Size(), minio.PutObjectPartOptions{
		Sha256Hex: hex.EncodeToString(h.Sum(nil)), DisableContentSha256: true,
	})
	return minio.CompletePart{PartNumber: number, ETag: part.ETag}, err
}

// Open implements blob.Store. The content is fetched as it is read.
func (s *Store) Open(ctx context.Context, id string) (blob.Body, int64, error) {
	if _, ok := blob.Created(id); !ok {
		return nil, 0, missing(ctx)
	}
	info, err := s.core.StatObject(ctx, s.bucket, s.prefix+id, minio.StatObjectOptions{})
	if isNotFound(err) {
		return nil, 0, blob.ErrNotFound
	}
	if err != nil {
		return nil, 0, failed(err)
	}
	return &body{ctx: ctx, s: s, key: s.prefix + id, size: info.Size, sha: info.UserMetadata[shaKey], sum: sha256.New()}, info.Size, nil
}

// missing returns the error for a body that cannot be there.
func missing(ctx context.Context) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return blob.ErrNotFound
}

// failed returns the error of a request to the endpoint: blob.ErrUnavailable is in its chain when the endpoint could not be asked, or could not do
// its work.
func failed(err error) error {
	var network *url.Error
	answer := minio.ToErrorResponse(err)
	if errors.As(err, &network) && !errors.Is(err, context.Canceled) || answer.StatusCode >= http.StatusInternalServerError {
		return fmt.Errorf("%w: %w", blob.ErrUnavailable, err)
	}
	return fmt.Errorf("blob: %w", err)
}

func isNotFound(err error) bool {
	return err != nil && minio.ToErrorResponse(err).Code == minio.NoSuchKey
}

// Delete implements blob.Store.
func (s *Store) Delete(ctx context.Context, id string) error {
	if _, ok := blob.Created(id); !ok {
		return ctx.Err()
	}
	err := s.core.RemoveObject(ctx, s.bucket, s.prefix+id, minio.RemoveObjectOptions{})
	if err != nil && !isNotFound(err) {
		return failed(err)
	}
	return nil
}

// List implements blob.Store. Objects that are no bodies are passed over.
func (s *Store) List(ctx context.Context, before time.Time) iter.Seq2[blob.Info, error] {
	end := s.prefix + blob.IDPrefix(before)
	return func(yield func(blob.Info, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		for o := range s.core.ListObjectsIter(ctx, s.bucket, minio.ListObjectsOptions{Prefix: s.prefix, Recursive: true, MaxKeys: listPage}) {
			if o.Err != nil {
				yield(blob.Info{}, failed(o.Err))
				return
			}
			if o.Key >= end { // keys come in order, and ids begin with their time
				return
			}
			id := strings.TrimPrefix(o.Key, s.prefix)
			created, ok := blob.Created(id)
			if ok && !yield(blob.Info{ID: id, Size: o.Size, Created: created}, nil) {
				return
			}
		}
		if ctx.Err() != nil { // which ends the listing without a word
			yield(blob.Info{}, ctx.Err())
		}
	}
}

// Tidy implements blob.Store: it aborts uploads.
func (s *Store) Tidy(ctx context.Context, before time.Time) (aborted int, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for u := range s.core.ListIncompleteUploads(ctx, s.bucket, s.prefix, true) {
		if u.Err != nil {
			return aborted, failed(u.Err)
		}
		begun, ok := blob.Created(strings.TrimPrefix(u.Key, s.prefix))
		if !ok || !begun.Before(before) {
			continue
		}
		err := s.core.AbortMultipartUpload(ctx, s.bucket, u.Key, u.UploadID)
		if err != nil && minio.ToErrorResponse(err).Code != minio.NoSuchUpload {
			return aborted, failed(err)
		}
		aborted++
	}
	return aborted, nil
}

// Clear implements blob.Store.
func (s *Store) Clear(ctx context.Context, before time.Time) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	names := make(chan minio.ObjectInfo)
	listed := make(chan error, 1)
	go func() {
		defer close(names)
		listed <- func() error {
			for info, err := range s.List(ctx, before) {
				if err != nil {
					return err
				}
				select {
				case names <- minio.ObjectInfo{Key: s.prefix + info.ID}:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return nil
		}()
	}()
	var failed error
	for e := range s.core.RemoveObjects(ctx, s.bucket, names, minio.RemoveObjectsOptions{}) {
		if failed == nil {
			failed = fmt.Errorf("blob: %w", e.Err)
			cancel() // the channel is read to its end all the same
		}
	}
	if err := <-listed; failed == nil {
		failed = err
	}
	return failed
}
