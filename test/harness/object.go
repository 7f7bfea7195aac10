package harness

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"croft/internal/clock"
	"croft/internal/sigv4"
)

// Answer is what an HTTP request got, body read.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Object makes one call in S3's protocol: path begins with the bucket, and may end in a query. The error is that of the connection; what
// the cloud refuses is an Answer.
func (c *Cloud) Object(method, path string, header map[string]string, body []byte) (Answer, error) {
	req, err := http.NewRequest(method, c.URL+"/"+path, bytes.NewReader(body))
	if err != nil {
		return Answer{}, err
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	sigv4.Sign(req, body, sigv4.Credentials{AccessKey: "test", Secret: "test"}, "us-east-1", "s3", clock.Real().Now())
	res, err := c.HTTP.Do(req)
	if err != nil {
		return Answer{}, err
	}
	text, err := io.ReadAll(res.Body)
	return Answer{res.StatusCode, res.Header, text}, errors.Join(err, res.Body.Close())
}

// Form makes one call in the query protocol, and returns what is not success as an error.
func (c *Cloud) Form(service, version, operation string, in map[string]string) error {
	form := url.Values{"Action": {operation}, "Version": {version}}
	for k, v := range in {
		form.Set(k, v)
	}
	body := []byte(form.Encode())
	req, err := http.NewRequest(http.MethodPost, c.URL+"/", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	sigv4.Sign(req, body, sigv4.Credentials{AccessKey: "test", Secret: "test"}, "us-east-1", service, clock.Real().Now())
	res, err := c.HTTP.Do(req)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(res.Body)
	if err = errors.Join(err, res.Body.Close()); err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %.300s", operation, res.Status, text)
	}
	return err
}
