package logs

import (
	"strings"

	"croft/internal/awsapi/logs"
)

// pattern is a filter pattern of plain terms. Source: CloudWatch Logs User Guide, "Filter pattern syntax", for unstructured
// log events.
type pattern struct {
	// all must appear, none of the terms in not may, and when anyOf stands alone, one of its terms must.
	all, not, anyOf []string
}

func (p *pattern) match(message string) bool {
	for _, t := range p.all {
		if !strings.Contains(message, t) {
			return false
		}
	}
	for _, t := range p.not {
		if strings.Contains(message, t) {
			return false
		}
	}
	// Optional terms count only when there are no others.
	if len(p.anyOf) == 0 || len(p.all)+len(p.not) > 0 {
		return true
	}
	for _, t := range p.anyOf {
		if strings.Contains(message, t) {
			return true
		}
	}
	return false
}

// parsePattern reads a pattern. Everything but terms is refused by name.
func parsePattern(text string) (*pattern, error) {
	rest := strings.TrimSpace(text)
	if rest != "" {
		if kind := structured(rest); kind != "" {
			return nil, logs.NewInvalidParameterException("croft does not support %s in filterPattern: use plain terms.", kind)
		}
	}
	p := new(pattern)
	for rest != "" {
		list := &p.all
		switch rest[0] {
		case '-':
			list, rest = &p.not, rest[1:]
		case '?':
			list, rest = &p.anyOf, rest[1:]
		}
		term, after, err := readTerm(rest)
		if err != nil {
			return nil, err
		}
		*list = append(*list, term)
		rest = strings.TrimLeft(after, " \t\r\n")
	}
	return p, nil
}

// structured returns what sort of pattern text is, or "" for terms.
func structured(text string) string {
	switch {
	case text[0] == '{':
		return "JSON patterns ({ … })"
	case text[0] == '[':
		return "space-delimited patterns ([ … ])"
	case text[0] == '%' || strings.HasPrefix(text, "-%") || strings.HasPrefix(text, "?%"):
		return "regular expressions (% … %)"
	}
	return ""
}

// readTerm reads one term, quoted or not, from the start of text.
func readTerm(text string) (term, rest string, err error) {
	if strings.HasPrefix(text, `"`) {
		return readQuoted(text)
	}
	end := strings.IndexAny(text, " \t\r\n")
	if end < 0 {
		end = len(text)
	}
	term = text[:end]
	if term == "" {
		return "", "", logs.NewInvalidParameterException("Invalid filter pattern: a term is missing.")
	}
	for _, r := range term {
		if !termRune(r) {
			return "", "", logs.NewInvalidParameterException("Invalid character(s) in term '%s'", term)
		}
	}
	return term, text[end:], nil
}

// termRune reports whether r may stand in a term without quotes.
func termRune(r rune) bool {
	return r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r > 0x7f
}

func readQuoted(text string) (term, rest string, err error) {
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			if i+1 < len(text) {
				i++
			}
			b.WriteByte(text[i])
		case '"':
			if b.Len() == 0 {
				return "", "", logs.NewInvalidParameterException("Invalid filter pattern: a quoted term is empty.")
			}
			return b.String(), text[i+1:], nil
		default:
			b.WriteByte(text[i])
		}
	}
	return "", "", logs.NewInvalidParameterException("Invalid filter pattern: a quotation mark is not closed.")
}
