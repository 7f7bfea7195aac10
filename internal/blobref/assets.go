package blobref

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"croft/internal/blob"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/timer"
)

// AssetLife is how long an asset stays after it was last uploaded, or after something that ran from it gave it up. The second is what
// allows a deployment that fails to go back to the code it had.
const AssetLife = 24 * time.Hour

// ErrNoAsset is returned for an asset that is not there.
var ErrNoAsset = errors.New("blobref: no such asset")

// Upload stores what r yields, at most limit bytes, as the asset of its SHA-256, for AssetLife. When the asset is there already, it stays as
// it is for that long.
func (r *Refs) Upload(ctx context.Context, body io.Reader, limit int64) (blob.Ref, error) {
	ref, err := r.blobs.Put(ctx, body, limit)
	if err != nil {
		return blob.Ref{}, err
	}
	var kept blob.Ref
	err = r.store.Update(ctx, func(ctx context.Context, _ kv.Tx) (err error) {
		kept, err = r.keep(ctx, ref)
		return err
	})
	if err != nil {
		return blob.Ref{}, err
	}
	if kept.ID == ref.ID {
		return ref, nil
	}
	// Nobody has ever heard of the second copy. If it cannot be deleted, the sweep takes it.
	if err := r.blobs.Delete(ctx, ref.ID); err != nil {
		r.log.Warn("the second copy of an asset stays until the sweep", "err", err)
	}
	return kept, nil
}

// Keep makes a body that somebody names findable as an asset for AssetLife, in the transaction that ctx carries.
func (r *Refs) Keep(ctx context.Context, ref blob.Ref) error {
	if !kv.InTx(ctx, r.store) {
		return ErrNoTransaction
	}
	_, err := r.keep(ctx, ref)
	return err
}

// keep returns the asset as it is afterwards: ref, or a body of the same content that was there before.
func (r *Refs) keep(ctx context.Context, ref blob.Ref) (kept blob.Ref, err error) {
	err = r.space.Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		switch kept, err = readAsset(tx, ref.SHA256); {
		case errors.Is(err, ErrNoAsset):
			if err := r.addAsset(ctx, tx, ref); err != nil {
				return err
			}
			kept = ref
		case err != nil:
			return err
		}
		return r.timers.Set(ctx, timer.Timer{
			Handler: assetTimer, ID: ref.SHA256, Account: cloud.DefaultAccount, Region: cloud.DefaultRegion, Due: r.clock.Now().Add(AssetLife),
		})
	})
	return kept, err
}

func (r *Refs) addAsset(ctx context.Context, tx kv.Tx, ref blob.Ref) error {
	if err := r.Retain(ctx, ref.ID); err != nil {
		return err
	}
	v, err := json.Marshal(ref)
	if err != nil {
		return fmt.Errorf("blobref: %w", err)
	}
	return tx.Put(assetKey(ref.SHA256), v)
}

func readAsset(rd kv.Reader, sha string) (ref blob.Ref, err error) {
	v, err := rd.Get(assetKey(sha))
	if errors.Is(err, kv.ErrNotFound) {
		return ref, ErrNoAsset
	}
	if err == nil {
		err = json.Unmarshal(v, &ref)
	}
	return ref, err
}

// dropAsset is what the end of an asset's life does.
func (r *Refs) dropAsset(ctx context.Context, sha string) error {
	return r.update(ctx, func(ctx context.Context, tx kv.Tx) error {
		ref, err := readAsset(tx, sha)
		if errors.Is(err, ErrNoAsset) {
			return nil
		}
		if err != nil {
			return err
		}
		return errors.Join(tx.Delete(assetKey(sha)), r.Release(ctx, ref.ID))
	})
}

// Asset returns the body of an asset, or ErrNoAsset. Retain makes sure of it in the transaction that names it. Bodies of former
// versions were all found by their SHA-256, and still are.
func (r *Refs) Asset(ctx context.Context, sha string) (ref blob.Ref, err error) {
	err = r.space.View(ctx, func(_ context.Context, rd kv.Reader) error {
		ref, err = readAsset(rd, sha)
		return err
	})
	if !errors.Is(err, ErrNoAsset) || !blob.IsFormer(sha) {
		return ref, err
	}
	body, size, err := r.blobs.Open(ctx, sha)
	if errors.Is(err, blob.ErrNotFound) {
		return ref, ErrNoAsset
	}
	if err != nil {
		return ref, err
	}
	return blob.Ref{ID: sha, SHA256: sha, Size: size}, body.Close()
}
