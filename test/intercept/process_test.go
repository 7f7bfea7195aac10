package intercept

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// TestMain lets this binary be a tool as well.
func TestMain(m *testing.M) {
	switch os.Getenv("CROFT_TEST_TOOL") {
	case "go":
		os.Exit(goTool())
	case "signals":
		os.Exit(signalsTool())
	}
	os.Exit(m.Run())
}

// tool is this binary as one of its tools.
func tool(t *testing.T, name string) []string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return []string{"env", "CROFT_TEST_TOOL=" + name, self}
}

// signalsTool says which signals and lines it gets, until its input ends. A shell would do, if it did not forget a signal that comes just
// before it reads.
func signalsTool() int {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1)
	lines := make(chan string)
	go func() {
		defer close(lines)
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			lines <- in.Text()
		}
	}()
	if screen, err := os.Stdout.Stat(); err == nil && screen.Mode()&os.ModeCharDevice != 0 {
		fmt.Println("terminal")
	}
	fmt.Println("ready")
	for {
		select {
		case s := <-signals:
			fmt.Println("got", s)
		case line, more := <-lines:
			if !more {
				return 9
			}
			fmt.Printf("read <%s>\n", line)
		}
	}
}

// goTool lists the queues as the AWS SDK for Go does when it knows of no endpoint.
func goTool() int {
	client := sqs.New(sqs.Options{Region: "us-east-1", RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), "")})
	out, err := client.ListQueues(context.Background(), &sqs.ListQueuesInput{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("queues", len(out.QueueUrls))
	return 0
}

// testNothingGetsOut has the user's own proxy as the only way out, and looks at who is asked for there.
func testNothingGetsOut(t *testing.T, w *world) {
	need(t, "curl")
	for _, target := range []string{
		"https://ec2.us-east-1.amazonaws.com/", "http://dynamodb.eu-west-1.amazonaws.com/", "https://signin.aws.amazon.com/", "https://x.awsapps.com/start",
		"http://169.254.169.254/latest/", "http://169.254.170.2/", "https://s3.us-gov-west-1.amazonaws.com/b/k", "https://mydb.rds.amazonaws.com:5432/",
		"https://lambda.us-iso-east-1.c2s.ic.gov/", "https://X.LAMBDA-URL.us-east-1.ON.AWS./", "http://sync-croft.internal/",
	} {
		w.run(t, "curl", "-sS", "--max-time", "20", target)
		if seen := w.recorder.take(); len(seen) > 0 {
			t.Errorf("%s: asked for outside: %q", target, seen)
		}
	}
	w.run(t, "curl", "-sS", "https://example.com/")
	w.run(t, "curl", "-sS", "http://example.com/x")
	// NO_PROXY=corp.example is the user's; it goes past both proxies.
	if seen := w.recorder.take(); !slices.Equal(seen, []string{"example.com:443", "example.com"}) {
		t.Errorf("other hosts, through the user's own proxy: %q", seen)
	}
}

func testProcess(t *testing.T, w *world) {
	if _, _, code := w.run(t, "sh", "-c", "exit 7"); code != 7 {
		t.Errorf("exit code %d, want 7", code)
	}
	if _, _, code := w.run(t, "sh", "-c", "kill -9 $$"); code != 137 {
		t.Errorf("exit code of a killed tool: %d, want 137", code)
	}
	if _, errs, code := w.run(t, "no-such-tool"); code != 1 || !strings.Contains(errs, "cannot run no-such-tool") {
		t.Errorf("exit %d: %s", code, errs)
	}
	cmd, _ := w.command(t, "sh", "-c", "cat; echo to-err >&2")
	cmd.Stdin = strings.NewReader("through\x00the pipe")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if out, err := cmd.Output(); err != nil || string(out) != "through\x00the pipe" || stderr.String() != "to-err\n" {
		t.Errorf("%q, %q, %v", out, stderr.String(), err)
	}
}

// running is a tool of which the test reads lines.
type running struct {
	cmd   *exec.Cmd
	lines *bufio.Reader
	in    io.WriteCloser
}

func (w *world) start(t *testing.T, tool ...string) (*running, string) {
	t.Helper()
	cmd, tmp := w.command(t, tool...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // no terminal, and nobody else's group
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	return &running{cmd, bufio.NewReader(out), in}, tmp
}

func (r *running) line(t *testing.T) string {
	t.Helper()
	text, err := r.lines.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(text)
}

func testSignals(t *testing.T, w *world) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR1} {
		r, tmp := w.start(t, tool(t, "signals")...)
		if got := r.line(t); got != "ready" {
			t.Fatalf("%q", got)
		}
		if err := r.cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		if got := r.line(t); got != "got "+sig.String() {
			t.Errorf("%s: the tool said %q", sig, got)
		}
		if err := r.in.Close(); err != nil {
			t.Error(err)
		}
		if _ = r.cmd.Wait(); r.cmd.ProcessState.ExitCode() != 9 {
			t.Errorf("%s: %v", sig, r.cmd.ProcessState)
		}
		empty(t, tmp)
	}
}

// testKilled kills croft exec, so that nobody is left to clean up, and looks for whether the tool still has a way anywhere.
func testKilled(t *testing.T, w *world) {
	r, _ := w.start(t, "sh", "-c", `echo $HTTPS_PROXY; echo $$; read x; echo alive`)
	proxy, err := url.Parse(r.line(t))
	if err != nil {
		t.Fatal(err)
	}
	r.line(t)
	if err := r.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.cmd.Process.Wait(); err != nil {
		t.Fatal(err)
	}
	if c, err := net.Dial("tcp", proxy.Host); err == nil {
		_ = c.Close()
		t.Error("the proxy outlives its process")
	}
	if _, err := io.WriteString(r.in, "\n"); err != nil {
		t.Fatal(err)
	}
	if got := r.line(t); got != "alive" {
		t.Errorf("the tool said %q", got)
	}
}

// testOtherUsers asks for things as a user who did not start the tool.
func testOtherUsers(t *testing.T, w *world) {
	need(t, "curl")
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: this test needs root, to be somebody else")
	}
	r, _ := w.start(t, "sh", "-c", `echo $HTTPS_PROXY; read x`)
	proxy, err := url.Parse(r.line(t))
	if err != nil {
		t.Fatal(err)
	}
	ask := func(proxy string) string {
		cmd := exec.Command("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--proxy", proxy, "http://sqs.us-east-1.amazonaws.com/?Action=ListQueues&Version=2012-11-05")
		cmd.Dir, cmd.Env = "/", []string{"PATH=" + os.Getenv("PATH")}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := cmd.Output()
		if err != nil {
			t.Errorf("%v: %s", err, out)
		}
		return string(out)
	}
	if got := ask("http://" + proxy.Host); got != "407" {
		t.Errorf("somebody else without the token: %s", got)
	}
	if got := ask(proxy.String()); got != "403" { // the cloud's own answer: no signature
		t.Errorf("somebody else with the token: %s", got)
	}
	if err := r.in.Close(); err != nil {
		t.Error(err)
	}
	_ = r.cmd.Wait()
}

func testNested(t *testing.T, w *world) {
	need(t, "curl")
	w.expect(t, []string{"MissingAuthenticationToken"}, w.binary, "exec", "--", "curl", "-sS", "https://sqs.us-east-1.amazonaws.com/?Action=ListQueues&Version=2012-11-05")
	w.expect(t, []string{"orders"}, w.binary, "exec", "--", "env", "CROFT_TEST_TOOL=", "sh", "-c", "echo orders; echo $AWS_ENDPOINT_URL >&2")
}

func testNoIntercept(t *testing.T, w *world) {
	cmd, tmp := w.command(t, "env")
	cmd.Args = []string{w.binary, "exec", "--no-intercept", "--", "sh", "-c", "env; echo pid=$$"}
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"AWS_ENDPOINT_URL=" + w.cloud.URL, "HTTPS_PROXY=http://" + w.recorder.addr, fmt.Sprintf("pid=%d\n", cmd.Process.Pid)} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if strings.Contains(string(out), "croft-exec-") || strings.Contains(string(out), "AWS_PROFILE") {
		t.Errorf("%s", out)
	}
	empty(t, tmp)
}
