package wire

import (
	"bytes"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds the nesting of input. DynamoDB's documents, the deepest that AWS takes, reach 32 levels of two objects each.
const maxDepth = 200

// jsonScanner reads JSON (RFC 8259) from a buffer, one token at a time. It never reads beyond the buffer and keeps nothing of it.
type jsonScanner struct {
	data []byte
	pos  int
}

// jsonSyntaxError is malformed JSON.
type jsonSyntaxError struct {
	pos  int
	what string
}

func (e *jsonSyntaxError) Error() string {
	return fmt.Sprintf("The request body is not valid JSON: %s at byte %d", e.what, e.pos+1)
}

func (s *jsonScanner) fail(what string) error { return &jsonSyntaxError{s.pos, what} }

// peek skips white space and returns the next byte, or 0 at the end.
func (s *jsonScanner) peek() byte {
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; c {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return c
		}
	}
	return 0
}

// expect consumes c.
func (s *jsonScanner) expect(c byte) error {
	if s.peek() != c {
		return s.fail("expected '" + string(c) + "'")
	}
	s.pos++
	return nil
}

// word consumes the literal w, which the caller knows to begin here.
func (s *jsonScanner) word(w string) error {
	if !bytes.HasPrefix(s.data[s.pos:], []byte(w)) {
		return s.fail("unknown word")
	}
	s.pos += len(w)
	return nil
}

// end reports an error unless only white space is left.
func (s *jsonScanner) end() error {
	if s.peek() != 0 || s.pos < len(s.data) {
		return s.fail("unexpected data after the end")
	}
	return nil
}

// rawString consumes a string and returns what stands between its quotes; plain means that this is its value, without escapes.
// The bytes are valid UTF-8.
func (s *jsonScanner) rawString() (raw []byte, plain bool, err error) {
	if err := s.expect('"'); err != nil {
		return nil, false, err
	}
	start, ascii := s.pos, true
	plain = true
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; {
		case c == '"':
			raw = s.data[start:s.pos]
			if !ascii && !utf8.Valid(raw) {
				return nil, false, s.fail("invalid UTF-8")
			}
			s.pos++
			return raw, plain, nil
		case c == '\\':
			plain = false
			s.pos += 2
		case c < 0x20:
			return nil, false, s.fail("control character in a string")
		default:
			ascii = ascii && c < utf8.RuneSelf
			s.pos++
		}
	}
	s.pos = len(s.data)
	return nil, false, s.fail("string without an end")
}

// str consumes a string and returns its value.
func (s *jsonScanner) str() (string, error) {
	raw, plain, err := s.rawString()
	if err != nil || plain {
		return string(raw), err
	}
	return s.unescape(raw)
}

func (s *jsonScanner) unescape(raw []byte) (string, error) {
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); {
		if raw[i] != '\\' {
			n := bytes.IndexByte(raw[i:], '\\')
			if n < 0 {
				n = len(raw) - i
			}
			out = append(out, raw[i:i+n]...)
			i += n
			continue
		}
		if raw[i+1] == 'u' {
			r, n := unescapeRune(raw[i:])
			if n == 0 {
				return "", s.fail("invalid \\u escape in a string")
			}
			out = utf8.AppendRune(out, r)
			i += n
			continue
		}
		c := bytes.IndexByte([]byte(`"\/bfnrt`), raw[i+1])
		if c < 0 {
			return "", s.fail("invalid escape in a string")
		}
		out = append(out, "\"\\/\b\f\n\r\t"[c])
		i += 2
	}
	return string(out), nil
}

// unescapeRune reads the \uXXXX at the start of raw, or a surrogate pair of two. It returns 0 for the length when there is none; a
// lone surrogate is none, because no UTF-8 text can hold it.
func unescapeRune(raw []byte) (rune, int) {
	r := hex4(raw)
	if r < 0 {
		return 0, 0
	}
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	pair := utf16.DecodeRune(r, hex4(raw[6:]))
	if pair == utf8.RuneError {
		return 0, 0
	}
	return pair, 12
}

// hex4 returns the value of the \uXXXX at the start of raw, or -1.
func hex4(raw []byte) rune {
	if len(raw) < 6 || raw[0] != '\\' || raw[1] != 'u' {
		return -1
	}
	var r rune
	for _, c := range raw[2:6] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}

// number consumes a number and returns its text; whole means that it has neither fraction nor exponent.
func (s *jsonScanner) number() (text []byte, whole bool, err error) {
	start := s.pos
	if s.pos < len(s.data) && s.data[s.pos] == '-' {
		s.pos++
	}
	first := s.pos
	if s.digits() == 0 || (s.data[first] == '0' && s.pos > first+1) {
		return nil, false, s.fail("invalid number")
	}
	whole = true
	if s.pos < len(s.data) && s.data[s.pos] == '.' {
		whole = false
		s.pos++
		if s.digits() == 0 {
			return nil, false, s.fail("invalid number")
		}
	}
	if s.pos < len(s.data) && s.data[s.pos]|0x20 == 'e' {
		whole = false
		s.pos++
		if s.pos < len(s.data) && (s.data[s.pos] == '+' || s.data[s.pos] == '-') {
			s.pos++
		}
		if s.digits() == 0 {
			return nil, false, s.fail("invalid number")
		}
	}
	return s.data[start:s.pos], whole, nil
}

func (s *jsonScanner) digits() int {
	start := s.pos
	for s.pos < len(s.data) && s.data[s.pos] >= '0' && s.data[s.pos] <= '9' {
		s.pos++
	}
	return s.pos - start
}

// skip consumes a value of any type.
func (s *jsonScanner) skip(depth int) error {
	if depth > maxDepth {
		return s.fail("nesting too deep")
	}
	switch c := s.peek(); c {
	case '{', '[':
		return s.skipContainer(c, depth)
	case '"':
		raw, plain, err := s.rawString()
		if err == nil && !plain {
			_, err = s.unescape(raw)
		}
		return err
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	default:
		_, _, err := s.number()
		return err
	}
}

func (s *jsonScanner) skipContainer(open byte, depth int) error {
	s.pos++
	closing := open + 2 // '[' and ']', '{' and '}' are two apart
	for first := true; ; first = false {
		more, err := s.more(first, closing)
		if err != nil || !more {
			return err
		}
		if open == '{' {
			if err := s.skipKey(); err != nil {
				return err
			}
		}
		if err := s.skip(depth + 1); err != nil {
			return err
		}
	}
}

func (s *jsonScanner) skipKey() error {
	if s.peek() != '"' {
		return s.fail("expected a member's name")
	}
	if err := s.skip(0); err != nil {
		return err
	}
	return s.expect(':')
}

// more goes to the next entry of a container: it consumes the comma before it, or the closing byte when there is none.
func (s *jsonScanner) more(first bool, closing byte) (bool, error) {
	c := s.peek()
	switch {
	case c == closing:
		s.pos++
		return false, nil
	case first:
		return true, nil
	case c == ',':
		s.pos++
		if s.peek() == closing {
			return false, s.fail("trailing comma")
		}
		return true, nil
	}
	return false, s.fail("expected ',' or '" + string(closing) + "'")
}
