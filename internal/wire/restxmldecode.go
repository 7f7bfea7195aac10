package wire

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
)

// maxXML bounds an XML body. The largest that AWS takes is S3's DeleteObjects with a thousand keys, escaped: about six megabytes.
const maxXML = 8 << 20

// xmlDecoder decodes an XML document into a Go structure by its shape. It takes no document type and therefore no entities but
// XML's own five.
type xmlDecoder struct {
	tokens *xml.Decoder
	schema *Schema
	at     path
	values int
	// missing are the paths of required plain members that were absent, which the Go structure cannot show.
	missing []string
}

// xmlFault is XML that is malformed or does not fit its shape.
type xmlFault struct{ what string }

func (e *xmlFault) Error() string { return e.what }

func xmlFaultf(format string, args ...any) error { return &xmlFault{fmt.Sprintf(format, args...)} }

// document decodes body, whose root element must be called root, or anything where root is empty, into v.
func (d *xmlDecoder) document(body []byte, root string, s *Shape, v reflect.Value) error {
	if len(body) > maxXML {
		return xmlFaultf("it is larger than %d bytes", maxXML)
	}
	d.tokens = xml.NewDecoder(bytes.NewReader(body))
	el, err := d.child()
	if err != nil {
		return err
	}
	if el == nil || root != "" && el.Name.Local != root {
		return xmlFaultf("its root element is not %s", root)
	}
	if err := d.value(s, v, el); err != nil {
		return err
	}
	if el, err = d.child(); err == nil && el != nil {
		err = xmlFaultf("it has more than one root element")
	}
	return err
}

// next returns the next token that is an element's start or end, or text; nil at the end of the document.
func (d *xmlDecoder) next() (xml.Token, error) {
	for {
		tok, err := d.tokens.Token()
		var syntax *xml.SyntaxError
		switch {
		case err == io.EOF:
			return nil, nil
		case errors.As(err, &syntax):
			return nil, xmlFaultf("line %d: %s", syntax.Line, short(syntax.Msg))
		case err != nil:
			return nil, xmlFaultf("%s", short(err.Error()))
		}
		switch tok.(type) {
		case xml.StartElement, xml.EndElement, xml.CharData:
			return tok, nil
		case xml.Directive:
			return nil, xmlFaultf("document types are not taken")
		}
	}
}

// child returns the start of the next child element, or nil at the end of the element, or of the document for its top.
func (d *xmlDecoder) child() (*xml.StartElement, error) {
	for {
		tok, err := d.next()
		if err != nil {
			return nil, err
		}
		switch tok := tok.(type) {
		case nil:
			return nil, nil
		case xml.StartElement:
			if d.values++; d.values > maxValues {
				return nil, xmlFaultf("it has too many elements")
			}
			return &tok, nil
		case xml.EndElement:
			return nil, nil
		case xml.CharData:
			if len(bytes.TrimSpace(tok)) > 0 {
				return nil, xmlFaultf("text where an element is expected%s", d.where())
			}
		}
	}
}

func (d *xmlDecoder) where() string {
	if len(d.at) == 0 {
		return ""
	}
	return " at '" + short(d.at.String()) + "'"
}

// text returns the content of an element that has no children, to its end.
func (d *xmlDecoder) text() (string, error) {
	var b strings.Builder
	for {
		tok, err := d.next()
		if err != nil {
			return "", err
		}
		switch tok := tok.(type) {
		case xml.CharData:
			b.Write(tok)
		case xml.StartElement:
			return "", xmlFaultf("element '%s' where text is expected%s", short(tok.Name.Local), d.where())
		default:
			return b.String(), nil
		}
	}
}

// value decodes the element that el opens into v, to its end.
func (d *xmlDecoder) value(s *Shape, v reflect.Value, el *xml.StartElement) error {
	if len(d.at) > maxDepth {
		return xmlFaultf("its elements are nested too deep")
	}
	switch s.Kind {
	case Structure:
		return d.structure(s, v, el)
	case List:
		return d.list(s, v)
	case Map:
		return d.mapping(s, v)
	}
	text, err := d.text()
	if err != nil {
		return err
	}
	return d.scalar(s, v, text)
}

func (d *xmlDecoder) scalar(s *Shape, v reflect.Value, text string) error {
	if s.Kind != String {
		text = strings.TrimSpace(text)
	}
	if err := parseText(s, v, text, ISOTime); err != nil {
		return xmlFaultf("'%s'%s is not a value of type %s", short(text), d.where(), kindName(s.Kind))
	}
	return nil
}

func (d *xmlDecoder) structure(s *Shape, v reflect.Value, start *xml.StartElement) error {
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	var seen memberSet
	if err := d.attributes(s, v, start, &seen); err != nil {
		return err
	}
	for {
		el, err := d.child()
		if err != nil {
			return err
		}
		if el == nil {
			break
		}
		i := findElement(s, el.Name.Local)
		if i < 0 {
			return xmlFaultf("element '%s'%s is not known", short(el.Name.Local), d.where())
		}
		m := &s.Members[i]
		d.at.member(m.Name)
		err = d.member(m, v.Field(i), el, seen.add(i))
		d.at.pop()
		if err != nil {
			return err
		}
	}
	d.noteMissing(s, &seen)
	return nil
}

// findElement returns the index of the member whose elements are called name, or -1.
func findElement(s *Shape, name string) int {
	for i := range s.Members {
		if m := &s.Members[i]; m.Wire == name && m.In == InBody && !m.Attribute {
			return i
		}
	}
	return -1
}

// member decodes one element of a member; those of flattened lists and maps come one by one.
func (d *xmlDecoder) member(m *Member, v reflect.Value, el *xml.StartElement, first bool) error {
	s := d.schema.Shape(m.Shape)
	switch {
	case m.Flat && s.Kind == List:
		return d.element(s, v, el)
	case m.Flat && s.Kind == Map:
		return d.entry(s, v)
	case !first:
		return xmlFaultf("more than one element%s", d.where())
	}
	return d.value(s, v, el)
}

// attributes decodes the members that are attributes of the structure's element.
func (d *xmlDecoder) attributes(s *Shape, v reflect.Value, el *xml.StartElement, seen *memberSet) error {
	for i := range s.Members {
		m := &s.Members[i]
		if !m.Attribute {
			continue
		}
		name := m.Wire[strings.IndexByte(m.Wire, ':')+1:]
		for _, a := range el.Attr {
			if a.Name.Local != name || a.Name.Space == "xmlns" {
				continue
			}
			seen.add(i)
			d.at.member(m.Name)
			err := d.scalar(d.schema.Shape(m.Shape), v.Field(i), a.Value)
			d.at.pop()
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// noteMissing records the required members that only a decoder can know to be absent.
func (d *xmlDecoder) noteMissing(s *Shape, seen *memberSet) {
	for i := range s.Members {
		m := &s.Members[i]
		if m.Required && m.In == InBody && !seen.has(i) && isScalar(d.schema.Shape(m.Shape).Kind) {
			d.at.member(m.Name)
			d.missing = append(d.missing, d.at.String())
			d.at.pop()
		}
	}
}

func (d *xmlDecoder) list(s *Shape, v reflect.Value) error {
	v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	name := or(s.ElemName, "member")
	for {
		el, err := d.child()
		if err != nil || el == nil {
			return err
		}
		if el.Name.Local != name {
			return xmlFaultf("element '%s'%s is not '%s'", short(el.Name.Local), d.where(), name)
		}
		if err := d.element(s, v, el); err != nil {
			return err
		}
	}
}

// element appends one element to a list.
func (d *xmlDecoder) element(s *Shape, v reflect.Value, el *xml.StartElement) error {
	n := v.Len()
	v.Grow(1)
	v.SetLen(n + 1)
	d.at.element(n)
	defer d.at.pop()
	return d.value(d.schema.Shape(s.Elem), v.Index(n), el)
}

func (d *xmlDecoder) mapping(s *Shape, v reflect.Value) error {
	v.Set(reflect.MakeMap(v.Type()))
	for {
		el, err := d.child()
		if err != nil || el == nil {
			return err
		}
		if el.Name.Local != "entry" {
			return xmlFaultf("element '%s'%s is not 'entry'", short(el.Name.Local), d.where())
		}
		if err := d.entry(s, v); err != nil {
			return err
		}
	}
}

// entry decodes one entry of a map, whose element has been opened. The key comes first.
func (d *xmlDecoder) entry(s *Shape, v reflect.Value) error {
	if v.IsNil() {
		v.Set(reflect.MakeMap(v.Type()))
	}
	el, err := d.child()
	if err != nil {
		return err
	}
	if el == nil || el.Name.Local != or(s.KeyName, "key") {
		return xmlFaultf("an entry without a key%s", d.where())
	}
	key, err := d.text()
	if err != nil {
		return err
	}
	if v.MapIndex(reflect.ValueOf(key)).IsValid() {
		return xmlFaultf("more than one entry '%s'%s", short(key), d.where())
	}
	d.at.key(key)
	defer d.at.pop()
	value := reflect.New(v.Type().Elem()).Elem()
	el, err = d.child()
	switch {
	case err != nil:
		return err
	case el == nil:
		d.missing = append(d.missing, d.at.String())
		v.SetMapIndex(reflect.ValueOf(key), value)
		return nil
	case el.Name.Local != or(s.ElemName, "value"):
		return xmlFaultf("element '%s'%s is not '%s'", short(el.Name.Local), d.where(), or(s.ElemName, "value"))
	}
	if err := d.value(d.schema.Shape(s.Elem), value, el); err != nil {
		return err
	}
	v.SetMapIndex(reflect.ValueOf(key), value)
	if el, err = d.child(); err == nil && el != nil {
		err = xmlFaultf("an entry with more than a key and a value%s", d.where())
	}
	return err
}
