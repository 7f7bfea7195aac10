package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"sync"
)

type digest = [sha256.Size]byte

func mac(key []byte, text string) digest {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	var out digest
	h.Sum(out[:0])
	return out
}

// derive makes the key that signs in a scope.
func derive(secret string, s *Scope) digest {
	k := mac([]byte("AWS4"+secret), s.Date)
	k = mac(k[:], s.Region)
	k = mac(k[:], s.Service)
	return mac(k[:], terminator)
}

// sign returns the signature over a canonical request.
func sign(key digest, s *Scope, rawTime string, canonical []byte) digest {
	return mac(key[:], stringToSign(s, rawTime, canonical))
}

// stringToSign returns what a signature is computed of.
func stringToSign(s *Scope, rawTime string, canonical []byte) string {
	sum := sha256.Sum256(canonical)
	b := make([]byte, 0, 256)
	b = append(b, algorithm+"\n"...)
	b = append(append(b, rawTime...), '\n')
	b = append(b, s.Date...)
	b = append(append(b, '/'), s.Region...)
	b = append(append(b, '/'), s.Service...)
	b = append(b, "/"+terminator+"\n"...)
	b = hex.AppendEncode(b, sum[:])
	return string(b)
}

// maxDerived bounds the keys that are remembered.
const maxDerived = 1024

// keyCache remembers derived keys. When it is full it starts anew: keys change every day, and making one costs microseconds.
type keyCache struct {
	mu   sync.RWMutex
	keys map[cacheKey]digest
}

// cacheKey holds the secret, so that a key whose secret has changed is another.
type cacheKey struct{ secret, date, region, service string }

func (v *Verifier) key(secret string, s *Scope) digest {
	if v == nil {
		return derive(secret, s)
	}
	id := cacheKey{secret, s.Date, s.Region, s.Service}
	v.derived.mu.RLock()
	key, ok := v.derived.keys[id]
	v.derived.mu.RUnlock()
	if ok {
		return key
	}
	key = derive(secret, s)
	v.derived.mu.Lock()
	defer v.derived.mu.Unlock()
	if v.derived.keys == nil || len(v.derived.keys) >= maxDerived {
		v.derived.keys = map[cacheKey]digest{}
	}
	v.derived.keys[id] = key
	return key
}
