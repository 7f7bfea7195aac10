package main

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestWithEndpoint(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"aws sqs list-queues", "aws --endpoint-url http://e sqs list-queues"},
		{"/usr/bin/aws sqs", "/usr/bin/aws --endpoint-url http://e sqs"},
		{"aws --endpoint-url http://x sqs", "aws --endpoint-url http://x sqs"},
		{"aws --endpoint-url=http://x sqs", "aws --endpoint-url=http://x sqs"},
		{"python3 x.py", "python3 x.py"},
	} {
		if got := strings.Join(withEndpoint(strings.Fields(c.in), "http://e"), " "); got != c.want {
			t.Errorf("%q: %q, want %q", c.in, got, c.want)
		}
	}
}

func TestMergeLeavesForeignCredentialsOut(t *testing.T) {
	got := merge([]string{"PATH=/bin", "AWS_PROFILE=prod", "AWS_SESSION_TOKEN=t", "AWS_CA_BUNDLE=/ca", "AWS_ENDPOINT_URL_SQS=https://x"},
		[]variable{{"AWS_REGION", "us-east-1"}})
	if want := []string{"PATH=/bin", "AWS_CA_BUNDLE=/ca", "AWS_REGION=us-east-1"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestHelpAndMistakes(t *testing.T) {
	for _, c := range []struct {
		args string
		exit int
		want string
	}{
		{"", 0, "croft up --watch examples/orders"},
		{"up --help", 0, "a throw-away cloud"},
		{"frobnicate", 2, "Try: croft --help"},
		{"up --account 12 --ephemeral", 1, "twelve digits"},
		{"up nowhere/at/all", 1, "does not exist"},
		{"--endpoint http://127.0.0.1:1 status", 1, "start one with: croft up"},
		{"--endpoint ftp://x status", 2, "is not an address such as"},
		{"--endpoint 127.0.0.1:1/ status", 1, "no croft is running at http://127.0.0.1:1;"},
		{"up --ephemeral --listen 0.0.0.0:0", 1, "use --listen 127.0.0.1:PORT"},
		{"up --ephemeral -p A=b", 1, "parameters belong to one app"},
		{"up --ephemeral --watch", 1, "--watch needs an app"},
		{"up --isolation=most", 2, "must be one of"},
		{"--color=mauve version", 2, "must be one of"},
		{"--endpoint http://127.0.0.1:1 invoke F -e {}", 1, "no croft is running"},
		{"invoke F -e no/such/file", 1, "the event cannot be read"},
		{"completion tcsh", 2, "must be one of"},
		{"completion bash", 0, "complete -F _croft croft"},
		{"exec -- no-such-tool", 1, "cannot run no-such-tool"},
		{"version", 0, "croft "},
	} {
		var out bytes.Buffer
		if exit := run(strings.Fields(c.args), console{out: &out, err: &out}); exit != c.exit || !strings.Contains(out.String(), c.want) {
			t.Errorf("croft %s: exit %d, want %d with %q in\n%s", c.args, exit, c.exit, c.want, out.String())
		}
	}
}

func TestWrap(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", ""}, {"a b c", "a b|c"}, {"abcdef g", "abcdef|g"}, {"äö ü", "äö|ü"}, {"abc d", "abc|d"},
	} {
		if got := strings.Join(wrap(c.in, 3), "|"); got != c.want {
			t.Errorf("%q: %q, want %q", c.in, got, c.want)
		}
	}
}

func TestLostOutput(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("SKIPPED: there is no /dev/full")
	}
	defer full.Close()
	c := newConsole(full, os.Stderr)
	var notes bytes.Buffer
	c.err = &notes
	if exit := run([]string{"version"}, c); exit != 1 || !strings.Contains(notes.String(), "no space left") {
		t.Errorf("exit %d: %s", exit, notes.String())
	}
}
