package lambda

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"croft/internal/awsapi/lambda"
	"croft/internal/blob"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

// fingerprint tells apart what would be different versions: it covers code and configuration.
func (f *function) fingerprint() (string, error) {
	c := *f
	c.Number, c.CodeID, c.Tags, c.UpdateRuntimeOn, c.Modified, c.Revision, c.Generation, c.whole = 0, "", nil, "", time.Time{}, "", "", whole{}
	text, err := json.Marshal(&c)
	if err != nil {
		return "", fmt.Errorf("lambda: %w", err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

// publish makes a version of a function's $LATEST, in the transaction that ctx carries. When nothing has changed since the last one was
// published, that is the result. Storing $LATEST is left to the caller; changed says that there is something to store.
func (s *Service) publish(ctx context.Context, tx kv.Tx, f *function, description *string) (v *function, changed bool, err error) {
	as, err := f.fingerprint()
	if err != nil {
		return nil, false, err
	}
	if f.Published != 0 && as == f.PublishedAs {
		if v, err = loadVersion(tx, f.Name, f.Published); err != nil || v != nil {
			return v, false, err
		}
	}
	number, err := nextNumber(tx, f.Name)
	if err != nil {
		return nil, false, err
	}
	c := *f
	v = &c
	v.Number, v.Tags, v.whole = number, nil, whole{}
	v.Modified, v.Revision = cloud.CallOf(ctx).Now, cloud.NewRequestID()
	set(&v.Description, description)
	if err := s.shareCode(ctx, v); err != nil {
		return nil, false, err
	}
	f.Published, f.PublishedAs = number, as
	f.changed(v.Modified, false) // recorded: a new version gives $LATEST another revision too
	return v, true, storeFunction(tx, v)
}

// shareCode names the body of a version's code, and those of its layers, once more.
func (s *Service) shareCode(ctx context.Context, v *function) error {
	if blob.IsFormer(v.CodeID) {
		return s.takeLayers(ctx, v.Layers) // such packages stay
	}
	return errors.Join(s.takeCode(ctx, v.code()), s.takeLayers(ctx, v.Layers))
}

// dropVersion gives up the bodies that a version names.
func (s *Service) dropVersion(ctx context.Context, v *function) error {
	return errors.Join(s.dropCode(ctx, v), s.dropLayers(ctx, v.Layers))
}

// nextNumber draws the number of a function's next version.
func nextNumber(tx kv.Tx, name string) (int64, error) {
	v, err := tx.Get(numberKey(name))
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		return 0, err
	}
	next := int64(1)
	if err == nil {
		next += kv.Int64(v)
	}
	return next, tx.Put(numberKey(name), kv.EncodeInt64(next))
}

// PublishVersion implements the operation.
func (s *Service) PublishVersion(ctx context.Context, in *lambda.PublishVersionInput) (*lambda.PublishVersionOutput, error) {
	if in.PublishTo != nil {
		return nil, refused("PublishTo", "there are no capacity providers")
	}
	ref, err := s.find(ctx, in.FunctionName, nil)
	if err != nil {
		return nil, err
	}
	if err := ref.onlyLatest(); err != nil {
		return nil, err
	}
	ref.qualifier = ""
	var v *function
	err = s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		f, err := loadFunction(tx, ref.name)
		if err != nil {
			return err
		}
		if err := publishable(ref, f, in); err != nil {
			return err
		}
		changed := false
		if v, changed, err = s.publish(ctx, tx, f, in.Description); err != nil || !changed {
			return err
		}
		return errors.Join(storeFunction(tx, f), s.ahead(ctx, v))
	})
	if err != nil {
		return nil, err
	}
	return v.configuration(v.arn(ref), settled), nil
}

// publishable checks what a request says about the $LATEST that it means to publish.
func publishable(ref reference, f *function, in *lambda.PublishVersionInput) error {
	switch {
	case f == nil:
		return notFound("Function not found: %s", ref.qualified())
	case in.RevisionId != nil && *in.RevisionId != f.Revision:
		return errRevision()
	case wire.Value(in.CodeSha256) != "" && *in.CodeSha256 != codeDigest(f.CodeSHA):
		return invalid("CodeSHA256 (%s) is different from current CodeSHA256 in $LATEST (%s). Please try again with the CodeSHA256 in $LATEST.",
			*in.CodeSha256, codeDigest(f.CodeSHA))
	}
	return nil
}

// arn returns the version's own ARN; ref is the function.
func (f *function) arn(ref reference) string {
	ref.qualifier = f.version()
	return ref.qualified()
}

// ListVersionsByFunction implements the operation: $LATEST, then the published versions in order.
func (s *Service) ListVersionsByFunction(ctx context.Context, in *lambda.ListVersionsByFunctionInput) (*lambda.ListVersionsByFunctionOutput, error) {
	ref, err := s.find(ctx, in.FunctionName, nil)
	if err != nil {
		return nil, err
	}
	after, err := readMarker(in.Marker)
	if err != nil {
		return nil, err
	}
	limit := maxListed
	if in.MaxItems != nil {
		limit = min(limit, int(*in.MaxItems))
	}
	out := &lambda.ListVersionsByFunctionOutput{}
	err = s.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) error {
		out.Versions, out.NextMarker = []lambda.FunctionConfiguration{}, nil
		f, err := loadFunction(r, ref.name)
		if err != nil {
			return err
		}
		if f == nil {
			return notFound("Function not found: %s", ref.arn())
		}
		return versions(r, ref, f, after, limit, &out.Versions, &out.NextMarker)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// versions appends up to limit versions of a function to list, from after the marker after on, and sets next when there are more.
func versions(r kv.Reader, ref reference, f *function, after string, limit int, list *[]lambda.FunctionConfiguration, next **string) error {
	add := func(v *function) { *list = append(*list, *v.configuration(v.arn(ref), listed)) }
	if after == "" {
		add(f)
		limit--
		after = versionMarker(0)
	}
	return page(r, versionsKey(f.Name), after, limit, func(_ string, value []byte) (bool, error) {
		v, err := decodeFunction(value)
		if err != nil {
			return false, err
		}
		add(v)
		return true, nil
	}, next)
}

// deleteVersion deletes a published version, in the transaction that ctx carries. One that is not there is deleted.
func (s *Service) deleteVersion(ctx context.Context, tx kv.Tx, t *resolved, version string) error {
	v, err := t.at(tx, version)
	if err != nil || v == nil {
		return err
	}
	used, err := aliasesOf(tx, v.Name, version)
	if err != nil {
		return err
	}
	if len(used) > 0 {
		return conflict("Unable to delete version because the following aliases reference it: [%s]", strings.Join(used, ", "))
	}
	if err := errors.Join(s.dropVersion(ctx, v), s.forget(ctx, tx, v.Name, version)); err != nil {
		return err
	}
	return tx.Delete(versionKey(v.Name, v.Number))
}

// deleteVersions deletes the published versions and the aliases of a function that is deleted.
func (s *Service) deleteVersions(ctx context.Context, tx kv.Tx, name string) error {
	for e, err := range tx.Scan(kv.PrefixRange(versionsKey(name)), kv.ScanOptions{}) {
		if err != nil {
			return err
		}
		v, err := decodeFunction(e.Value)
		if err != nil {
			return err
		}
		if err := s.dropVersion(ctx, v); err != nil {
			return err
		}
	}
	return errors.Join(
		tx.DeleteRange(kv.PrefixRange(versionsKey(name))), tx.DeleteRange(kv.PrefixRange(aliasesKey(name))),
		s.forgetAll(ctx, tx, name),
	)
}
