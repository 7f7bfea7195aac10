package dynamodb

import (
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strings"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/service/dynamodb/decimal"
)

// Limits of items. Source: DynamoDB Developer Guide, "Constraints in Amazon DynamoDB".
const (
	maxItemBytes = 400 << 10
	maxNesting   = 32
)

// The format of stored items, the first byte of each, and the types of values in them.
const (
	itemFormat = 1

	tagS byte = iota
	tagN
	tagB
	tagSS
	tagNS
	tagBS
	tagM
	tagL
	tagFalse
	tagTrue
	tagNull
)

// encoder checks attribute values and writes them in their stored form, counting their size as AWS does.
type encoder struct {
	out  []byte
	size int
}

// encodeItem returns the stored form of item and its size, or the error that DynamoDB gives for the first bad value in the
// order of names.
func encodeItem(item map[string]api.AttributeValue) (stored []byte, size int, err error) {
	e := encoder{out: make([]byte, 1+binary.MaxVarintLen32, 256)}
	if err := e.attributes(item, 0); err != nil {
		return nil, 0, err
	}
	// The size is known last and read first: it goes into the room left before the attributes.
	var head [1 + binary.MaxVarintLen32]byte
	head[0] = itemFormat
	n := 1 + binary.PutUvarint(head[1:], uint64(e.size))
	start := len(head) - n
	copy(e.out[start:], head[:n])
	return e.out[start:], e.size, nil
}

// checkValues reports the first bad value of attributes that are not going to be stored.
func checkValues(attributes map[string]api.AttributeValue) error {
	if len(attributes) == 0 {
		return nil
	}
	var scratch [256]byte
	e := encoder{out: scratch[:0]}
	return e.attributes(attributes, 0)
}

func (e *encoder) attributes(m map[string]api.AttributeValue, depth int) error {
	var few [16]string
	names := few[:0]
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	e.length(len(names))
	for _, name := range names {
		if name == "" {
			return validation("One or more parameter values were invalid: Empty attribute name")
		}
		e.text(name)
		e.size += len(name)
		v := m[name]
		if err := e.value(&v, depth); err != nil {
			return err
		}
	}
	return nil
}

func (e *encoder) length(n int) { e.out = binary.AppendUvarint(e.out, uint64(n)) }

func (e *encoder) text(s string) {
	e.length(len(s))
	e.out = append(e.out, s...)
}

func (e *encoder) tag(t byte) { e.out = append(e.out, t) }

// count returns how many types v has set.
func count(v *api.AttributeValue) int {
	n := 0
	for _, set := range [...]bool{
		v.S != nil, v.N != nil, v.B != nil, v.SS != nil, v.NS != nil, v.BS != nil,
		v.M != nil, v.L != nil, v.BOOL != nil, v.NULL != nil,
	} {
		if set {
			n++
		}
	}
	return n
}

func (e *encoder) value(v *api.AttributeValue, depth int) error {
	if err := e.scalar(v); err != nil {
		return err
	}
	if err := e.set(v); err != nil {
		return err
	}
	if err := e.document(v, depth); err != nil {
		return err
	}
	switch count(v) {
	case 0:
		return validation("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
	case 1:
		return nil
	default:
		return validation("Supplied AttributeValue has more than one datatypes set, " +
			"must contain exactly one of the supported datatypes")
	}
}

func (e *encoder) scalar(v *api.AttributeValue) error {
	if v.S != nil {
		e.tag(tagS)
		e.text(*v.S)
		e.size += len(*v.S)
	}
	if v.N != nil {
		e.tag(tagN)
		if err := e.number(*v.N); err != nil {
			return err
		}
	}
	if v.B != nil {
		e.tag(tagB)
		e.length(len(v.B))
		e.out = append(e.out, v.B...)
		e.size += len(v.B)
	}
	if v.BOOL != nil {
		t := tagFalse
		if *v.BOOL {
			t = tagTrue
		}
		e.tag(t)
		e.size++
	}
	if v.NULL != nil {
		if !*v.NULL {
			return invalid("Null attribute value types must have the value of true")
		}
		e.tag(tagNull)
		e.size++
	}
	return nil
}

// number writes a number as it is answered, or by digits and exponent where that would be mostly zeros.
func (e *encoder) number(s string) error {
	d, err := decimal.Parse(s)
	if err != nil {
		return err
	}
	var room [2 * decimal.MaxDigits]byte
	text := room[:0]
	if d.Wide() {
		text = d.AppendCompact(text)
	} else {
		text = d.Append(text)
	}
	e.length(len(text))
	e.out = append(e.out, text...)
	e.size += d.Size()
	return nil
}

// invalid returns the error of a value that breaks a rule of its type.
func invalid(format string, args ...any) error {
	return validation("One or more parameter values were invalid: "+format, args...)
}

func (e *encoder) set(v *api.AttributeValue) error {
	if v.SS != nil {
		if err := e.stringSet(v.SS); err != nil {
			return err
		}
	}
	if v.NS != nil {
		if err := e.numberSet(v.NS); err != nil {
			return err
		}
	}
	if v.BS != nil {
		return e.binarySet(v.BS)
	}
	return nil
}

func (e *encoder) stringSet(set []string) error {
	if len(set) == 0 {
		return invalid("An string set  may not be empty")
	}
	if hasDuplicate(set) {
		return invalid("Input collection [%s] contains duplicates.", strings.Join(set, ", "))
	}
	e.tag(tagSS)
	e.length(len(set))
	for _, s := range set {
		e.text(s)
		e.size += len(s)
	}
	return nil
}

func (e *encoder) numberSet(set []string) error {
	if len(set) == 0 {
		return invalid("An number set  may not be empty")
	}
	e.tag(tagNS)
	e.length(len(set))
	canonical := make([]string, len(set))
	for i, s := range set {
		start := len(e.out)
		if err := e.number(s); err != nil {
			return err
		}
		canonical[i] = string(e.out[start:])
	}
	if hasDuplicate(canonical) {
		return validation("Input collection contains duplicates")
	}
	return nil
}

func (e *encoder) binarySet(set [][]byte) error {
	if len(set) == 0 {
		return invalid("Binary sets should not be empty")
	}
	members := make([]string, len(set))
	for i, b := range set {
		members[i] = string(b)
	}
	if hasDuplicate(members) {
		for i, b := range set {
			members[i] = base64.StdEncoding.EncodeToString(b)
		}
		return invalid("Input collection [%s]of type BS contains duplicates.", strings.Join(members, ", "))
	}
	e.tag(tagBS)
	e.length(len(set))
	for _, s := range members {
		e.text(s)
		e.size += len(s)
	}
	return nil
}

func hasDuplicate(list []string) bool {
	if len(list) < 2 {
		return false
	}
	seen := make(map[string]struct{}, len(list))
	for _, s := range list {
		seen[s] = struct{}{}
	}
	return len(seen) < len(list)
}

// collectionOverhead and elementOverhead are what lists and maps, and each element in them, count for beside their content.
// Source: DynamoDB Developer Guide, "DynamoDB item sizes and formats".
const (
	collectionOverhead = 3
	elementOverhead    = 1
)

func (e *encoder) document(v *api.AttributeValue, depth int) error {
	if v.M == nil && v.L == nil {
		return nil
	}
	if depth >= maxNesting {
		return validation("Nesting Levels have exceeded supported limits: " +
			"Attributes in the item have nested levels beyond supported limit")
	}
	e.size += collectionOverhead + elementOverhead*(len(v.M)+len(v.L))
	if v.M != nil {
		e.tag(tagM)
		if err := e.attributes(v.M, depth+1); err != nil {
			return err
		}
	}
	if v.L == nil {
		return nil
	}
	e.tag(tagL)
	e.length(len(v.L))
	for i := range v.L {
		if err := e.value(&v.L[i], depth+1); err != nil {
			return err
		}
	}
	return nil
}
