package apigatewayv2

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
)

// response is what a client is answered.
type response struct {
	status int
	header http.Header
	body   []byte
}

// messageResponse returns an answer of API Gateway's own.
func messageResponse(status int, text string) *response {
	body, _ := json.Marshal(map[string]string{"message": text})
	return &response{status: status, header: http.Header{"Content-Type": {"application/json"}}, body: body}
}

func message(w http.ResponseWriter, status int, text string) {
	m := messageResponse(status, text)
	w.Header()["Content-Type"] = m.header["Content-Type"]
	w.WriteHeader(status)
	// A client that has gone away does not miss the text.
	_, _ = w.Write(m.body)
}

// functionResponse is a function's answer in either format.
type functionResponse struct {
	StatusCode        any              `json:"statusCode"`
	Headers           map[string]any   `json:"headers"`
	MultiValueHeaders map[string][]any `json:"multiValueHeaders"`
	Cookies           []string         `json:"cookies"`
	Body              *string          `json:"body"`
	IsBase64Encoded   bool             `json:"isBase64Encoded"`
}

// parseResponse2 reads an answer of payload format 2.0. One that is no object with a statusCode is itself the body. Source: API
// Gateway Developer Guide, "Create AWS Lambda proxy integrations for HTTP APIs"; that the body is taken as it is, valid JSON or not,
// was observed by AWS's own test tool for .NET.
func parseResponse2(payload []byte) (*response, error) {
	var probe map[string]json.RawMessage
	if json.Unmarshal(payload, &probe) == nil && probe["statusCode"] != nil {
		return parseFull(payload)
	}
	return &response{status: http.StatusOK, header: http.Header{"Content-Type": {"application/json"}}, body: payload}, nil
}

// parseResponse1 reads an answer of payload format 1.0, which must say everything.
func parseResponse1(payload []byte) (*response, error) { return parseFull(payload) }

func parseFull(payload []byte) (*response, error) {
	var f functionResponse
	d := json.NewDecoder(bytes.NewReader(payload))
	d.UseNumber()
	if err := d.Decode(&f); err != nil {
		return nil, err
	}
	status, err := statusOf(f.StatusCode)
	if err != nil {
		return nil, err
	}
	out := &response{status: status, header: http.Header{}}
	if err := out.headers(&f); err != nil {
		return nil, err
	}
	if f.Body == nil {
		return out, nil
	}
	out.body = []byte(*f.Body)
	if f.IsBase64Encoded {
		if out.body, err = base64.StdEncoding.DecodeString(*f.Body); err != nil {
			return nil, fmt.Errorf("body: %w", err)
		}
	}
	return out, nil
}

func statusOf(v any) (int, error) {
	text, ok := scalar(v)
	status, err := strconv.Atoi(text)
	if !ok || err != nil || status < 200 || status > 599 {
		return 0, fmt.Errorf("statusCode is %v", v)
	}
	return status, nil
}

// scalar returns a header's value or a status as text.
func scalar(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	default:
		return "", false
	}
}

var errHeader = errors.New("headers: a value is not a string, number or boolean")

func (r *response) headers(f *functionResponse) error {
	for name, values := range f.MultiValueHeaders {
		for _, v := range values {
			text, ok := scalar(v)
			if !ok {
				return errHeader
			}
			r.header.Add(name, text)
		}
	}
	for name, v := range f.Headers {
		text, ok := scalar(v)
		if !ok {
			return errHeader
		}
		r.header.Add(name, text)
	}
	for _, cookie := range f.Cookies {
		r.header.Add("Set-Cookie", cookie)
	}
	// These belong to the connection and are the server's to set.
	for _, name := range []string{"Connection", "Content-Length", "Keep-Alive", "Trailer", "Transfer-Encoding", "Upgrade"} {
		r.header.Del(name)
	}
	if r.header.Get("Content-Type") == "" {
		r.header.Set("Content-Type", "text/plain; charset=utf-8")
	}
	return nil
}
