package lambda

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"croft/internal/blob"
	"croft/internal/clock"
	"croft/internal/kv"
	"croft/internal/service"
)

const (
	// downloadLabel is the label of the front door that serves packages.
	downloadLabel = "lambda-code"
	// downloadLife is how long an address of a package holds. Source: API Reference, FunctionCodeLocation and LayerVersionContentOutput.
	downloadLife = 10 * time.Minute
	// downloadWithin bounds the sending of a package.
	downloadWithin = 10 * time.Minute
)

// download is what the address of a package says. Whoever has the address may read the package, until it ends.
type download struct {
	ID   string `json:"i"`
	Name string `json:"n"`
	End  int64  `json:"e"` // Unix seconds
}

func downloadKey() kv.Key { return kv.Key(nil).Raw('k') }

// location returns an address under which a package can be read for ten minutes, as a file of that name.
func (s *Service) location(ctx context.Context, ref blob.Ref, name string) (string, error) {
	key, err := s.downloadSecret(ctx)
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(download{ID: ref.ID, Name: name, End: s.deps.Clock.Now().Add(downloadLife).Unix()})
	if err != nil {
		return "", fmt.Errorf("lambda: %w", err)
	}
	token := base64.RawURLEncoding.EncodeToString(body) + "." + base64.RawURLEncoding.EncodeToString(seal(key, body))
	return s.deps.Endpoint(ctx) + "/_aws/" + downloadLabel + "/" + token + "/" + name + ".zip", nil
}

func seal(key, body []byte) []byte {
	m := hmac.New(sha256.New, key)
	m.Write(body)
	return m.Sum(nil)
}

// downloadSecret returns what addresses are signed with: made once for the whole cloud.
func (s *Service) downloadSecret(ctx context.Context) (key []byte, err error) {
	ctx = kv.Detach(ctx, s.deps.Store) // a caller's snapshot may be older than the secret, and cannot be written
	read := func(r kv.Reader) error {
		v, err := r.Get(downloadKey())
		key = append([]byte(nil), v...)
		return err
	}
	err = s.shared().View(ctx, func(_ context.Context, r kv.Reader) error { return read(r) })
	if !errors.Is(err, kv.ErrNotFound) {
		return key, err
	}
	err = s.shared().Update(ctx, func(_ context.Context, tx kv.Tx) error {
		err := read(tx)
		if !errors.Is(err, kv.ErrNotFound) {
			return err
		}
		key = make([]byte, sha256.Size)
		rand.Read(key)
		return tx.Put(downloadKey(), key)
	})
	return key, err
}

// downloads is the front door that serves packages.
func (s *Service) downloads() *service.Front {
	return &service.Front{
		Label: downloadLabel, Serve: s.serveDownload,
		AllowOrigin: func(context.Context, string, string) bool { return false },
	}
}

func (s *Service) serveDownload(w http.ResponseWriter, r *http.Request, token string) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "a package can only be read", http.StatusMethodNotAllowed)
		return
	}
	key, err := s.downloadSecret(r.Context())
	if err != nil {
		s.deps.Log.Error("a package cannot be served", "err", err)
		http.Error(w, "the package cannot be read now", http.StatusInternalServerError)
		return
	}
	d, ok := readToken(key, token)
	if !ok || s.deps.Clock.Now().Unix() > d.End {
		http.Error(w, "the address is wrong, or its time is over: ask for a new one", http.StatusForbidden)
		return
	}
	body, size, err := s.deps.Blobs.Open(r.Context(), d.ID)
	if errors.Is(err, blob.ErrNotFound) {
		http.Error(w, "the package is gone", http.StatusNotFound)
		return
	}
	if err != nil {
		s.deps.Log.Error("a package cannot be read", "package", d.ID, "err", err)
		http.Error(w, "the package cannot be read now", http.StatusInternalServerError)
		return
	}
	defer body.Close()
	// It fails for a connection that has no deadlines, such as a test's.
	_ = http.NewResponseController(w).SetWriteDeadline(clock.Real().Now().Add(downloadWithin))
	w.Header().Set("Content-Type", "application/zip")
	w.Header().Set("Content-Disposition", `attachment; filename="`+d.Name+`.zip"`)
	http.ServeContent(w, r, "", time.Time{}, io.NewSectionReader(body, 0, size))
}

func readToken(key []byte, token string) (d download, ok bool) {
	const most = 1024
	if len(token) > most {
		return d, false
	}
	for i := range token {
		if token[i] != '.' {
			continue
		}
		body, err := base64.RawURLEncoding.DecodeString(token[:i])
		mac, bad := base64.RawURLEncoding.DecodeString(token[i+1:])
		if err != nil || bad != nil || !hmac.Equal(mac, seal(key, body)) {
			return d, false
		}
		return d, json.Unmarshal(body, &d) == nil
	}
	return d, false
}
