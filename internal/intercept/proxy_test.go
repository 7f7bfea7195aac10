package intercept

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"croft/internal/clock"
)

// outside is a network that is not there: it records who wanted what, and leads to the addresses that a test gave it.
type outside struct {
	mu    sync.Mutex
	asked []string
	hosts map[string]string
}

func (o *outside) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	o.mu.Lock()
	o.asked = append(o.asked, addr)
	to := o.hosts[addr]
	o.mu.Unlock()
	if to == "" {
		return nil, errors.New("no such host")
	}
	return (&net.Dialer{}).DialContext(ctx, network, to)
}

func (o *outside) calls() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]string(nil), o.asked...)
}

// world is a proxy between a cloud that is a function and an outside that is not there.
type world struct {
	*Proxy
	outside *outside
	client  *http.Client
	notes   []string
}

func newWorld(t *testing.T, cloud http.HandlerFunc, change ...func(*Config)) *world {
	t.Helper()
	origin := httptest.NewServer(cloud)
	t.Cleanup(origin.Close)
	endpoint, err := url.Parse(origin.URL)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{outside: &outside{hosts: map[string]string{}}}
	cfg := Config{Endpoint: endpoint, Dial: w.outside.dial, Clock: clock.Real(), Note: func(s string) { w.notes = append(w.notes, s) }}
	for _, c := range change {
		c(&cfg)
	}
	if w.Proxy, err = Start(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	w.client = &http.Client{Transport: w.transport(t)}
	return w
}

// transport returns what an obedient tool has.
func (w *world) transport(t *testing.T) *http.Transport {
	proxy, err := url.Parse(w.URL())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(w.Certificate())
	tr := &http.Transport{Proxy: http.ProxyURL(proxy), TLSClientConfig: &tls.Config{RootCAs: roots}, DisableCompression: true, ExpectContinueTimeout: time.Minute}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

func (w *world) get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	res, err := w.client.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, read(t, res)
}

func read(t *testing.T, res *http.Response) string {
	t.Helper()
	text, err := io.ReadAll(res.Body)
	if err = errors.Join(err, res.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	fmt.Fprintf(w, "%s %s %s auth=%s %s", r.Method, r.Host, r.RequestURI, r.Header.Get("Authorization"), body)
}

func TestHostsOfAWSLeadToTheCloudAsTheyAre(t *testing.T) {
	w := newWorld(t, echo)
	for _, target := range []string{
		"https://sqs.us-east-1.amazonaws.com/", "http://queue.amazonaws.com/", "https://my.bucket.s3.eu-west-1.amazonaws.com/a%2Fb//c%20d?x=%20&y;z&%zz",
		"https://lambda.us-east-1.api.aws:443/2015-03-31/functions", "http://sync-croft.internal/", "https://SQS.cn-north-1.amazonaws.com.cn/",
	} {
		req, err := http.NewRequest(http.MethodPost, target, strings.NewReader("body"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "AWS4-HMAC-SHA256 x")
		res, err := w.client.Do(req)
		if err != nil {
			t.Errorf("%s: %v", target, err)
			continue
		}
		_, rest, _ := strings.Cut(target, "://")
		host, path, _ := strings.Cut(rest, "/")
		if got, want := read(t, res), "POST "+host+" /"+path+" auth=AWS4-HMAC-SHA256 x body"; got != want {
			t.Errorf("%s: the cloud saw %q, want %q", target, got, want)
		}
	}
	if asked := w.outside.calls(); len(asked) > 0 {
		t.Errorf("connections to the outside: %q", asked)
	}
}

func TestRefused(t *testing.T) {
	w := newWorld(t, func(http.ResponseWriter, *http.Request) { t.Error("the cloud was asked") })
	for _, target := range []string{
		"https://signin.aws.amazon.com/", "https://us-east-1.console.aws.amazon.com/", "https://my.awsapps.com/start", "http://169.254.169.254/latest/",
		"http://169.254.170.2/v2/credentials", "http://[fd00:ec2::254]/", "https://[::ffff:169.254.169.254]/", "https://db.rds.amazonaws.com:5432/",
		"http://x.amazonaws.com:8080/", "http://SIGNIN.aws.amazon.com./",
	} {
		status, body := w.get(t, target)
		if !strings.Contains(body, "Forbidden") && (status != http.StatusForbidden || !strings.Contains(body, "nothing was sent")) {
			t.Errorf("%s: %d %s", target, status, body)
		}
	}
	if asked := w.outside.calls(); len(asked) > 0 {
		t.Errorf("connections to the outside: %q", asked)
	}
	if len(w.notes) != 6 {
		t.Errorf("%d notes, want one for each but the metadata addresses: %q", len(w.notes), w.notes)
	}
}

func TestOtherHostsAreTunnelledUntouched(t *testing.T) {
	w := newWorld(t, func(http.ResponseWriter, *http.Request) { t.Error("the cloud was asked") })
	other := httptest.NewTLSServer(http.HandlerFunc(echo))
	defer other.Close()
	plain := httptest.NewServer(http.HandlerFunc(echo))
	defer plain.Close()
	w.outside.hosts["example.com:443"] = other.Listener.Addr().String()
	w.outside.hosts["example.com:80"] = plain.Listener.Addr().String()
	// The certificate is the other server's own: ours would not be trusted here.
	w.client.Transport.(*http.Transport).TLSClientConfig = other.Client().Transport.(*http.Transport).TLSClientConfig
	for _, scheme := range []string{"https", "http"} {
		if status, body := w.get(t, scheme+"://example.com/x?y;z"); status != 200 || body != "GET example.com /x?y;z auth= " {
			t.Errorf("%s: %d %s", scheme, status, body)
		}
	}
	if status, body := w.get(t, "https://nowhere.example/"); !strings.Contains(body, "Bad Gateway") {
		t.Errorf("a host that is not there: %d %s", status, body)
	}
}

func TestOthersWithoutTheTokenAreTurnedAway(t *testing.T) {
	w := newWorld(t, echo)
	send := func(header string) string {
		c, err := net.Dial("tcp", w.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "GET http://sqs.us-east-1.amazonaws.com/ HTTP/1.1\r\nHost: sqs.us-east-1.amazonaws.com\r\n%s\r\n", header)
		line, err := bufio.NewReader(c).ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return line
	}
	for _, header := range []string{"Proxy-Authorization: Basic Y3JvZnQ6d3Jvbmc=\r\n", "Proxy-Authorization: Bearer x\r\n", "Proxy-Authorization: Basic %\r\n"} {
		if line := send(header); !strings.Contains(line, " 407 ") {
			t.Errorf("%q: %s", header, line)
		}
	}
	if own := ownConnection("127.0.0.1:1", w.Addr()); own {
		t.Error("a connection that is not there is ours")
	}
}

func TestAnswersAndBodiesStream(t *testing.T) {
	told := make(chan struct{})
	w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
		first := make([]byte, 5)
		if _, err := io.ReadFull(r.Body, first); err != nil {
			t.Error(err)
		}
		rw.WriteHeader(http.StatusAccepted)
		if err := http.NewResponseController(rw).Flush(); err != nil {
			t.Error(err)
		}
		<-told
		_, _ = rw.Write(first)
	})
	body, feed := io.Pipe()
	req, err := http.NewRequest(http.MethodPut, "https://s3.amazonaws.com/b/k", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Expect", "100-continue")
	go func() { _, _ = io.WriteString(feed, "first") }()
	res, err := w.client.Do(req) // comes back while neither body has ended
	if err != nil {
		t.Fatal(err)
	}
	if err := feed.Close(); err != nil {
		t.Fatal(err)
	}
	close(told)
	if got := read(t, res); got != "first" || res.StatusCode != http.StatusAccepted {
		t.Errorf("%d %q", res.StatusCode, got)
	}
}

func TestACloudThatIsGone(t *testing.T) {
	w := newWorld(t, echo, func(c *Config) { c.Endpoint = &url.URL{Scheme: "http", Host: "127.0.0.1:1"} })
	if status, body := w.get(t, "https://sqs.us-east-1.amazonaws.com/"); status != http.StatusBadGateway || !strings.Contains(body, "croft up") {
		t.Errorf("%d %s", status, body)
	}
}

func TestCloseEndsTunnels(t *testing.T) {
	w := newWorld(t, echo)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	w.outside.hosts["example.com:1"] = silent.Addr().String()
	for _, target := range []string{"example.com:1", "sqs.us-east-1.amazonaws.com:443"} {
		c, _ := w.tunnel(t, target)
		defer c.Close()
		done := make(chan error, 1)
		go func() { _, err := io.Copy(io.Discard, c); done <- err }()
		defer func() { <-done }() // hangs when the tunnel stays open
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// tunnel asks for a tunnel and returns the connection and the status line.
func (w *world) tunnel(t *testing.T, target string) (net.Conn, string) {
	t.Helper()
	c, err := net.Dial("tcp", w.Addr())
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(w.URL())
	if err != nil {
		t.Fatal(err)
	}
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: target}, Host: target, Header: http.Header{}}
	password, _ := u.User.Password()
	req.SetBasicAuth(user, password)
	req.Header.Set("Proxy-Authorization", req.Header.Get("Authorization"))
	req.Header.Del("Authorization")
	if err := req.Write(c); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReaderSize(c, 16), req)
	if err != nil {
		t.Fatal(err)
	}
	return c, res.Status
}
