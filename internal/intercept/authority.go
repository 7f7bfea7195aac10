package intercept

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"sync"
	"time"

	"croft/internal/clock"
	"croft/internal/cloud"
)

const (
	// validFor bounds how long one run of a tool can go on: a certificate that was stolen with the process's memory is worthless afterwards.
	validFor = 7 * 24 * time.Hour
	// backdated allows for a tool that asks a clock of its own.
	backdated = time.Hour
	// maxLeaves bounds the certificates that are kept. A tool that goes through more hosts has them made again.
	maxLeaves = 1024
)

// authority is a certificate authority that lives in memory. It is safe for concurrent use.
//
// It is two certificates: the root, which tools trust and whose key signs the second one and is forgotten, and the issuer, whose key
// signs the leaves. Both are good for the names of AWS alone; Java looks at the constraints of an issuer, but not at those of a root.
type authority struct {
	root, issuer *x509.Certificate
	key          *ecdsa.PrivateKey // the issuer's
	// leafKey is that of all leaves: they live and die together, and a key costs more than a signature.
	leafKey *ecdsa.PrivateKey

	mu     sync.Mutex
	leaves map[string]*tls.Certificate
}

// newAuthority makes an authority whose certificates carry its name and are good for as long as it says.
func newAuthority(clk clock.Clock, name string, good time.Duration) (*authority, error) {
	var keys [3]*ecdsa.PrivateKey
	for i := range keys {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		keys[i] = key
	}
	now := clk.Now()
	root, err := sign(constrained(name, 1, now, good), nil, keys[0], keys[0])
	if err != nil {
		return nil, err
	}
	issuer, err := sign(constrained(name+", issuer", 0, now, good), root, keys[1], keys[0])
	if err != nil {
		return nil, err
	}
	return &authority{root: root, issuer: issuer, key: keys[1], leafKey: keys[2], leaves: map[string]*tls.Certificate{}}, nil
}

// constrained returns what an authority's certificate says. below is how many authorities may stand below it.
func constrained(name string, below int, now time.Time, good time.Duration) *x509.Certificate {
	return &x509.Certificate{
		Subject:   pkix.Name{CommonName: name, Organization: []string{"Cloudcroft, this run alone"}},
		NotBefore: now.Add(-backdated), NotAfter: now.Add(good),
		IsCA: true, BasicConstraintsValid: true, MaxPathLen: below, MaxPathLenZero: below == 0, KeyUsage: x509.KeyUsageCertSign,
		ExtKeyUsage:                 []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		PermittedDNSDomainsCritical: true, PermittedDNSDomains: cloud.AWSSuffixes(), ExcludedIPRanges: allAddresses(),
	}
}

func allAddresses() []*net.IPNet {
	return []*net.IPNet{
		{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)},
		{IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)},
	}
}

func newSerial() (*big.Int, error) {
	return rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
}

// sign makes a certificate for key's public half. Without a parent it signs itself.
func sign(template, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// leaf returns a certificate for host, a name in its normal form.
func (a *authority) leaf(host string) (*tls.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if c := a.leaves[host]; c != nil {
		return c, nil
	}
	cert, err := sign(&x509.Certificate{
		DNSNames: []string{host}, NotBefore: a.issuer.NotBefore, NotAfter: a.issuer.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, a.issuer, a.leafKey, a.key)
	if err != nil {
		return nil, err
	}
	if len(a.leaves) >= maxLeaves {
		clear(a.leaves)
	}
	c := &tls.Certificate{Certificate: [][]byte{cert.Raw, a.issuer.Raw}, PrivateKey: a.leafKey, Leaf: cert}
	a.leaves[host] = c
	return c, nil
}

// tls returns what the server's side of a connection to host is made of.
func (a *authority) tls(host string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		// A client that speaks HTTP/2 alone is turned away in the handshake.
		NextProtos:     []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return a.leaf(host) },
	}
}
