package filter

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// token is a lexical element of JSON. The text is the source as far as it says more than the kind.
type token struct {
	kind byte // '{' '}' '[' ']' 'k' (a key) 's' 'n' 't' 'f' '0' (null) or 0 at the end
	text string
	// seen is the offset up to which the service has read when it looks at the token, and end that behind the whole of it. A string's end is
	// looked for only when its value is asked for; that shows in the columns of the service's messages.
	seen, end int
}

func (t token) scalar() bool { return strings.IndexByte("sntf0", t.kind) >= 0 }

// lexer reads tokens from a text that is valid JSON.
type lexer struct {
	src string
	pos int
	// where is the offset that messages report.
	where int
}

// next returns the next token. Behind a key it also passes the colon, and the report counts the beginning of the value as read.
func (l *lexer) next() token {
	t := l.scan()
	l.where = t.seen
	if t.kind == 's' && l.colon() {
		t.kind = 'k'
		ahead := *l
		l.where = ahead.scan().seen
	}
	return t
}

// read returns a token's text, as whose reading it counts.
func (l *lexer) read(t token) string {
	if t.kind == 's' {
		l.where = max(l.where, t.end)
	}
	return t.text
}

func (l *lexer) colon() bool {
	l.blank("")
	if l.pos < len(l.src) && l.src[l.pos] == ':' {
		l.pos++
		return true
	}
	return false
}

func (l *lexer) blank(more string) {
	for l.pos < len(l.src) && strings.IndexByte(" \t\r\n"+more, l.src[l.pos]) >= 0 {
		l.pos++
	}
}

func (l *lexer) scan() token {
	l.blank(",")
	if l.pos >= len(l.src) {
		return token{seen: l.pos, end: l.pos}
	}
	start := l.pos
	switch b := l.src[start]; b {
	case '{', '}', '[', ']':
		l.pos++
		return token{b, string(b), l.pos, l.pos}
	case '"':
		return l.text()
	default:
		for l.pos < len(l.src) && strings.IndexByte(" \t\r\n,]}:", l.src[l.pos]) < 0 {
			l.pos++
		}
		kind := b
		switch b {
		case 't', 'f':
		case 'n':
			kind = '0'
		default:
			kind = 'n'
		}
		return token{kind, l.src[start:l.pos], l.pos, l.pos}
	}
}

func (l *lexer) text() token {
	start := l.pos
	for l.pos++; l.pos < len(l.src) && l.src[l.pos] != '"'; l.pos++ {
		if l.src[l.pos] == '\\' {
			l.pos++
		}
	}
	l.pos = min(l.pos+1, len(l.src))
	var s string
	if json.Unmarshal([]byte(l.src[start:l.pos]), &s) != nil {
		s = l.src[start+1 : l.pos]
	}
	return token{'s', s, start + 1, l.pos}
}

// maxQuoted is how many characters of a policy a message quotes.
const maxQuoted = 500

// refuse says what is wrong at the place that has been read.
func (l *lexer) refuse(format string, args ...any) error {
	read := l.src[:min(l.where, len(l.src))]
	line := strings.Count(read, "\n") + 1
	column := utf8.RuneCountInString(read[strings.LastIndexByte(read, '\n')+1:]) + 1
	quoted, more := []rune(l.src), ""
	if len(quoted) > maxQuoted {
		more = fmt.Sprintf("[truncated %d chars]", len(quoted)-maxQuoted)
		quoted = quoted[:maxQuoted]
	}
	return refuse("%s\n at [Source: (String)\"%s\"%s; line: %d, column: %d]", fmt.Sprintf(format, args...), string(quoted), more, line, column)
}
