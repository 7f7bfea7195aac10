package s3

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	api "croft/internal/awsapi/s3"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

// CompleteMultipartUpload makes the object of the parts that the request lists. Their bodies stay where they are, behind each other; the
// other parts are given up.
func (s *Service) CompleteMultipartUpload(ctx context.Context, in *api.CompleteMultipartUploadInput) (*api.CompleteMultipartUploadOutput, error) {
	if err := checkMembers("CompleteMultipartUpload", in); err != nil {
		return nil, err
	}
	if in.MultipartUpload != nil && len(in.MultipartUpload.Parts) > maxParts {
		return nil, cloud.Errorf("MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema")
	}
	var o *object
	var b *bucket
	err := s.space().Update(ctx, func(ctx context.Context, tx kv.Tx) (err error) {
		if b, err = s.ownHere(ctx, tx, in.Bucket, in.ExpectedBucketOwner); err == nil {
			o, err = s.complete(ctx, tx, b, in)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &api.CompleteMultipartUploadOutput{
		Location: wire.Ptr(s.deps.Endpoint(ctx) + "/" + in.Bucket + "/" + *(&listing{url: true}).shown(in.Key)),
		Bucket:   &in.Bucket, Key: &in.Key, ETag: quoted(o.ETag), ServerSideEncryption: claim(o.Encrypted), VersionId: b.madeVersion(o),
	}
	o.Sum.show(out)
	return out, nil
}

func (s *Service) complete(ctx context.Context, tx kv.Tx, b *bucket, in *api.CompleteMultipartUploadInput) (*object, error) {
	u, err := readUpload(tx, in.Bucket, in.Key, in.UploadId)
	if err != nil {
		return nil, err
	}
	if in.MultipartUpload == nil || len(in.MultipartUpload.Parts) == 0 {
		return nil, cloud.Errorf("InvalidRequest", "You must specify at least one part")
	}
	all, err := readParts(tx, in.Bucket, in.UploadId, 0, 0)
	if err != nil {
		return nil, err
	}
	chosen, err := choose(all, in, u)
	if err != nil {
		return nil, err
	}
	o := &object{Modified: now(ctx), properties: u.properties, Encrypted: u.Encrypted, ACL: u.ACL, Class: u.Class}
	c, err := o.assemble(chosen, u)
	if err != nil {
		return nil, err
	}
	if err := checkWhole(o, in, u); err != nil {
		return nil, err
	}
	old, err := lookObject(tx, in.Bucket, in.Key)
	if err != nil {
		return nil, err
	}
	if err := (writeCondition{match: in.IfMatch, noneMatch: in.IfNoneMatch}).check(in.Key, old); err != nil {
		return nil, err
	}
	if in.IfMatch != nil && u.Since != 0 && old.Written >= u.Since {
		e := cloud.Errorf("ConditionalRequestConflict", "The conditional request cannot succeed due to a conflicting operation against this resource.")
		return nil, with(e.WithStatus(http.StatusConflict), "Condition", "If-Match", "Key", in.Key)
	}
	// The bodies of the chosen parts pass to the object; without their rows, the end of the upload does not give them up.
	for _, p := range chosen {
		if err := tx.Delete(partKey(in.Bucket, in.UploadId, p.number)); err != nil {
			return nil, err
		}
	}
	if err := s.abort(ctx, tx, in.Bucket, in.Key, in.UploadId); err != nil {
		return nil, err
	}
	return o, s.writeObject(ctx, tx, b, name{in.Bucket, in.Key}, old, o, c, api.EventS3ObjectCreatedCompleteMultipartUpload)
}

// choose returns the parts that the request lists, which are there, in order, and as the client knows them.
func choose(all []*part, in *api.CompleteMultipartUploadInput, u *upload) (chosen []*part, err error) {
	byNumber := make(map[int32]*part, len(all))
	for _, p := range all {
		byNumber[p.number] = p
	}
	last := int32(0)
	for i := range in.MultipartUpload.Parts {
		listed := &in.MultipartUpload.Parts[i]
		n := wire.Value(listed.PartNumber)
		if n <= last {
			return nil, with(cloud.Errorf("InvalidPartOrder", "The list of parts was not in ascending order. Parts must be ordered by part number."), "UploadId", in.UploadId)
		}
		last = n
		p := byNumber[n]
		if p == nil || !sameETag(wire.Value(listed.ETag), p.ETag) || wire.Value(listed.ETag) == "*" {
			e := cloud.Errorf("InvalidPart", "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may "+
				"not match the part's entity tag.")
			return nil, with(e, "PartNumber", itoa(int(n)), "ETag", wire.Value(listed.ETag), "UploadId", in.UploadId)
		}
		if err := checkListed(listed, p, u); err != nil {
			return nil, err
		}
		chosen = append(chosen, p)
	}
	for _, p := range chosen[:len(chosen)-1] {
		if p.Size < minPart {
			return nil, with(cloud.Errorf("EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size"), "ProposedSize", strconv.FormatInt(p.Size, 10),
				"MinSizeAllowed", itoa(minPart), "PartNumber", itoa(int(p.number)), "ETag", p.ETag)
		}
	}
	return chosen, nil
}

// checkListed compares the checksum that a request gives for a part.
func checkListed(listed *api.CompletedPart, p *part, u *upload) error {
	given, err := promised(listed, nil, nil)
	if err != nil {
		return err
	}
	switch {
	case given.value == "" && u.Composite:
		return cloud.Errorf("InvalidRequest", "The upload was created using a %s checksum. The complete request must include the checksum for each part. "+
			"It was missing for part %d in the request.", strings.ToLower(string(u.Algorithm)), p.number)
	case given.value != "" && (given.algorithm != p.Sum.Algorithm || given.value != p.Sum.Value):
		e := cloud.Errorf("InvalidPart", "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may "+
			"not match the part's entity tag.")
		return with(e, "PartNumber", itoa(int(p.number)))
	}
	return nil
}

// assemble fills in what the object has of its parts, and returns where its body lies.
func (o *object) assemble(parts []*part, u *upload) (c content, err error) {
	etags, sums := md5.New(), u.algorithm().New()
	var whole []byte
	for _, p := range parts {
		tag, err := hex.DecodeString(p.ETag)
		if err != nil {
			return c, err
		}
		one := p.Own
		if one == nil {
			if one, err = base64.StdEncoding.DecodeString(p.Sum.Value); err != nil {
				return c, err
			}
		}
		etags.Write(tag)
		switch {
		case u.Composite:
			sums.Write(one)
		case whole == nil:
			whole = one
		default:
			whole = u.algorithm().Combine(whole, one, p.Size)
		}
		o.Size += p.Size
		seg := segment{Blob: p.Blob, Size: p.Size, Key: p.Key}
		if u.Composite {
			seg.Sum = p.Sum.Value
		}
		c.segments = append(c.segments, seg)
	}
	o.ETag = fmt.Sprintf("%x-%d", etags.Sum(nil), len(parts))
	o.Sum = sum{Algorithm: u.algorithm(), Composite: u.Composite}
	if o.Sum.Value = base64.StdEncoding.EncodeToString(whole); u.Composite {
		o.Sum.Value = base64.StdEncoding.EncodeToString(sums.Sum(nil)) + "-" + itoa(len(parts))
	}
	return c, nil
}

// checkWhole compares what a request says of the whole object.
func checkWhole(o *object, in *api.CompleteMultipartUploadInput, u *upload) error {
	if in.MpuObjectSize != nil && *in.MpuObjectSize != o.Size {
		return cloud.Errorf("InvalidRequest", "The provided 'x-amz-mp-object-size' header value %d does not match what was computed: %d", *in.MpuObjectSize, o.Size)
	}
	if in.ChecksumType != nil && (u.kind() == nil || *u.kind() != *in.ChecksumType) {
		return cloud.Errorf("InvalidRequest", "The upload was created using the %s checksum mode. The complete request must use the same checksum mode.", o.Sum.kind())
	}
	for _, name := range sumNames() {
		if name != string(u.algorithm()) && text(in, "Checksum"+name) != "" {
			return cloud.Errorf("InvalidRequest", "Checksum Type mismatch occurred, expected checksum Type: %s, actual checksum Type: %s",
				strings.ToLower(string(u.algorithm())), strings.ToLower(name))
		}
	}
	value := text(in, "Checksum"+string(u.algorithm()))
	if value != "" && value != o.Sum.Value {
		return cloud.Errorf("BadDigest", "The %s you specified did not match the calculated checksum.", u.algorithm())
	}
	return nil
}
