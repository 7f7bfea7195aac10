package intercept

import (
	"bytes"
	"encoding/pem"
	"io"
	"os"
	"path/filepath"
)

const (
	// maxRoots bounds what is read of one file of certificates, and maxRootFiles how many files of a folder are looked at.
	maxRoots     = 16 << 20
	maxRootFiles = 2048
)

// systemRoots are where systems keep the certificates that they trust, as one file; the first that exists counts.
func systemRoots() [7]string {
	return [...]string{
		"/etc/ssl/certs/ca-certificates.crt",                // Debian, Ubuntu, Arch, Gentoo
		"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // Fedora, RHEL
		"/etc/pki/tls/certs/ca-bundle.crt",                  // older Fedora, RHEL
		"/etc/ssl/ca-bundle.pem",                            // openSUSE
		"/etc/ssl/cert.pem",                                 // macOS, Alpine, BSD
		"/etc/pki/tls/cacert.pem",                           // OpenELEC
		"/etc/ssl/certs/ca-bundle.crt",                      // NixOS
	}
}

// trustVariables are those by which tools are told of the certificates to trust. Each names a file, a few of them also a folder.
func trustVariables() [6]string {
	return [...]string{"AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "DENO_CERT", "NODE_EXTRA_CA_CERTS"}
}

// certificates is an ordered set of certificates in their DER form.
type certificates struct {
	list [][]byte
	seen map[string]bool
}

// add takes the certificates out of a text in PEM form, and returns whether there are any.
func (c *certificates) add(text []byte) bool {
	found := false
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" && block.Type != "TRUSTED CERTIFICATE" {
			continue
		}
		found = true
		if key := string(block.Bytes); !c.seen[key] {
			c.seen[key] = true
			c.list = append(c.list, block.Bytes)
		}
	}
	return found
}

// addPath adds what the file, or the files of the folder, hold. What cannot be read adds nothing: the tool would have failed on it by itself.
func (c *certificates) addPath(path string) bool {
	info, err := os.Stat(path)
	if err != nil {
		return false
	}
	if !info.IsDir() {
		return c.addFile(path)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return false
	}
	found := false
	for _, e := range entries[:min(len(entries), maxRootFiles)] {
		if !e.IsDir() && c.addFile(filepath.Join(path, e.Name())) {
			found = true
		}
	}
	return found
}

func (c *certificates) addFile(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return false
	}
	text, err := io.ReadAll(io.LimitReader(f, maxRoots))
	return err == nil && c.add(text)
}

// pem returns the certificates as a text.
func (c *certificates) pem() []byte {
	var out bytes.Buffer
	for _, der := range c.list {
		_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: der}) // a buffer takes everything
	}
	return out.Bytes()
}

func newCertificates(ders ...[]byte) *certificates {
	c := &certificates{seen: map[string]bool{}}
	for _, der := range ders {
		c.seen[string(der)] = true
		c.list = append(c.list, der)
	}
	return c
}

// trusted returns what the tool trusted before, by its environment and the system, and after that own.
func trusted(env environment, own []byte) *certificates {
	c := newCertificates(own)
	for _, name := range trustVariables() {
		if path := env.get(name); path != "" {
			c.addPath(path)
		}
	}
	if env.get("SSL_CERT_FILE") == "" {
		for _, path := range systemRoots() {
			if c.addFile(path) {
				break
			}
		}
	}
	return c
}
