package app

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"croft/internal/awsapi/iam"
	lambdaapi "croft/internal/awsapi/lambda"
	"croft/internal/blob"
	"croft/internal/cloud"
	"croft/internal/control"
	"croft/internal/wire"
)

func pack(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	f, err := z.Create("app.py")
	if err == nil {
		_, err = f.Write([]byte(text))
	}
	if err = errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func (a *App) mustOpen(t *testing.T, id string) {
	t.Helper()
	body, _, err := a.blobs.Open(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if err := body.Close(); err != nil {
		t.Error(err)
	}
}

// Data folders of former versions have packages under their hashes. They are found, and stay until the cloud is reset.
func TestPackagesOfFormerVersions(t *testing.T) {
	data, text := t.TempDir(), pack(t, "old")
	sum := sha256.Sum256(text)
	sha := hex.EncodeToString(sum[:])
	file := filepath.Join(data, "blobs", sha[:2], sha)
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, text, 0o600)); err != nil {
		t.Fatal(err)
	}
	a := start(t, Options{Dir: data})
	ctx := a.root(t.Context())
	_, err := iam.NewClient(a.dispatch).CreateRole(ctx, &iam.CreateRoleInput{RoleName: "r", AssumeRolePolicyDocument: `{"Version":"2012-10-17",
		"Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`})
	if err != nil {
		t.Fatal(err)
	}
	client := lambdaapi.NewClient(a.dispatch)
	if _, err := client.CreateFunction(ctx, &lambdaapi.CreateFunctionInput{
		FunctionName: "f", Runtime: wire.Ptr("python3.11"), Role: "arn:aws:iam::" + a.opts.Account + ":role/r", Handler: wire.Ptr("app.handler"),
		Code: &lambdaapi.FunctionCode{S3Bucket: wire.Ptr(cloud.AssetBucket), S3Key: &sha},
	}); err != nil {
		t.Fatal(err)
	}
	update := func(in *lambdaapi.UpdateFunctionCodeInput) {
		t.Helper()
		in.FunctionName = "f"
		if _, err := client.UpdateFunctionCode(ctx, in); err != nil {
			t.Fatal(err)
		}
	}
	update(&lambdaapi.UpdateFunctionCodeInput{ZipFile: pack(t, "new")})
	update(&lambdaapi.UpdateFunctionCodeInput{S3Bucket: wire.Ptr(cloud.AssetBucket), S3Key: &sha}) // back again
	if _, err := a.refs.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.mustOpen(t, sha)
	if err := control.NewClient(a.URL()).Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after the reset: %v", err)
	}
}

func TestUpload(t *testing.T) {
	a := start(t, Options{Dir: t.TempDir()})
	c := control.NewClient(a.URL())
	first, err := c.Upload(t.Context(), []byte("zip"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := c.Upload(t.Context(), []byte("zip"))
	if err != nil || again != first || first.Bucket != cloud.AssetBucket {
		t.Errorf("%+v, then %+v, %v", first, again, err)
	}
	ref, err := a.refs.Asset(t.Context(), first.Key)
	if err != nil {
		t.Fatal(err)
	}
	a.mustOpen(t, ref.ID)
}

// The place for bodies belongs to one cloud: another one does not know who names them, and would sweep them away.
func TestBodiesOfAnotherCloud(t *testing.T) {
	place, data := t.TempDir(), t.TempDir()
	open := func(dir string) error {
		a, err := Start(context.Background(), Options{Dir: dir, Blobs: place, Listen: "127.0.0.1:0"})
		if err != nil {
			return err
		}
		status, err := control.NewClient(a.URL()).Status(t.Context())
		if err != nil || status.Bodies != place {
			t.Errorf("the status says %q, %v", status.Bodies, err)
		}
		return errors.Join(control.NewClient(a.URL()).Reset(t.Context()), a.Close(context.Background()))
	}
	for range 2 {
		if err := open(data); err != nil {
			t.Fatal(err)
		}
	}
	if err := open(t.TempDir()); !errors.Is(err, blob.ErrForeign) {
		t.Errorf("another cloud: %v", err)
	}
	_, err := Start(t.Context(), Options{Ephemeral: true, Blobs: "gs://bucket", Listen: "127.0.0.1:0"})
	if err == nil || !strings.Contains(err.Error(), "s3://BUCKET") {
		t.Errorf("a place of an unknown kind: %v", err)
	}
}
