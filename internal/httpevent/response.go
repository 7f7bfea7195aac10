package httpevent

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
)

// Response is what a client is answered.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

const (
	typeJSON  = "application/json"
	typePlain = "text/plain; charset=utf-8"
	typeBytes = "application/octet-stream"
)

// answer is a function's result in either format.
type answer struct {
	StatusCode        any              `json:"statusCode"`
	Headers           map[string]any   `json:"headers"`
	MultiValueHeaders map[string][]any `json:"multiValueHeaders"`
	Cookies           []string         `json:"cookies"`
	Body              *string          `json:"body"`
	IsBase64Encoded   bool             `json:"isBase64Encoded"`
}

// Parse1 reads a result of payload format 1.0, which must say everything.
func Parse1(payload []byte) (*Response, error) { return parseFull(payload, typePlain) }

// Parse2 reads a result of payload format 2.0 as HTTP APIs do. One that is no object with a statusCode is itself the body. Source: API
// Gateway Developer Guide, "Create AWS Lambda proxy integrations for HTTP APIs"; that the body is taken as it is, valid JSON or not,
// was observed by AWS's own test tool for .NET.
func Parse2(payload []byte) (*Response, error) {
	if hasStatus(payload) {
		return parseFull(payload, typePlain)
	}
	return whole(payload), nil
}

// ParseURL reads a result of payload format 2.0 as function URLs do: in their answers everything is JSON that is not said to be something else, and
// a string is a body without its quotes. Observed on AWS.
func ParseURL(payload []byte) (*Response, error) {
	if hasStatus(payload) {
		return parseFull(payload, typeJSON)
	}
	var text string
	if json.Unmarshal(payload, &text) == nil && !bytes.Equal(bytes.TrimSpace(payload), []byte("null")) {
		return whole([]byte(text)), nil
	}
	return whole(payload), nil
}

func whole(body []byte) *Response {
	return &Response{Status: http.StatusOK, Header: http.Header{"Content-Type": {typeJSON}}, Body: body}
}

func hasStatus(payload []byte) bool {
	var probe map[string]json.RawMessage
	return json.Unmarshal(payload, &probe) == nil && probe["statusCode"] != nil
}

// ParsePrelude reads what stands before a streamed body: status, headers and cookies, of which none is required. Source: Lambda Developer Guide,
// "Writing response streaming-enabled Lambda functions".
func ParsePrelude(prelude []byte) (*Response, error) {
	a, err := decode(prelude)
	if err != nil {
		return nil, err
	}
	if a.StatusCode == nil {
		a.StatusCode = json.Number("200")
	}
	return a.head(typeBytes)
}

func decode(payload []byte) (*answer, error) {
	a := new(answer)
	d := json.NewDecoder(bytes.NewReader(payload))
	d.UseNumber()
	return a, d.Decode(a)
}

func parseFull(payload []byte, media string) (*Response, error) {
	a, err := decode(payload)
	if err != nil {
		return nil, err
	}
	out, err := a.head(media)
	if err != nil || a.Body == nil {
		return out, err
	}
	out.Body = []byte(*a.Body)
	if a.IsBase64Encoded {
		if out.Body, err = base64.StdEncoding.DecodeString(*a.Body); err != nil {
			return nil, fmt.Errorf("body: %w", err)
		}
	}
	return out, nil
}

// head returns the status and the headers of an answer, whose body is of the type media unless a header says otherwise.
func (a *answer) head(media string) (*Response, error) {
	status, err := statusOf(a.StatusCode)
	if err != nil {
		return nil, err
	}
	out := &Response{Status: status, Header: http.Header{}}
	for name, values := range a.MultiValueHeaders {
		for _, v := range values {
			if err := out.add(name, v); err != nil {
				return nil, err
			}
		}
	}
	for name, v := range a.Headers {
		if err := out.add(name, v); err != nil {
			return nil, err
		}
	}
	for _, cookie := range a.Cookies {
		out.Header.Add("Set-Cookie", cookie)
	}
	// These belong to the connection and are the server's to set.
	for _, name := range []string{"Connection", "Content-Length", "Keep-Alive", "Trailer", "Transfer-Encoding", "Upgrade"} {
		out.Header.Del(name)
	}
	if out.Header.Get("Content-Type") == "" {
		out.Header.Set("Content-Type", media)
	}
	return out, nil
}

var errHeader = errors.New("headers: a value is not a string, number or boolean")

func (r *Response) add(name string, v any) error {
	text, ok := Scalar(v)
	if !ok {
		return errHeader
	}
	r.Header.Add(name, text)
	return nil
}

func statusOf(v any) (int, error) {
	text, ok := Scalar(v)
	status, err := strconv.Atoi(text)
	if !ok || err != nil || status < 200 || status > 599 {
		return 0, fmt.Errorf("statusCode is %v", v)
	}
	return status, nil
}

// Scalar returns a header's value or a status, decoded with json.Number, as text.
func Scalar(v any) (string, bool) {
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
