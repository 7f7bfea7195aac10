package s3

import (
	"bytes"
	"context"
	"errors"
	"io"

	"croft/internal/blob"
	"croft/internal/cloud"
	"croft/internal/wire"
)

const (
	// maxBody bounds a body that comes in one request. Source: S3 User Guide, "Amazon S3 multipart upload limits".
	maxBody = 5 << 30
	// maxInline is the size up to which a body lies in the store itself. Above, a file of its own costs less than the store's carrying the
	// body through its log and its levels; below, making a file durable costs more than all the rest of the request.
	maxInline = 16 << 10
)

// keep stores what r has, which is size bytes or -1 for an unknown number: in memory, for the row, if it is small, else in the blob store, where it is
// durable when keep returns. Either is encrypted, if it shall be, under a new key that the content has.
func (s *Service) keep(ctx context.Context, r io.Reader, size int64, encrypt bool) (c content, err error) {
	var head, key []byte
	if encrypt {
		key = newKey()
	}
	if size <= maxInline {
		head = make([]byte, min(uint64(size), maxInline)+1) // all of it where the size is not known
		n, err := io.ReadFull(r, head)
		head = head[:n]
		if err == io.EOF || err == io.ErrUnexpectedEOF { // as ReadFull returns them at the end of r, and nothing that wraps them
			return content{inline: head, key: key}, crypt(key, head, 0)
		}
		if err != nil {
			return content{}, err
		}
	}
	return s.keepLarge(ctx, io.MultiReader(bytes.NewReader(head), r), key)
}

// keepLarge stores a body in the blob store, encrypted if there is a key.
func (s *Service) keepLarge(ctx context.Context, r io.Reader, key []byte) (content, error) {
	r, err := crypted(key, r, 0)
	if err != nil {
		return content{}, err
	}
	ref, err := s.deps.Blobs.Put(ctx, r, maxBody)
	if errors.Is(err, blob.ErrTooLarge) {
		return content{}, cloud.Errorf("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
	}
	if err != nil {
		return content{}, err
	}
	return content{segments: []segment{{Blob: ref.ID, Size: ref.Size, Key: key}}}, nil
}

// discard removes a body that no transaction names because it was refused. A failure of another kind may have come after the commit: then
// the sweep decides.
func (s *Service) discard(ctx context.Context, c content, err error) {
	if cloud.Code(err) == "" {
		return
	}
	for _, seg := range c.segments {
		if err := s.deps.Blobs.Delete(context.WithoutCancel(ctx), seg.Blob); err != nil {
			s.deps.Log.Warn("a body that nobody names stays until the sweep", "err", err)
		}
	}
}

// open returns n bytes of the body from offset on, which it has. A body that is given up lingers in the blob store (package blobref), so one
// whose row was just read can be read to its end, whatever becomes of its object.
func (s *Service) open(ctx context.Context, c content, offset, n int64) (*wire.Stream, error) {
	if len(c.segments) == 0 {
		part := bytes.Clone(c.inline[offset : offset+n])
		return wire.NewStream(bytes.NewReader(part), n), crypt(c.key, part, offset)
	}
	r := &segments{ctx: ctx, blobs: s.deps.Blobs}
	for _, seg := range c.segments {
		if offset >= seg.Size {
			offset -= seg.Size
			continue
		}
		take := min(seg.Size-offset, n)
		if take == 0 {
			break
		}
		r.rest = append(r.rest, piece{id: seg.Blob, key: seg.Key, offset: offset, size: take})
		offset, n = 0, n-take
	}
	size := int64(0)
	for i := range r.rest {
		size += r.rest[i].size
	}
	// The first one now, while an error can still be the answer.
	if _, err := r.current(); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return wire.NewStream(r, size), nil
}

// piece is what is read of one segment.
type piece struct {
	id           string
	key          []byte
	offset, size int64
	body         blob.Body         // once it is open
	r            *io.LimitedReader // of body
	plain        io.Reader         // of r
}

// segments reads pieces behind each other. It is for one goroutine.
type segments struct {
	ctx   context.Context
	blobs blob.Store
	rest  []piece
}

func (r *segments) prepare(p *piece) error {
	if p.body != nil {
		return nil
	}
	body, _, err := r.blobs.Open(r.ctx, p.id)
	if err != nil {
		return err
	}
	p.body, p.r = body, &io.LimitedReader{R: body, N: p.size}
	if _, err := body.Seek(p.offset, io.SeekStart); err != nil {
		return err
	}
	p.plain, err = crypted(p.key, p.r, p.offset)
	return err
}

// current returns the piece to read, or nil at the end.
func (r *segments) current() (*piece, error) {
	for len(r.rest) > 0 {
		p := &r.rest[0]
		if err := r.prepare(p); err != nil {
			return nil, err
		}
		if p.r.N > 0 {
			return p, nil
		}
		r.rest = r.rest[1:]
		if err := p.body.Close(); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// Read implements io.Reader.
func (r *segments) Read(b []byte) (int, error) {
	p, err := r.current()
	if err != nil {
		return 0, err
	}
	if p == nil {
		return 0, io.EOF
	}
	n, err := p.plain.Read(b)
	if err != io.EOF {
		return n, err
	}
	if p.r.N > 0 {
		return n, io.ErrUnexpectedEOF
	}
	return n, nil
}

// WriteTo implements io.WriterTo: each piece is copied by itself, so that a file in the clear goes to a connection without passing through here.
func (r *segments) WriteTo(w io.Writer) (total int64, err error) {
	for {
		p, err := r.current()
		if p == nil || err != nil {
			return total, err
		}
		var n int64
		if p.key == nil {
			n, err = io.Copy(w, p.r)
		} else {
			n, err = copyCrypted(w, p.plain)
		}
		total += n
		if err != nil {
			return total, err
		}
		if p.r.N > 0 {
			return total, io.ErrUnexpectedEOF
		}
	}
}

// Close implements io.Closer.
func (r *segments) Close() error {
	var all []error
	for i := range r.rest {
		if r.rest[i].body != nil {
			all = append(all, r.rest[i].body.Close())
		}
	}
	r.rest = nil
	return errors.Join(all...)
}
