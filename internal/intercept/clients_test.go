package intercept

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// impostor serves under a certificate that the authority's key has signed for host, as somebody who got hold of the key would.
func impostor(t *testing.T, p *Proxy, host string) (port string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := p.server(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "believed") })
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(tls.NewListener(l, p.ca.tls(host))) }()
	t.Cleanup(func() { _ = srv.Close(); <-done })
	_, port, err = net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// TestClientsHoldTheAuthorityToItsNames has the clients that the certificate is for look at what a stolen key could be used for.
func TestClientsHoldTheAuthorityToItsNames(t *testing.T) {
	w := newWorld(t, echo)
	m, err := w.write(environment{"SSL_CERT_FILE=/nowhere"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := m.remove(); err != nil {
			t.Error(err)
		}
	}()
	java := filepath.Join(t.TempDir(), "Ask.java")
	if err := os.WriteFile(java, []byte(askJava), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"sqs.us-east-1.amazonaws.com", "example.com"} {
		port := impostor(t, w.Proxy, host)
		for _, client := range [][]string{
			{"curl", "-sS", "--noproxy", "*", "--resolve", host + ":" + port + ":127.0.0.1", "--cacert", m.bundle, "https://" + host + ":" + port + "/"},
			{"python3", "-c", askPython, host, port, m.bundle},
			{"node", "-e", askNode, host, port, m.extra},
			{"java", java, host, port, m.store, storePassword},
		} {
			if _, err := exec.LookPath(client[0]); err != nil {
				t.Logf("SKIPPED: %s is not installed", client[0])
				continue
			}
			out, err := exec.Command(client[0], client[1:]...).CombinedOutput()
			if believed := err == nil && strings.Contains(string(out), "believed"); believed != (host != "example.com") {
				t.Errorf("%s believes a certificate for %s: %v\n%s", client[0], host, believed, out)
			}
		}
	}
}

const askPython = `
import socket, ssl, sys
host, port, roots = sys.argv[1:]
s = ssl.create_default_context(cafile=roots).wrap_socket(socket.create_connection(("127.0.0.1", int(port))), server_hostname=host)
s.sendall(b"GET / HTTP/1.0\r\nHost: " + host.encode() + b"\r\n\r\n")
print(b"".join(iter(lambda: s.recv(4096), b"")))
`

const askNode = `
const [host, port, roots] = process.argv.slice(1);
const options = { host: '127.0.0.1', port, servername: host, headers: { host }, ca: require('fs').readFileSync(roots) };
require('https').get(options, (res) => res.pipe(process.stdout)).on('error', (e) => { console.log(e.code); process.exit(1); });
`

const askJava = `
import java.io.*;
import java.net.*;
import java.security.*;
import javax.net.ssl.*;

public class Ask {
    public static void main(String[] a) throws Exception {
        KeyStore roots = KeyStore.getInstance("PKCS12");
        roots.load(new FileInputStream(a[2]), a[3].toCharArray());
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(roots);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);
        Socket plain = new Socket("127.0.0.1", Integer.parseInt(a[1]));
        SSLSocket s = (SSLSocket) context.getSocketFactory().createSocket(plain, a[0], 443, true);
        SSLParameters p = s.getSSLParameters();
        p.setEndpointIdentificationAlgorithm("HTTPS");
        s.setSSLParameters(p);
        s.getOutputStream().write(("GET / HTTP/1.0\r\nHost: " + a[0] + "\r\n\r\n").getBytes());
        System.out.println(new String(s.getInputStream().readAllBytes()));
    }
}
`
