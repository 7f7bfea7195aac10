package intercept

import (
	"bytes"
	"crypto/x509"
	_ "embed" // the shim
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"

	"software.sslmate.com/src/go-pkcs12"

	"croft/internal/cloud"
)

//go:embed shim.js
var shim []byte

// storePassword opens Java's trust store. It protects nothing: the store holds public certificates, and Java wants a password.
const storePassword = "changeit"

// material is the folder of files that the tool reads. They hold no key; the shim holds the proxy's token.
type material struct {
	dir string
	// bundle has all certificates to trust, extra those that are not the tool's own, store is the bundle in Java's form.
	bundle, extra, store, shim string
}

// write makes the folder, readable by its owner alone. The caller removes it.
func (p *Proxy) write(env environment) (m *material, err error) {
	dir, err := os.MkdirTemp("", "croft-exec-")
	if err != nil {
		return nil, fmt.Errorf("no folder for the proxy's certificate: %w", err)
	}
	m = &material{dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.remove())
		}
	}()
	roots := trusted(env, p.ca.root.Raw)
	extra := newCertificates(p.ca.root.Raw)
	if own := env.get("NODE_EXTRA_CA_CERTS"); own != "" {
		extra.addPath(own)
	}
	store, err := trustStore(roots)
	if err != nil {
		return m, err
	}
	script, err := p.shim()
	if err != nil {
		return m, err
	}
	for _, f := range []struct {
		path *string
		name string
		text []byte
	}{
		{&m.bundle, "roots.pem", roots.pem()}, {&m.extra, "extra.pem", extra.pem()}, {&m.store, "roots.p12", store}, {&m.shim, "proxy.cjs", script},
	} {
		*f.path = filepath.Join(dir, f.name)
		if err := os.WriteFile(*f.path, f.text, 0o600); err != nil {
			return m, err
		}
	}
	return m, nil
}

func (m *material) remove() error { return os.RemoveAll(m.dir) }

// trustStore returns the certificates as a PKCS #12 file. The old algorithms are those that each Java can read.
func trustStore(c *certificates) ([]byte, error) {
	var certs []*x509.Certificate
	for _, der := range c.list {
		// Some old roots are not well-formed enough for this library; what cannot be parsed cannot be passed on.
		if cert, err := x509.ParseCertificate(der); err == nil {
			certs = append(certs, cert)
		}
	}
	return pkcs12.LegacyDES.EncodeTrustStore(certs, storePassword)
}

// shim returns the script for Node, with the proxy's address in it.
func (p *Proxy) shim() ([]byte, error) {
	host, port, err := net.SplitHostPort(p.Addr())
	if err != nil {
		return nil, err
	}
	cfg, err := json.Marshal(map[string]any{
		"proxyHost": host, "proxyPort": port, "names": []string{cloud.ProxiedName, p.route.host}, "suffixes": append(cloud.AWSSuffixes(), cloud.ProxiedName),
		"authorization": "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+p.token)),
	})
	if err != nil {
		return nil, err
	}
	return bytes.Replace(shim, []byte("CONFIG"), cfg, 1), nil
}

// Certificate returns the certificate that tools trust, in PEM form.
func (p *Proxy) Certificate() []byte {
	return slices.Clip(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.ca.root.Raw}))
}
