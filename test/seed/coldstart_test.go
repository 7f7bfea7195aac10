package seed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"croft/internal/clock"
	"croft/internal/kv/pgkv/pgtest"
)

// door is a port of the machine's loopback behind which a server listens, that counts who comes through.
type door struct {
	port  string
	count atomic.Int64
}

// open makes a door to a server's socket. It is shut at the end of the test.
func open(t *testing.T, socket string) *door {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	d := &door{port: port}
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			d.count.Add(1)
			work.Go(func() { pass(ctx, conn, socket) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		cancel()
		work.Wait()
	})
	return d
}

// pass carries bytes between a connection and a socket until one of them, or ctx, ends.
func pass(ctx context.Context, conn net.Conn, socket string) {
	defer conn.Close()
	server, err := net.Dial("unix", socket)
	if err != nil {
		return
	}
	defer server.Close()
	defer context.AfterFunc(ctx, func() { _ = errors.Join(conn.Close(), server.Close()) })()
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(conn, server)
		_ = conn.Close()
	})
	_, _ = io.Copy(server, conn)
	_ = server.Close()
	back.Wait()
}

// redis starts a Redis server and returns its socket and how a command is given to it.
func redis(t *testing.T) (socket string, ask func(args ...string) string) {
	t.Helper()
	need(t, "redis-server", "redis-cli")
	dir := t.TempDir()
	socket = filepath.Join(dir, "redis.sock")
	cmd := exec.Command("redis-server", "--port", "0", "--unixsocket", socket, "--dir", dir, "--save", "")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(cmd.Process.Kill(), cmd.Wait()) })
	return socket, func(args ...string) string {
		out, err := exec.CommandContext(t.Context(), "redis-cli", append([]string{"-s", socket}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("redis-cli: %v %s", err, out)
		}
		return strings.TrimSpace(string(out))
	}
}

// orders makes a database with two orders of one customer and returns its URL.
func orders(t *testing.T, s *pgtest.Server) *url.URL {
	t.Helper()
	text := s.DB(t)
	ctx, cancel := clock.WithTimeout(t.Context(), clock.Real(), within)
	defer cancel()
	db, err := pgx.Connect(ctx, text)
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.Exec(ctx, `CREATE TABLE orders (id int, customer_id text, amount float8); INSERT INTO orders VALUES (1, 'c', 10), (2, 'c', 30), (3, 'd', 7)`)
	if err = errors.Join(err, db.Close(ctx)); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// packages makes a layer of what the article's function imports, through S3 as layers of this size must be, and returns its ARN and the Python
// runtime for which it is.
func (u *user) packages() (layer, runtime string) {
	u.t.Helper()
	if err := u.shell("python3 -m pip install --quiet --only-binary :all: --target python redis psycopg2-binary pandas numpy"); err != nil {
		u.t.Skip("NOT TESTED: the article's function with its connections: pip cannot install redis, psycopg2, pandas and numpy")
	}
	runtime = u.run("python3", "-c", "import sys; print('python%d.%d' % sys.version_info[:2])")
	u.zip("layer.zip", "-1", "python")
	u.aws("s3 mb s3://layers")
	u.aws("s3 cp --quiet layer.zip s3://layers/packages.zip")
	return u.aws("lambda publish-layer-version --layer-name packages --content S3Bucket=layers,S3Key=packages.zip --query LayerVersionArn"), runtime
}

// foreign returns an address of the machine that is not its loopback; "" when there is none.
func foreign(t *testing.T) string {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && !n.IP.IsLoopback() && !n.IP.IsLinkLocalUnicast() {
			return n.IP.String()
		}
	}
	return ""
}

// TestColdStart runs the article's function with a Redis and a PostgreSQL on the machine's loopback: its pools connect when it starts, and every call after
// that finds them.
func TestColdStart(t *testing.T) {
	need(t, "aws", "zip", "python3")
	dir := app(t, "coldstart")
	socket, ask := redis(t)
	pg := pgtest.Start(t, "fsync=off")
	db := orders(t, pg)
	cache, base := open(t, socket), open(t, pg.Socket())
	u := newUser(t, "--allow-host", "localhost:"+cache.port, "--allow-host", "localhost:"+base.port)
	layer, runtime := u.packages()
	u.copy(filepath.Join(dir, "lambda_function.py"), "lambda_function.py")
	u.zip("code.zip", "lambda_function.py")
	password, _ := db.User.Password()
	variables := func(host string) string {
		return fmt.Sprintf("Variables={REDIS_HOST=%s,REDIS_PORT=%s,DB_HOST=%s,PGPORT=%s,DB_NAME=%s,DB_USER=%s,DB_PASSWORD=%s}",
			host, cache.port, host, base.port, strings.TrimPrefix(db.Path, "/"), db.User.Username(), password)
	}
	u.create("optimized", runtime, "lambda_function.lambda_handler", "code.zip", "--layers", layer, "--environment", variables("localhost"))
	for _, id := range []string{"one", "two", "three"} {
		answer, _ := u.invoke("optimized", `{"requestId":"`+id+`","customerId":"c"}`)
		if !strings.Contains(answer, `"statusCode": 200`) || !strings.Contains(answer, `\"count\": 2`) || !strings.Contains(answer, `\"mean\": 20.0`) {
			t.Fatalf("the function answered %s", answer)
		}
	}
	// Each environment has one connection to each, opened at its start, however often it is called; one environment is in use, and another may have been made for it.
	log := u.aws("logs filter-log-events --log-group-name /aws/lambda/optimized --query events[].[message]")
	starts := int64(strings.Count(log, "INIT_START"))
	if c, b := cache.count.Load(), base.count.Load(); starts == 0 || c != starts || b != starts || starts > 2 {
		t.Errorf("%d environments opened %d connections to Redis and %d to PostgreSQL for 3 calls", starts, c, b)
	}
	if strings.Contains(log, "failed") {
		t.Errorf("the function's log:\n%s", log)
	}
	// What Redis has is answered from there.
	if ask("get", "result:one") == "" || ask("ttl", "result:one") == "-1" {
		t.Errorf("the result is not in Redis, or for ever")
	}
	ask("set", "result:known", `{"from":"redis"}`)
	if answer, _ := u.invoke("optimized", `{"requestId":"known"}`); !strings.Contains(answer, `\"from\": \"redis\"`) {
		t.Errorf("a result that Redis has: %s", answer)
	}
	u.refused("optimized", variables, base)
}

// refused has the function look for its servers where it may not: nobody is at a port of its own loopback, and the machine's own address is refused, with a
// word about it.
func (u *user) refused(function string, variables func(host string) string, base *door) {
	u.t.Helper()
	before := base.count.Load()
	u.Stop()
	own := foreign(u.t)
	u.Args()
	u.Start()
	hosts := []string{"localhost"}
	if own == "" {
		u.t.Log("NOT TESTED: refusals of the machine's own address: it has none but its loopback")
	} else {
		hosts = append(hosts, own)
	}
	for _, host := range hosts {
		u.aws("lambda update-function-configuration --function-name "+function, "--environment", variables(host))
		if answer, says := u.invoke(function, `{"requestId":"four","customerId":"c"}`); !strings.Contains(answer, "Connection refused") || !strings.Contains(says, "Unhandled") {
			u.t.Errorf("with nothing allowed, at %s: %s %s", host, answer, says)
		}
	}
	if own != "" && !strings.Contains(u.Output(), "--allow-host "+net.JoinHostPort(own, base.port)) {
		u.t.Errorf("the server does not say how to allow it:\n%s", u.Output())
	}
	if n := base.count.Load() - before; n != 0 {
		u.t.Errorf("%d connections came through although nothing is allowed", n)
	}
	_ = os.Remove(filepath.Join(u.dir, "layer.zip"))
}
