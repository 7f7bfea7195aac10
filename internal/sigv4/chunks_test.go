package sigv4

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"croft/internal/cloud"
)

type oneSecret string

func (k oneSecret) Secret(context.Context, string) (string, bool, error) {
	return string(k), k != "", nil
}

// The examples of the S3 API Reference, "Transferring Payload in Multiple Chunks" and "Including trailing headers".
const (
	chunkSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	chunkDate   = "20130524T000000Z"
)

func examplePayload(mode, seed string) *Payload {
	s := Scope{AccessKey: "AKIAIOSFODNN7EXAMPLE", Date: chunkDate[:8], Region: "us-east-1", Service: "s3"}
	return &Payload{declared: mode, verified: true, key: derive(chunkSecret, &s), scope: s, rawTime: chunkDate, seed: seed}
}

func exampleBody(signatures [3]string, tail string) string {
	return "10000;chunk-signature=" + signatures[0] + "\r\n" + strings.Repeat("a", 65536) + "\r\n" +
		"400;chunk-signature=" + signatures[1] + "\r\n" + strings.Repeat("a", 1024) + "\r\n0;chunk-signature=" + signatures[2] + "\r\n" + tail
}

func signedExample() (*Payload, string) {
	return examplePayload(signedChunks, "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"),
		exampleBody([3]string{
			"ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
			"0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
			"b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
		}, "\r\n")
}

func trailerExample() (*Payload, string) {
	return examplePayload(signedChunksTrailer, "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e"),
		exampleBody([3]string{
			"b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
			"1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
			"2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
		}, "x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n")
}

// body opens a body of that encoding.
func (p *Payload) open(t testing.TB, text string, size int, trailers string) (*Body, *cloud.Error) {
	t.Helper()
	r := httptest.NewRequest("PUT", "/b/k", io.NopCloser(strings.NewReader(text)))
	r.Header.Set("X-Amz-Decoded-Content-Length", fmt.Sprint(size))
	if trailers != "" {
		r.Header.Set("X-Amz-Trailer", trailers)
	}
	return p.Body(r, 1<<20)
}

func TestChunksOfTheReference(t *testing.T) {
	want := strings.Repeat("a", 66560)
	p, text := signedExample()
	b, cerr := p.open(t, text, len(want), "")
	if cerr != nil || b.Size != 66560 {
		t.Fatal(b, cerr)
	}
	if got, err := io.ReadAll(iotest.OneByteReader(b)); err != nil || string(got) != want {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	p, text = trailerExample()
	for _, text := range []string{text, strings.Replace(text, "\r\nx-amz-trailer", "\n\r\nx-amz-trailer", 1)} {
		b, cerr = p.open(t, text, len(want), "x-amz-checksum-crc32c")
		if cerr != nil {
			t.Fatal(cerr)
		}
		if _, there := b.Trailer["X-Amz-Checksum-Crc32c"]; !there || len(b.Trailer) != 1 {
			t.Errorf("%v", b.Trailer)
		}
		if got, err := io.ReadAll(b); err != nil || string(got) != want || b.Trailer.Get("x-amz-checksum-crc32c") != "sOO8/Q==" {
			t.Errorf("%d bytes, %v, %v", len(got), err, b.Trailer)
		}
	}
}

func TestSpoiltChunks(t *testing.T) {
	const size = 66560
	for name, c := range map[string]struct {
		spoil    func(text string) string
		size     int
		trailers string
		code     string
	}{
		"content":             {func(s string) string { return strings.Replace(s, "aaaa", "aaab", 1) }, size, "x-amz-checksum-crc32c", "SignatureDoesNotMatch"},
		"second chunk":        {func(s string) string { return strings.Replace(s, "aaaa\r\n0;", "aaab\r\n0;", 1) }, size, "x-amz-checksum-crc32c", "SignatureDoesNotMatch"},
		"signature":           {func(s string) string { return strings.Replace(s, "=b474", "=b475", 1) }, size, "x-amz-checksum-crc32c", "SignatureDoesNotMatch"},
		"last signature":      {func(s string) string { return strings.Replace(s, "=2ca2", "=2ca3", 1) }, size, "x-amz-checksum-crc32c", "SignatureDoesNotMatch"},
		"trailer":             {func(s string) string { return strings.Replace(s, "sOO8", "sOO9", 1) }, size, "x-amz-checksum-crc32c", "SignatureDoesNotMatch"},
		"trailer's signature": {func(s string) string { return strings.Replace(s, ":d81f", ":d81e", 1) }, size, "x-amz-checksum-crc32c", "SignatureDoesNotMatch"},
		"no signature at all": {func(s string) string { return s[:strings.Index(s, "x-amz-trailer-s")] }, size, "x-amz-checksum-crc32c", "SignatureDoesNotMatch"},
		"unknown trailer":     {func(s string) string { return s }, size, "x-amz-checksum-crc32", "MalformedTrailerError"},
		"missing trailer":     {func(s string) string { return s }, size, "x-amz-checksum-crc32,x-amz-checksum-crc32c", "MalformedTrailerError"},
		"cut off":             {func(s string) string { return s[:40000] }, size, "x-amz-checksum-crc32c", "IncompleteBody"},
		"cut off in a line":   {func(s string) string { return s[:30] }, size, "x-amz-checksum-crc32c", "IncompleteBody"},
		"cut between chunks":  {func(s string) string { return s[:strings.Index(s, "400;")] }, size, "x-amz-checksum-crc32c", "IncompleteBody"},
		"cut behind a chunk":  {func(s string) string { return s[:strings.Index(s, "\r\n400;")] }, size, "x-amz-checksum-crc32c", "IncompleteBody"},
		"empty":               {func(string) string { return "" }, size, "x-amz-checksum-crc32c", "IncompleteBody"},
		"more than said":      {func(s string) string { return s }, size - 1, "x-amz-checksum-crc32c", "IncompleteBody"},
		"less than said":      {func(s string) string { return s }, size + 1, "x-amz-checksum-crc32c", "IncompleteBody"},
		"something behind":    {func(s string) string { return s + "x" }, size, "x-amz-checksum-crc32c", "IncompleteBody"},
		"no length":           {func(s string) string { return "x" + s }, size, "x-amz-checksum-crc32c", "IncompleteBody"},
		"huge length":         {func(s string) string { return "ffffffffffffffff" + s[5:] }, size, "x-amz-checksum-crc32c", "IncompleteBody"},
		"negative length":     {func(s string) string { return "-" + s }, size, "x-amz-checksum-crc32c", "IncompleteBody"},
		"no chunk signature":  {func(s string) string { return strings.Replace(s, ";chunk-signature=", ";", 1) }, size, "x-amz-checksum-crc32c", "IncompleteBody"},
		"endless line":        {func(s string) string { return strings.Repeat("1", 100_000) }, size, "x-amz-checksum-crc32c", "IncompleteBody"},
	} {
		t.Run(name, func(t *testing.T) {
			p, text := trailerExample()
			b, cerr := p.open(t, c.spoil(text), c.size, c.trailers)
			if cerr != nil {
				t.Fatal(cerr)
			}
			_, err := io.ReadAll(b)
			var e *cloud.Error
			if !errors.As(err, &e) || e.Code != c.code {
				t.Errorf("got %v, want %s", err, c.code)
			}
			if _, again := b.Read(make([]byte, 1)); again != err {
				t.Errorf("then %v", again)
			}
		})
	}
}

func TestUnsignedChunks(t *testing.T) {
	p := &Payload{declared: plainChunksTrailer}
	b, cerr := p.open(t, "5\r\nhello\r\n6\r\n world\r\n0\r\nx-amz-checksum-crc32:DUoRhQ==\r\n\r\n", 11, "x-amz-checksum-crc32")
	if cerr != nil {
		t.Fatal(cerr)
	}
	if got, err := io.ReadAll(b); err != nil || string(got) != "hello world" || b.Trailer.Get("x-amz-checksum-crc32") != "DUoRhQ==" {
		t.Errorf("%q, %v, %v", got, err, b.Trailer)
	}
	for name, text := range map[string]string{
		"a signature that nobody checks": "0\r\nx-amz-checksum-crc32:DUoRhQ==\r\nx-amz-trailer-signature:00\r\n\r\n",
		"the same twice":                 "0\r\nx-amz-checksum-crc32:DUoRhQ==\r\nx-amz-checksum-crc32:DUoRhQ==\r\n\r\n",
		"no value":                       "0\r\nx-amz-checksum-crc32\r\n\r\n",
	} {
		b, cerr := p.open(t, text, 0, "x-amz-checksum-crc32")
		if cerr != nil {
			t.Fatal(cerr)
		}
		if _, err := io.ReadAll(b); cloud.Code(err) != "MalformedTrailerError" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPlainBodies(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	request := func(signed, sent string, change func(*http.Request)) (*Payload, *http.Request, *cloud.Error) {
		r := httptest.NewRequest("PUT", "http://localhost/b/k", strings.NewReader(sent))
		Sign(r, []byte(signed), Credentials{AccessKey: "k", Secret: "s"}, "us-east-1", "s3", now)
		change(r)
		_, p, cerr := new(Verifier).VerifyHead(r, now, oneSecret("s"))
		return p, r, cerr
	}
	same := func(*http.Request) {}
	for name, c := range map[string]struct {
		signed, sent string
		change       func(*http.Request)
		head, body   string
	}{
		"right":          {"hello", "hello", same, "", ""},
		"other content":  {"hello", "hallo", same, "", "XAmzContentSHA256Mismatch"},
		"cut off":        {"hello", "hell", func(r *http.Request) { r.ContentLength = 5 }, "", "IncompleteBody"},
		"no length":      {"hello", "hello", func(r *http.Request) { r.ContentLength = -1 }, "", "MissingContentLength"},
		"too large":      {"hello", "hello", func(r *http.Request) { r.ContentLength = 1 << 40 }, "", "EntityTooLarge"},
		"no hash":        {"hello", "hello", func(r *http.Request) { r.Header.Del(hashHeader) }, "InvalidRequest", ""},
		"no known mode":  {"hello", "hello", func(r *http.Request) { r.Header.Set(hashHeader, "STREAMING-X") }, "NotImplemented", ""},
		"no hash at all": {"hello", "hello", func(r *http.Request) { r.Header.Set(hashHeader, "xyz") }, "InvalidArgument", ""},
		"other hash":     {"hello", "hello", func(r *http.Request) { r.Header.Set(hashHeader, emptySum) }, "SignatureDoesNotMatch", ""},
	} {
		t.Run(name, func(t *testing.T) {
			p, r, cerr := request(c.signed, c.sent, c.change)
			if c.head != "" {
				if cerr == nil || cerr.Code != c.head {
					t.Errorf("got %v, want %s", cerr, c.head)
				}
				return
			}
			if cerr != nil {
				t.Fatal(cerr)
			}
			got := ""
			if b, cerr := p.Body(r, 1<<20); cerr != nil {
				got = cerr.Code
			} else if _, err := io.Copy(io.Discard, b); err != nil {
				got = cloud.Code(err)
			}
			if got != c.body {
				t.Errorf("got %q, want %q", got, c.body)
			}
		})
	}
}

// FuzzChunks: whatever comes, the reader ends, with at most the bytes that were declared, and with io.EOF only at exactly those.
func FuzzChunks(f *testing.F) {
	f.Add([]byte("5\r\nhello\r\n0\r\nx-amz-checksum-crc32:DUoRhQ==\r\n\r\n"), 5)
	f.Add([]byte("5;chunk-signature="+emptySum+"\r\nhello\r\n0;chunk-signature="+emptySum+"\r\n\r\n"), 5)
	f.Fuzz(func(t *testing.T, text []byte, size int) {
		for _, mode := range []string{signedChunks, signedChunksTrailer, plainChunksTrailer} {
			for _, verified := range []bool{false, true} {
				p := examplePayload(mode, emptySum)
				p.verified = verified
				d := newChunkReader(p, bytes.NewReader(text), int64(max(size, 0)))
				d.trailer = http.Header{}
				n, err := io.Copy(io.Discard, d)
				if n > int64(max(size, 0)) || err == nil && n != int64(max(size, 0)) {
					t.Fatalf("%s: %d of %d bytes, %v", mode, n, size, err)
				}
			}
		}
	})
}
