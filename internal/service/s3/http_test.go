package s3_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"croft/internal/clock"
	"croft/internal/cloud"
	"croft/internal/identity"
	"croft/internal/server"
	"croft/internal/service/servicetest"
	"croft/internal/sigv4"
)

// newServer starts the service behind the whole HTTP side, on the machine's clock, which clients sign with.
func newServer(t *testing.T) *httptest.Server {
	t.Helper()
	return serve(t, servicetest.New(t, descriptor))
}

func serve(t testing.TB, e *servicetest.Env) *httptest.Server {
	t.Helper()
	keys, err := identity.New(t.Context(), e.Deps.Store, clock.Real())
	if err != nil {
		t.Fatal(err)
	}
	s := server.New(server.Config{
		Clock: clock.Real(), Log: e.Deps.Log, Dispatcher: e.Dispatcher, Keys: keys, Account: cloud.DefaultAccount, Control: http.NotFoundHandler(),
	})
	ts := httptest.NewServer(s.Handler())
	t.Cleanup(ts.Close)
	return ts
}

func TestBoto3(t *testing.T) {
	for _, script := range []string{"boto3_buckets.py", "boto3_objects.py", "boto3_versions.py", "boto3_settings.py", "boto3_forms.py"} {
		t.Run(script, func(t *testing.T) { runPython(t, newServer(t), script) })
	}
}

func TestLinksOfPages(t *testing.T) {
	e := servicetest.New(t, descriptor)
	ts := serve(t, e)
	keys, err := identity.New(t.Context(), e.Deps.Store, clock.Real())
	if err != nil {
		t.Fatal(err)
	}
	root := keys.Root(cloud.DefaultAccount)
	t.Setenv("ISSUED", root.AccessKeyID+":"+root.SecretAccessKey)
	runPython(t, ts, "boto3_links.py")
}

func runPython(t *testing.T, ts *httptest.Server, script string) {
	if out, err := exec.Command("python3", "-c", "import boto3").CombinedOutput(); err != nil {
		t.Skipf("SKIPPED, not used with boto3: %v %s", err, out)
	}
	cmd := exec.CommandContext(t.Context(), "python3", "testdata/"+script, ts.URL[strings.LastIndex(ts.URL, ":")+1:])
	cmd.Env = append(os.Environ(), "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null", "AWS_EC2_METADATA_DISABLED=true", "no_proxy=*")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func TestRequestsThatClientsDoNotMake(t *testing.T) {
	ts := newServer(t)
	do := func(method, target, body string) (int, string) {
		r, err := http.NewRequestWithContext(t.Context(), method, ts.URL+target, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		sigv4.Sign(r, []byte(body), sigv4.Credentials{AccessKey: "test", Secret: "test"}, "us-east-1", "s3", clock.Real().Now())
		resp, err := ts.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil || resp.Header.Get("X-Amz-Request-Id") == "" {
			t.Errorf("%s %s: %v, headers %v", method, target, err, resp.Header)
		}
		return resp.StatusCode, string(text)
	}
	const constraint = `<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><LocationConstraint>%s</LocationConstraint></CreateBucketConfiguration>`
	for _, c := range []struct {
		method, target, body string
		status               int
		want                 string
	}{
		{"PUT", "/strange", "<CreateBucketConfiguration", 400, "<Code>MalformedXML</Code>"},
		{"PUT", "/strange", "{}", 400, "<Code>MalformedXML</Code>"},
		{"PUT", "/strange", "<Other/>", 400, "its root element is not CreateBucketConfiguration"},
		{"PUT", "/strange", strings.Replace(constraint, "%s", "<x/>", 1), 400, "element &apos;x&apos; where text is expected"},
		{"PUT", "/strange", "<CreateBucketConfiguration><Region>x</Region></CreateBucketConfiguration>", 400, "Region"},
		{"PUT", "/strange", "<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]>" + strings.Replace(constraint, "%s", "&b;", 1), 400, "document types are not taken"},
		{"PUT", "/strange", strings.Repeat("<a>", 100000), 400, "<Code>MalformedXML</Code>"},
		{"PUT", "/strange", "<CreateBucketConfiguration><Tags><Tag><Key>k</Key></Tag></Tags></CreateBucketConfiguration>", 400, "createBucketConfiguration.tags.1.member.value"},
		{"PUT", "/strange", strings.Repeat(" ", 9<<20) + "<a/>", 400, "larger than"},
		{"HEAD", "/strange", "", 404, ""},
		{"GET", "/?max-buckets=x", "", 400, "<Code>InvalidArgument</Code>"},
		{"GET", "/?max-buckets=99999999999", "", 400, "<Code>InvalidArgument</Code>"},
		{"GET", "/?max-buckets=0", "", 400, "<ArgumentName>max-buckets</ArgumentName><ArgumentValue>0</ArgumentValue>"},
		{"PUT", "/..", "", 400, "<Code>InvalidBucketName</Code>"},
		{"PUT", "/%00%01%02", "", 400, "<Code>InvalidBucketName</Code>"},
		{"PUT", "/a%2Fb%2Fc", "", 400, "<Code>InvalidBucketName</Code>"},
		{"POST", "/strange", "", 412, "<Condition>Bucket POST must be of the enclosure-type multipart/form-data</Condition>"},
		{"PATCH", "/", "", 405, "<ResourceType>SERVICE</ResourceType>"},
		{"DELETE", "/", "", 405, "<Code>MethodNotAllowed</Code>"},
		{"PUT", "/strange?acl", "", 400, "<MissingHeaderName>x-amz-acl</MissingHeaderName>"},
		{"GET", "/strange/key", "", 404, "<Code>NoSuchBucket</Code>"},
		{"GET", "/strange/key?torrent", "", 501, "s3:GetObjectTorrent"},
		{"GET", "/strange/%ff", "", 400, "<Code>InvalidArgument</Code>"},
	} {
		status, text := do(c.method, c.target, c.body)
		if status != c.status || !strings.Contains(strings.ReplaceAll(text, "'", "&apos;"), c.want) {
			t.Errorf("%s %.40s %.60s: %d %.400s\nwant %d %s", c.method, c.target, c.body, status, text, c.status, c.want)
		}
	}
}
