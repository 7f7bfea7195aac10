package dynamodb

import (
	"encoding/binary"
	"errors"
	"strings"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/service/dynamodb/decimal"
	"croft/internal/wire"
)

// errDamaged is returned for a stored item that is not in the form in which items are written.
var errDamaged = errors.New("dynamodb: a stored item is damaged")

// storedSize returns the size, as AWS counts it, of a stored item.
func storedSize(stored []byte) (int, error) {
	if len(stored) < 2 || stored[0] != itemFormat {
		return 0, errDamaged
	}
	n, used := binary.Uvarint(stored[1:])
	if used <= 0 || n > maxItemBytes {
		return 0, errDamaged
	}
	return int(n), nil
}

// decodeItem returns the attributes of a stored item and its size. The result shares no memory with stored.
func decodeItem(stored []byte) (map[string]api.AttributeValue, int, error) {
	size, rest, err := storedParts(stored)
	if err != nil {
		return nil, 0, err
	}
	item, err := decodeAttributes(rest)
	return item, size, err
}

// storedParts returns the size of a stored item and the rest of it: its attributes, in memory of their own.
func storedParts(stored []byte) (size int, attributes string, err error) {
	if size, err = storedSize(stored); err != nil {
		return 0, "", err
	}
	_, used := binary.Uvarint(stored[1:])
	return size, string(stored[1+used:]), nil
}

// decodeAttributes returns the attributes of a stored item, whose strings share the memory of stored.
func decodeAttributes(stored string) (map[string]api.AttributeValue, error) {
	d := decoder{rest: stored}
	item := d.attributes(0)
	if d.bad || d.rest != "" {
		return nil, errDamaged
	}
	return item, nil
}

// roomAhead bounds the room made for a collection before its elements are seen: values are far larger than their stored form.
const roomAhead = 256

// decoder takes the stored form apart. The first failure sticks.
type decoder struct {
	rest string
	bad  bool
}

func (d *decoder) fail() {
	d.bad = true
	d.rest = ""
}

// length reads a length or count, each unit of which takes at least a byte of what follows.
func (d *decoder) length() int {
	var n uint64
	for i := 0; i < len(d.rest) && i < binary.MaxVarintLen32; i++ {
		b := d.rest[i]
		n |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			d.rest = d.rest[i+1:]
			if n > uint64(len(d.rest)) {
				d.fail()
				return 0
			}
			return int(n)
		}
	}
	d.fail()
	return 0
}

func (d *decoder) text() string {
	n := d.length()
	s := d.rest[:n]
	d.rest = d.rest[n:]
	return s
}

func (d *decoder) tag() byte {
	if d.rest == "" {
		d.fail()
		return 0
	}
	t := d.rest[0]
	d.rest = d.rest[1:]
	return t
}

func (d *decoder) attributes(depth int) map[string]api.AttributeValue {
	n := d.length()
	m := make(map[string]api.AttributeValue, min(n, roomAhead))
	for range n {
		name := d.text()
		m[name] = d.value(depth)
		if d.bad {
			return nil
		}
	}
	return m
}

func (d *decoder) value(depth int) (v api.AttributeValue) {
	if depth > maxNesting {
		d.fail()
		return v
	}
	switch d.tag() {
	case tagS:
		v.S = wire.Ptr(d.text())
	case tagN:
		v.N = wire.Ptr(d.number())
	case tagB:
		v.B = d.bytes()
	case tagSS:
		v.SS = d.texts()
	case tagNS:
		v.NS = make([]string, d.length())
		for i := range v.NS {
			v.NS[i] = d.number()
		}
	case tagBS:
		v.BS = make([][]byte, d.length())
		for i := range v.BS {
			v.BS[i] = d.bytes()
		}
	case tagM:
		v.M = d.attributes(depth + 1)
	case tagL:
		v.L = d.list(depth + 1)
	case tagFalse:
		v.BOOL = wire.Ptr(false)
	case tagTrue:
		v.BOOL = wire.Ptr(true)
	case tagNull:
		v.NULL = wire.Ptr(true)
	default:
		d.fail()
	}
	return v
}

// bytes returns the next text as bytes, never nil.
func (d *decoder) bytes() []byte { return append([]byte{}, d.text()...) }

// number returns a number as it is answered.
func (d *decoder) number() string {
	s := d.text()
	if !strings.Contains(s, decimal.CompactMark) {
		return s
	}
	n, err := decimal.Parse(s)
	if err != nil {
		d.fail()
		return ""
	}
	return string(n.Append(nil))
}

func (d *decoder) texts() []string {
	out := make([]string, d.length())
	for i := range out {
		out[i] = d.text()
	}
	return out
}

func (d *decoder) list(depth int) []api.AttributeValue {
	n := d.length()
	out := make([]api.AttributeValue, 0, min(n, roomAhead))
	for range n {
		out = append(out, d.value(depth))
		if d.bad {
			return nil
		}
	}
	return out
}
