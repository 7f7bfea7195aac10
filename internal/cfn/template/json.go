package template

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"sort"
)

// parseJSON reads one JSON value. It goes by tokens because a template's errors need places and its maps their order.
func parseJSON(src []byte) (*Value, error) {
	p := &jsonParser{dec: json.NewDecoder(bytes.NewReader(src)), lines: newLineIndex(src)}
	p.dec.UseNumber()
	// The decoder by tokens counts differently where a syntax error lies; the whole-text scanner counts as CloudFormation does.
	if syntax, ok := errors.AsType[*json.SyntaxError](json.Unmarshal(src, new(json.RawMessage))); ok {
		return nil, p.malformed(syntax.Offset)
	}
	tok, err := p.next()
	if err != nil {
		return nil, err
	}
	v, err := p.value(tok, 0)
	if err != nil {
		return nil, err
	}
	if _, err := p.dec.Token(); err != io.EOF {
		return nil, p.malformed(p.dec.InputOffset())
	}
	return v, nil
}

type jsonParser struct {
	dec   *json.Decoder
	lines lineIndex
	nodes int
}

// next returns the next token; the end of the text is an error here, because every caller is inside a value.
func (p *jsonParser) next() (json.Token, error) {
	tok, err := p.dec.Token()
	if err == nil {
		return tok, nil
	}
	return nil, p.malformed(p.dec.InputOffset())
}

func (p *jsonParser) malformed(offset int64) error {
	pos := p.lines.pos(offset)
	return errorAt(pos, "Template format error: JSON not well-formed. (line %d, column %d)", pos.Line, pos.Column)
}

func (p *jsonParser) value(tok json.Token, depth int) (*Value, error) {
	pos := p.lines.pos(p.dec.InputOffset())
	p.nodes++
	if p.nodes > maxNodes {
		return nil, errTooManyNodes(pos)
	}
	if depth > maxDepth {
		return nil, errTooDeep(pos)
	}
	switch t := tok.(type) {
	case json.Delim:
		if t == '[' {
			return p.list(pos, depth)
		}
		return p.object(pos, depth)
	case string:
		return &Value{kind: String, pos: pos, text: t}, nil
	case json.Number:
		return &Value{kind: Number, pos: pos, text: t.String()}, nil
	case bool:
		return NewBool(t).WithPos(pos), nil
	}
	return &Value{pos: pos}, nil
}

func (p *jsonParser) list(pos Pos, depth int) (*Value, error) {
	v := &Value{kind: List, pos: pos}
	for {
		tok, err := p.next()
		if err != nil {
			return nil, err
		}
		if tok == json.Delim(']') {
			return v, nil
		}
		item, err := p.value(tok, depth+1)
		if err != nil {
			return nil, err
		}
		v.items = append(v.items, item)
	}
}

func (p *jsonParser) object(pos Pos, depth int) (*Value, error) {
	v := &Value{kind: Map, pos: pos}
	seen := keySet{}
	for {
		tok, err := p.next()
		if err != nil {
			return nil, err
		}
		if tok == json.Delim('}') {
			return v, nil
		}
		key, ok := tok.(string)
		if !ok {
			return nil, p.malformed(p.dec.InputOffset())
		}
		if !seen.add(key) {
			return nil, errDuplicateKey(p.lines.pos(p.dec.InputOffset()), key)
		}
		if tok, err = p.next(); err != nil {
			return nil, err
		}
		x, err := p.value(tok, depth+1)
		if err != nil {
			return nil, err
		}
		v.fields = append(v.fields, Field{key, x})
	}
}

// lineIndex turns offsets into lines and columns.
type lineIndex []int64

func newLineIndex(src []byte) lineIndex {
	starts := lineIndex{0}
	for i, c := range src {
		if c == '\n' {
			starts = append(starts, int64(i)+1)
		}
	}
	return starts
}

func (l lineIndex) pos(offset int64) Pos {
	n := sort.Search(len(l), func(i int) bool { return l[i] > offset })
	return Pos{Line: n, Column: int(offset-l[n-1]) + 1}
}
