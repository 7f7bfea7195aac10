package partiql

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"croft/internal/cloud"
)

// kind is what a token is.
type kind byte

const (
	kindEnd    kind = iota
	kindWord        // a name or a keyword
	kindQuoted      // a name in double quotes
	kindText        // a string
	kindNumber
	kindSymbol
)

// token is a piece of a statement. text is without quotes.
type token struct {
	kind       kind
	text       string
	start, end int
}

func invalid(format string, args ...any) error {
	return cloud.Errorf("ValidationException", format, args...)
}

func malformed(format string, args ...any) error {
	return invalid("Statement wasn't well formed, can't be processed: "+format, args...)
}

// lex returns the tokens of text, the last of which is the end.
func lex(text string) ([]token, error) {
	var out []token
	for at := 0; ; {
		var err error
		if at, err = skip(text, at); err != nil {
			return nil, err
		}
		if at == len(text) {
			return append(out, token{kind: kindEnd, text: "<EOF>", start: at, end: at}), nil
		}
		t, err := next(text, at)
		if err != nil {
			return nil, err
		}
		out = append(out, t)
		at = t.end
	}
}

// skip passes white space and comments.
func skip(text string, at int) (int, error) {
	for at < len(text) {
		switch {
		case strings.IndexByte(" \t\r\n", text[at]) >= 0:
			at++
		case strings.HasPrefix(text[at:], "--"):
			end := strings.IndexByte(text[at:], '\n')
			if end < 0 {
				return len(text), nil
			}
			at += end
		case strings.HasPrefix(text[at:], "/*"):
			end := strings.Index(text[at+2:], "*/")
			if end < 0 {
				return at, malformed("a comment without an end")
			}
			at += end + 4
		default:
			return at, nil
		}
	}
	return at, nil
}

func next(text string, at int) (token, error) {
	c := text[at]
	switch {
	case letter(c):
		end := span(text, at+1, func(c byte) bool { return letter(c) || digit(c) })
		return token{kindWord, text[at:end], at, end}, nil
	case digit(c) || c == '.' && at+1 < len(text) && digit(text[at+1]):
		end := number(text, at)
		return token{kindNumber, text[at:end], at, end}, nil
	case c == '\'':
		return quoted(text, at, kindText)
	case c == '"':
		return quoted(text, at, kindQuoted)
	case c == '`':
		return token{}, invalid("Ion Literals are not supported")
	}
	if at+1 < len(text) {
		switch two := text[at : at+2]; two {
		case "<>", "!=", "<=", ">=", "<<", ">>":
			return token{kindSymbol, two, at, at + 2}, nil
		}
	}
	if strings.IndexByte("=<>()[]{},.:*+-?;", c) < 0 {
		_, size := utf8.DecodeRuneInString(text[at:])
		return token{}, malformed("Unexpected character %q", text[at:at+size])
	}
	return token{kindSymbol, text[at : at+1], at, at + 1}, nil
}

// quoted reads a text or a name in quotes, of which two stand for one.
func quoted(text string, at int, k kind) (token, error) {
	quote := text[at : at+1]
	for end := at + 1; ; {
		length := strings.Index(text[end:], quote)
		if length < 0 {
			return token{}, malformed("a quote without an end")
		}
		end += length + 1
		if !strings.HasPrefix(text[end:], quote) {
			return token{k, strings.ReplaceAll(text[at+1:end-1], quote+quote, quote), at, end}, nil
		}
		end++
	}
}

// number returns the end of the number that begins at at.
func number(text string, at int) int {
	end := span(text, at, digit)
	if end < len(text) && text[end] == '.' {
		end = span(text, end+1, digit)
	}
	if end < len(text) && (text[end] == 'e' || text[end] == 'E') {
		exponent := end + 1
		if exponent < len(text) && (text[exponent] == '+' || text[exponent] == '-') {
			exponent++
		}
		if last := span(text, exponent, digit); last > exponent {
			end = last
		}
	}
	return end
}

func span(text string, at int, in func(byte) bool) int {
	for at < len(text) && in(text[at]) {
		at++
	}
	return at
}

func letter(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == '$'
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

// place returns where t stands, as messages have it: line, column and length in characters.
func (p *parser) place(t token) string {
	before := p.text[:t.start]
	line := strings.Count(before, "\n")
	return fmt.Sprintf("%d:%d:%d", line+1, utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])+1,
		utf8.RuneCountInString(p.text[t.start:t.end]))
}
