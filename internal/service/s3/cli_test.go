package s3_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestCLI uses objects as the AWS CLI's own commands do: files small and large, folders, and URLs.
func TestCLI(t *testing.T) {
	if _, err := exec.LookPath("aws"); err != nil {
		t.Skipf("SKIPPED: this test needs the AWS CLI: %v", err)
	}
	ts := newServer(t)
	dir := t.TempDir()
	aws := func(want string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "aws", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "AWS_ENDPOINT_URL="+ts.URL, "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1",
			"AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null", "AWS_EC2_METADATA_DISABLED=true", "AWS_CA_BUNDLE=", "no_proxy=*", "PYTHONUTF8=1")
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Fatalf("aws %s: %v, want %q\n%s", strings.Join(args, " "), err, want, out)
		}
		return string(out)
	}
	large := bytes.Repeat([]byte("0123456789abcdef"), 20<<16)
	for name, text := range map[string][]byte{"large": large, "small": []byte("small"), "tree/a b": []byte("1"), "tree/c/ü+": []byte("2")} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	aws("make_bucket: files", "s3", "mb", "s3://files")
	aws("upload: ./large to s3://files/large", "s3", "cp", "--no-progress", "large", "s3://files/large")
	aws("download:", "s3", "cp", "--no-progress", "s3://files/large", "back")
	if back, err := os.ReadFile(filepath.Join(dir, "back")); err != nil || !bytes.Equal(back, large) {
		t.Errorf("%d bytes came back: %v", len(back), err)
	}
	aws("copy:", "s3", "cp", "--no-progress", "s3://files/large", "s3://files/copies/large")
	aws("upload: tree/c/ü+ to s3://files/tree/c/ü+", "s3", "sync", "--no-progress", "tree", "s3://files/tree")
	if again := aws("", "s3", "sync", "--no-progress", "tree", "s3://files/tree"); again != "" {
		t.Errorf("what is there is uploaded again: %s", again)
	}
	aws("PRE tree/", "s3", "ls", "s3://files/")
	aws("20971520 copies/large", "s3", "ls", "--recursive", "s3://files")
	aws("move:", "s3", "mv", "--no-progress", "s3://files/tree/a b", "s3://files/moved")
	aws("delete: s3://files/tree/c/ü+", "s3", "rm", "--recursive", "s3://files/tree")
	aws("remove_bucket: files", "s3", "rb", "--force", "s3://files")
}
