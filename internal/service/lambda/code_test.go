package lambda_test

import (
	"bytes"
	"testing"
	"time"

	api "croft/internal/awsapi/lambda"
	"croft/internal/blobref"
	"croft/internal/cloud"
	"croft/internal/wire"
)

const noSuchKey = "InvalidParameterValueException: Error occurred while GetObject. S3 Error Code: NoSuchKey. " +
	"S3 Error Message: The specified key does not exist."

// later moves the clock, and removes what nobody names by then.
func (w *world) later(t *testing.T, d time.Duration) {
	t.Helper()
	w.Advance(d)
	w.Advance(blobref.Linger)
	if _, err := w.Deps.Refs.Sweep(w.Context()); err != nil {
		t.Fatal(err)
	}
}

// bodies checks how many there are.
func (w *world) bodies(t *testing.T, when string, want int) {
	t.Helper()
	n := 0
	for _, err := range w.Deps.Blobs.List(w.Context(), w.Clock.Now().Add(time.Hour)) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != want {
		t.Errorf("%s: %d bodies, want %d", when, n, want)
	}
}

func (w *world) update(in *api.UpdateFunctionCodeInput) error {
	in.FunctionName = "f"
	_, err := w.client.UpdateFunctionCode(w.Context(), in)
	return err
}

func (w *world) upload(t *testing.T, zip []byte) string {
	t.Helper()
	ref, err := w.Deps.Refs.Upload(w.Context(), bytes.NewReader(zip), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return ref.SHA256
}

func fromAsset(sha string) *api.UpdateFunctionCodeInput {
	return &api.UpdateFunctionCodeInput{S3Bucket: wire.Ptr(cloud.AssetBucket), S3Key: &sha}
}

// A package stays as long as a function has it, and for a way back as long as an asset.
func TestPackagesGoWithTheirFunctions(t *testing.T) {
	w := newWorld(t)
	w.function(t, "f", "a.echo")
	w.later(t, 48*time.Hour)
	w.bodies(t, "in use", 1)
	check(t, "an update", w.update(&api.UpdateFunctionCodeInput{ZipFile: zipOf(t, "a.py", "x = 2")}), "")
	w.later(t, blobref.AssetLife-2*blobref.Linger)
	w.bodies(t, "replaced a while ago", 2)
	w.later(t, 2*blobref.Linger)
	w.bodies(t, "replaced long ago", 1)
	if err := w.update(&api.UpdateFunctionCodeInput{ZipFile: zipOf(t, "a.py", "x = 3"), DryRun: wire.Ptr(true)}); err != nil {
		t.Error(err)
	}
	if _, err := w.client.CreateFunction(w.Context(), &api.CreateFunctionInput{
		FunctionName: "f", Runtime: wire.Ptr("python3.11"), Role: roleARN, Handler: wire.Ptr("a.echo"),
		Code: &api.FunctionCode{ZipFile: zipOf(t, "a.py", "x = 4")},
	}); err == nil {
		t.Error("the function was made twice")
	}
	w.later(t, 2*time.Hour)
	w.bodies(t, "after calls that changed nothing", 1)
	if _, err := w.client.DeleteFunction(w.Context(), &api.DeleteFunctionInput{FunctionName: "f"}); err != nil {
		t.Fatal(err)
	}
	w.later(t, blobref.AssetLife)
	w.bodies(t, "deleted", 0)
}

// A deployment that fails goes back to the package that it replaced, however long ago that was uploaded.
func TestBackToAnAsset(t *testing.T) {
	w := newWorld(t)
	w.function(t, "f", "a.echo")
	first, second := w.upload(t, zipOf(t, "a.py", "first")), w.upload(t, zipOf(t, "a.py", "second"))
	check(t, "the first", w.update(fromAsset(first)), "")
	w.later(t, 100*time.Hour)
	w.bodies(t, "long after the uploads", 1)
	check(t, "the second, too late", w.update(fromAsset(second)), noSuchKey)
	second = w.upload(t, zipOf(t, "a.py", "second"))
	check(t, "the second", w.update(fromAsset(second)), "")
	check(t, "the first again", w.update(fromAsset(first)), "")
	check(t, "the same again", w.update(fromAsset(first)), "")
	w.later(t, 100*time.Hour)
	w.bodies(t, "in the end", 1)
	if _, err := w.client.Invoke(w.Context(), &api.InvokeInput{FunctionName: "f"}); err != nil {
		t.Fatal(err)
	}
	calls := w.engine.taken()
	fn := calls[len(calls)-1].fn
	body, _, err := w.Deps.Blobs.Open(w.Context(), fn.CodeID)
	if err != nil || fn.CodeSHA != first {
		t.Fatalf("%s, %v", fn.CodeSHA, err)
	}
	if err := body.Close(); err != nil {
		t.Error(err)
	}
}
