package sns

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" // signature version 1 is made with it
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"time"

	"croft/internal/kv"
)

// Signatures of notifications. Source: the service's developer guide, "Verifying the signatures of Amazon SNS messages".

const (
	keyBits = 2048
	// certificateLife is for how long a signing certificate holds.
	certificateLife = 10 * 365 * 24 * time.Hour
)

func signingKey() kv.Key { return kv.Key{'k'} }

// signingRow is the key that notifications are signed with: one for the whole cloud, made when it is first needed.
type signingRow struct {
	Key         []byte `json:"k"` // PKCS #8
	Certificate []byte `json:"c"` // X.509
}

// signer signs. Its id names the certificate.
type signer struct {
	id          string
	key         *rsa.PrivateKey
	certificate []byte
}

// signers remembers the signer that was read last.
type signers struct {
	mu   sync.Mutex
	last *signer
}

// signer returns the cloud's signer. Making its key, once for a cloud, takes some tenths of a second.
func (s *Service) signer(ctx context.Context) (*signer, error) {
	space := s.deps.Shared("sns")
	row, err := readSigner(ctx, space)
	if errors.Is(err, kv.ErrNotFound) {
		made, makeErr := s.newSigner()
		if makeErr != nil {
			return nil, makeErr
		}
		err = space.Update(ctx, func(_ context.Context, tx kv.Tx) error {
			var err error
			if row, err = tx.Get(signingKey()); err == nil {
				row = append([]byte(nil), row...)
				return nil
			}
			if !errors.Is(err, kv.ErrNotFound) {
				return err
			}
			row = made
			return tx.Put(signingKey(), made)
		})
	}
	if err != nil {
		return nil, err
	}
	return s.signers.read(row)
}

func readSigner(ctx context.Context, space kv.Space) (row []byte, err error) {
	err = space.View(ctx, func(_ context.Context, r kv.Reader) error {
		v, err := r.Get(signingKey())
		row = append([]byte(nil), v...)
		return err
	})
	return row, err
}

func (c *signers) read(row []byte) (*signer, error) {
	var stored signingRow
	if err := json.Unmarshal(row, &stored); err != nil {
		return nil, fmt.Errorf("sns: the signing key: %w", err)
	}
	sum := sha256.Sum256(stored.Certificate)
	id := hex.EncodeToString(sum[:16])
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last != nil && c.last.id == id {
		return c.last, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(stored.Key)
	key, ok := parsed.(*rsa.PrivateKey)
	if err != nil || !ok {
		return nil, errors.New("sns: the signing key cannot be read")
	}
	c.last = &signer{id, key, stored.Certificate}
	return c.last, nil
}

func (s *Service) newSigner() ([]byte, error) {
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return nil, fmt.Errorf("sns: %w", err)
	}
	now := s.deps.Clock.Now()
	template := &x509.Certificate{
		SerialNumber: new(big.Int).SetUint64(randomUint64()), Subject: pkix.Name{CommonName: principal},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(certificateLife), KeyUsage: x509.KeyUsageDigitalSignature,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("sns: %w", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("sns: %w", err)
	}
	return json.Marshal(signingRow{private, certificate})
}

// file is the name under which the certificate is served.
func (k *signer) file() string { return "SimpleNotificationService-" + k.id + ".pem" }

func (k *signer) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: k.certificate})
}

// sign signs members, which are names and values in turns, in the order of the names; version is "1" or "2".
func (k *signer) sign(version string, members ...string) (string, error) {
	text := strings.Join(members, "\n") + "\n"
	hash := crypto.SHA256
	digest := sha256.New()
	if version == "1" {
		hash, digest = crypto.SHA1, sha1.New()
	}
	digest.Write([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, k.key, hash, digest.Sum(nil))
	if err != nil {
		return "", fmt.Errorf("sns: %w", err)
	}
	return base64.StdEncoding.EncodeToString(signature), nil
}
