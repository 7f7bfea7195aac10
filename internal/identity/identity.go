// Package identity issues and recognises the credentials of a cloud.
//
// Every secret is derived from the cloud's master key, 32 bytes of crypto/rand that lie in its store, so that nothing has to be looked
// up to verify a request: a secret access key is an HMAC of its access key id, and a session token carries, sealed, whom it stands for and
// until when. A reset makes a new master key, and with it every credential issued before stops working. Other processes on the store learn of
// it by a watch: until then, milliseconds as a rule and a second or two when the word is lost, they go on with the old one.
package identity

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"croft/internal/clock"
	"croft/internal/cloud"
	"croft/internal/kv"
)

const (
	rootPrefix = "AKIA"
	maxAccount = 999_999_999_999
	// maxRoots bounds how many accounts' credentials are remembered.
	maxRoots = 1024
)

// Credentials are what a client signs with.
type Credentials struct {
	AccessKeyID     string
	SecretAccessKey string
	SessionToken    string
	// Expires is zero for credentials that do not expire.
	Expires time.Time
}

// Session is whom temporary credentials stand for.
type Session struct {
	Account string `json:"a"`
	// ARN is the principal's: "arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION".
	ARN string `json:"p"`
	// UserID is "ROLEID:SESSION".
	UserID string `json:"u"`
	// Function is the ARN of the function that runs with these credentials, or empty.
	Function string    `json:"f,omitempty"`
	Expires  time.Time `json:"e"`
	Key      string    `json:"k"`
}

// ErrExpired is returned by Open for a token whose time has passed.
var ErrExpired = errors.New("identity: session token has expired")

// ErrInvalid is returned by Open for a token that this cloud did not issue for that access key.
var ErrInvalid = errors.New("identity: session token is invalid")

// retryLoad is the pause after the master key could not be read.
const retryLoad = time.Second

// Keys issues and recognises credentials. It is safe for concurrent use.
type Keys struct {
	clock clock.Clock
	space kv.Space
	state atomic.Pointer[state]
	// loading is held while the key is read and taken over, so that an older key never replaces a newer one.
	loading sync.Mutex
}

type state struct {
	master [32]byte
	seal   cipher.AEAD
	// roots remembers derived credentials by account: each request's access key is held against one of them.
	mu    sync.RWMutex
	roots map[string]Credentials
}

// New loads the master key of the cloud in store, making it on first use.
func New(ctx context.Context, store kv.Store, c clock.Clock) (*Keys, error) {
	k := &Keys{clock: c, space: kv.NewSpace(store, "!identity")}
	return k, k.Load(ctx)
}

func masterKey() []byte { return []byte("master") }

// Load reads the master key again, making one if there is none.
func (k *Keys) Load(ctx context.Context) error {
	k.loading.Lock()
	defer k.loading.Unlock()
	s := new(state)
	err := k.space.View(ctx, func(_ context.Context, r kv.Reader) error { return s.read(r) })
	if errors.Is(err, kv.ErrNotFound) {
		err = k.space.Update(ctx, func(ctx context.Context, tx kv.Tx) error {
			err := s.read(tx)
			if errors.Is(err, kv.ErrNotFound) {
				err = errors.Join(k.Renew(ctx), s.read(tx))
			}
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("identity: %w", err)
	}
	if now := k.state.Load(); now != nil && now.master == s.master {
		return nil
	}
	block, err := aes.NewCipher(s.mac("seal"))
	if err != nil {
		return fmt.Errorf("identity: %w", err)
	}
	if s.seal, err = cipher.NewGCM(block); err != nil {
		return fmt.Errorf("identity: %w", err)
	}
	k.state.Store(s)
	return nil
}

// Renew puts a new master key into the store, in the transaction that ctx carries. It is in use after the next Load.
func (k *Keys) Renew(ctx context.Context) error {
	return k.space.Update(ctx, func(_ context.Context, tx kv.Tx) error {
		var fresh [32]byte
		rand.Read(fresh[:])
		return tx.Put(masterKey(), fresh[:])
	})
}

// Follow takes over the master keys that other processes make, until ctx ends.
func (k *Keys) Follow(ctx context.Context, log *slog.Logger) {
	watch := k.space.Watch(nil)
	defer watch.Close()
	away := false // said once, not at every attempt
	for ctx.Err() == nil {
		if err := k.Load(ctx); err != nil && ctx.Err() == nil {
			if !away {
				log.Debug("the master key cannot be read; trying again", "every", retryLoad, "err", err)
			}
			away = true
			_ = clock.Sleep(ctx, k.clock, retryLoad) // ctx is looked at by the loop
			continue
		}
		away = false
		select {
		case <-watch.C():
		case <-ctx.Done():
		}
	}
}

func (s *state) read(r kv.Reader) error {
	v, err := r.Get(masterKey())
	if err != nil {
		return err
	}
	if len(v) != len(s.master) {
		return errors.New("the master key in the store is damaged")
	}
	copy(s.master[:], v)
	return nil
}

func (s *state) mac(what string) []byte {
	h := hmac.New(sha256.New, s.master[:])
	h.Write([]byte(what))
	return h.Sum(nil)
}

// secret has the 40 characters of AWS's.
func (s *state) secret(accessKeyID string) string {
	return base64.StdEncoding.EncodeToString(s.mac("secret:" + accessKeyID)[:30])
}

// Root returns the long-lived credentials of an account's root user, twelve digits: what croft's own commands, and those who give
// each test an account of its own, sign with.
//
// The access key id carries the account, as AWS's do: eight characters of it, and eight that show that this cloud issued it.
func (k *Keys) Root(account string) Credentials {
	s := k.state.Load()
	if c, ok := s.remembered(account); ok {
		return c
	}
	n, _ := strconv.ParseUint(account, 10, 40)
	id := append(make([]byte, 0, 20), rootPrefix...)
	for shift := 35; shift >= 0; shift -= 5 {
		id = append(id, cloud.Base32[n>>shift&31])
	}
	for _, b := range s.mac("root:" + account)[:8] {
		id = append(id, cloud.Base32[b&31])
	}
	c := Credentials{AccessKeyID: string(id), SecretAccessKey: s.secret(string(id))}
	s.remember(account, c)
	return c
}

// RootAccount returns the account whose root user has that access key id, and whether Root gave it out.
func (k *Keys) RootAccount(accessKeyID string) (account string, ok bool) {
	digits, found := strings.CutPrefix(accessKeyID, rootPrefix)
	if !found || len(digits) != 16 {
		return "", false
	}
	var n uint64
	for _, c := range []byte(digits[:8]) {
		i := strings.IndexByte(cloud.Base32, c)
		if i < 0 {
			return "", false
		}
		n = n<<5 | uint64(i)
	}
	if n > maxAccount {
		return "", false
	}
	account = fmt.Sprintf("%012d", n)
	return account, k.Root(account).AccessKeyID == accessKeyID
}

func (s *state) remembered(account string) (Credentials, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	c, ok := s.roots[account]
	return c, ok
}

func (s *state) remember(account string, c Credentials) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.roots == nil || len(s.roots) >= maxRoots {
		s.roots = map[string]Credentials{}
	}
	s.roots[account] = c
}

// Issue returns temporary credentials for session, whose Key and Expires it sets.
func (k *Keys) Issue(session Session, lifetime time.Duration) (Credentials, error) {
	s := k.state.Load()
	session.Key = "ASIA" + cloud.RandomString(16, cloud.Base32)
	session.Expires = k.clock.Now().Add(lifetime).UTC().Truncate(time.Second)
	plain, err := json.Marshal(session)
	if err != nil {
		return Credentials{}, fmt.Errorf("identity: %w", err)
	}
	nonce := make([]byte, s.seal.NonceSize())
	rand.Read(nonce)
	token := base64.StdEncoding.EncodeToString(s.seal.Seal(nonce, nonce, plain, nil))
	return Credentials{session.Key, s.secret(session.Key), token, session.Expires}, nil
}

// Secret returns the secret of an access key that this cloud issued: one that Root or Issue gave out for the account or token.
func (k *Keys) Secret(accessKeyID string) string { return k.state.Load().secret(accessKeyID) }

// Open returns the session that token stands for. Its access key must be accessKeyID.
func (k *Keys) Open(token, accessKeyID string) (Session, error) {
	s := k.state.Load()
	raw, err := base64.StdEncoding.DecodeString(token)
	if err != nil || len(raw) < s.seal.NonceSize() {
		return Session{}, ErrInvalid
	}
	n := s.seal.NonceSize()
	plain, err := s.seal.Open(nil, raw[:n], raw[n:], nil)
	if err != nil {
		return Session{}, ErrInvalid
	}
	var out Session
	if err := json.Unmarshal(plain, &out); err != nil || out.Key != accessKeyID {
		return Session{}, ErrInvalid
	}
	if !k.clock.Now().Before(out.Expires) {
		return Session{}, ErrExpired
	}
	return out, nil
}
