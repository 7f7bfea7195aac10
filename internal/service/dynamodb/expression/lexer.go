package expression

import "strings"

// kind is what a token is.
type kind byte

const (
	kindEnd kind = iota
	kindWord
	kindName
	kindValue
	kindNumber
	kindSymbol
	kindBad
)

// token is a piece of an expression: text[start:end].
type token struct {
	kind       kind
	text       string
	start, end int
}

// lex returns the tokens of text, the last of which is the end. What belongs to no token is a bad one.
func lex(text string) []token {
	var out []token
	for at := 0; at < len(text); {
		if strings.IndexByte(" \t\r\n", text[at]) >= 0 {
			at++
			continue
		}
		t := next(text, at)
		out = append(out, t)
		at = t.end
	}
	return append(out, token{kind: kindEnd, text: "<EOF>", start: len(text), end: len(text)})
}

func next(text string, at int) token {
	c := text[at]
	end, k := at+1, kindBad
	switch {
	case letter(c):
		end, k = span(text, end, wordByte), kindWord
	case digit(c):
		end, k = span(text, end, digit), kindNumber
	case c == '#' || c == ':':
		if end = span(text, end, wordByte); end > at+1 {
			k = kindName
			if c == ':' {
				k = kindValue
			}
		}
	case c == '<' && end < len(text) && (text[end] == '=' || text[end] == '>'), c == '>' && end < len(text) && text[end] == '=':
		end, k = end+1, kindSymbol
	case strings.IndexByte("=<>()[].,+-", c) >= 0:
		k = kindSymbol
	case c >= 0x80:
		// A character of several bytes stays whole in the message.
		end = span(text, end, func(c byte) bool { return c >= 0x80 && c < 0xc0 })
	}
	return token{kind: k, text: text[at:end], start: at, end: end}
}

func span(text string, at int, in func(byte) bool) int {
	for at < len(text) && in(text[at]) {
		at++
	}
	return at
}

func letter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' }

func digit(c byte) bool { return c >= '0' && c <= '9' }

func wordByte(c byte) bool { return letter(c) || digit(c) }
