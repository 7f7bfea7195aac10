package intercept

import (
	"crypto/tls"
	"time"

	"croft/internal/clock"
)

// insideFor is how long certificates are good that functions see: longer than a server is likely to run.
const insideFor = 2 * 365 * 24 * time.Hour

// Inside is the authority whose certificates the cloud shows to its functions, which reach it under the names of AWS. Its keys live in memory and end
// with the server; nobody outside of the functions' sandboxes trusts it. It is safe for concurrent use.
type Inside struct{ authority *authority }

// NewInside makes a new authority, valid from now on.
func NewInside(clk clock.Clock) (*Inside, error) {
	a, err := newAuthority(clk, "croft functions", insideFor)
	if err != nil {
		return nil, err
	}
	return &Inside{a}, nil
}

// TLS returns the server's side of connections to whichever name of AWS a client asks for.
func (i *Inside) TLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"http/1.1"},
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			return i.authority.leaf(normal(hello.ServerName))
		},
	}
}

// Bundle returns what functions trust, as a text in PEM form: what the machine trusts, and the authority.
func (i *Inside) Bundle() []byte {
	c := newCertificates(i.authority.root.Raw)
	for _, path := range systemRoots() {
		if c.addFile(path) {
			break
		}
	}
	return c.pem()
}
