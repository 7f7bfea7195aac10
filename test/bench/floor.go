package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
)

// recording is one answer of the subject, which the floor repeats.
type recording struct {
	Addr   string
	Status int
	Header http.Header
	Body   []byte
}

// serveFloor answers every request with the recorded bytes, having read the request's body.
func serveFloor(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var rec recording
	if err := json.Unmarshal(text, &rec); err != nil {
		return err
	}
	return http.ListenAndServe(rec.Addr, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		for k, v := range rec.Header {
			w.Header()[k] = v
		}
		w.WriteHeader(rec.Status)
		if _, err := w.Write(rec.Body); err != nil {
			return
		}
	}))
}

// recorder is a transport that keeps the last answer.
type recorder struct {
	next http.RoundTripper
	last recording
}

// RoundTrip implements http.RoundTripper.
func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := r.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	if err := res.Body.Close(); err != nil {
		return nil, err
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	header := res.Header.Clone()
	header.Del("Date") // net/http writes its own
	r.last = recording{Status: res.StatusCode, Header: header, Body: body}
	return res, nil
}

func (b *bench) startFloor(rec recording) (*server, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	rec.Addr = addr
	text, err := json.Marshal(rec)
	if err != nil {
		return nil, err
	}
	b.count++
	path := fmt.Sprintf("%s/floor%d.json", b.dir, b.count)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return launch(addr, self, "-floor", path)
}
