package sqs

import (
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
	"strings"

	"croft/internal/awsapi/sqs"
	"croft/internal/wire"
)

// Limits of message attributes. Source: Amazon SQS Developer Guide, "Amazon SQS message metadata".
const (
	maxAttributes    = 10
	maxAttributeName = 256
)

// userAttributes checks the attributes of a message and returns them sorted by name.
func userAttributes(in map[string]sqs.MessageAttributeValue) ([]attribute, error) {
	if len(in) == 0 {
		return nil, nil
	}
	if len(in) > maxAttributes {
		return nil, invalidParameter("Number of message attributes [%d] exceeds the allowed maximum [%d].", len(in), maxAttributes)
	}
	out := make([]attribute, 0, len(in))
	for _, name := range slices.Sorted(maps.Keys(in)) {
		if err := checkAttributeName(name); err != nil {
			return nil, err
		}
		a, err := attributeOf(name, in[name])
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, nil
}

func checkAttributeName(name string) error {
	lower := strings.ToLower(name)
	switch {
	case name == "" || len(name) > maxAttributeName:
		return invalidParameter("Length of message attribute name must be between 1 and %d bytes.", maxAttributeName)
	case !allOf(name, func(b byte) bool { return isNameByte(b) || b == '.' }):
		return invalidParameter("Invalid non-alphanumeric character was found in the message attribute name %q. "+
			"Can only include alphanumeric characters, hyphens, underscores, or dots.", name)
	case strings.HasPrefix(lower, "aws.") || strings.HasPrefix(lower, "amazon."):
		return invalidParameter("You can't use message attribute names beginning with 'AWS.' or 'Amazon.'. These strings are reserved for internal use.")
	case name[0] == '.' || name[len(name)-1] == '.':
		return invalidParameter("Invalid message attribute name %q: it begins or ends with character '.'.", name)
	case strings.Contains(name, ".."):
		return invalidParameter("Message attribute name can not have successive '.' character.")
	}
	return nil
}

func attributeOf(name string, in sqs.MessageAttributeValue) (attribute, error) {
	if in.StringListValues != nil || in.BinaryListValues != nil {
		return attribute{}, sqs.NewUnsupportedOperation("Message attribute list values in SendMessage operation are not supported.")
	}
	a := attribute{name: name, dataType: in.DataType}
	kind, _, _ := strings.Cut(in.DataType, ".")
	if in.DataType == "" {
		return a, invalidParameter("Message (user) attribute '%s' must contain a non-empty attribute type.", name)
	}
	if len(in.DataType) > maxAttributeName {
		return a, invalidParameter("Length of message attribute type must be less than %d bytes.", maxAttributeName)
	}
	switch kind {
	case "Binary":
		if in.StringValue != nil {
			return a, invalidParameter("Message (user) attribute '%s' with type 'Binary' must use field 'Binary'.", name)
		}
		a.binary, a.value = true, string(in.BinaryValue)
	case "String", "Number":
		if in.BinaryValue != nil {
			return a, invalidParameter("Message (user) attribute '%s' with type '%s' must use field 'String'.", name, kind)
		}
		a.value = wire.Value(in.StringValue)
	default:
		return a, invalidParameter("Message (user) attribute '%s' has an invalid message attribute type, "+
			"the set of supported type prefixes is Binary, Number, and String.", name)
	}
	if a.value == "" {
		return a, invalidParameter("Message (user) attribute '%s' must contain a non-empty value of type '%s'.", name, in.DataType)
	}
	return a, checkAttributeValue(&a, kind)
}

func checkAttributeValue(a *attribute, kind string) error {
	if kind == "Number" {
		if _, err := strconv.ParseFloat(a.value, 64); err != nil && !strings.Contains(err.Error(), "out of range") {
			return invalidParameter("Can't cast the value of message (user) attribute '%s' to a number.", a.name)
		}
	}
	if !a.binary && !validText(a.value) {
		return invalidContents()
	}
	return nil
}

// systemAttributes checks a message's system attributes, of which senders may set one.
func systemAttributes(in map[string]sqs.MessageSystemAttributeValue) (trace string, md5 *string, err error) {
	if len(in) == 0 {
		return "", nil, nil
	}
	for _, name := range slices.Sorted(maps.Keys(in)) {
		if name != sqs.MessageSystemAttributeNameForSendsAWSTraceHeader {
			return "", nil, invalidParameter("Message system attribute name '%s' is invalid.", clip(name))
		}
		v := in[name]
		if v.DataType != "String" || v.BinaryValue != nil || v.StringListValues != nil || v.BinaryListValues != nil || wire.Value(v.StringValue) == "" {
			return "", nil, invalidParameter("The message system attribute '%s' must be a non-empty value of type 'String'.", name)
		}
		trace = *v.StringValue
		if !validText(trace) {
			return "", nil, invalidContents()
		}
		md5 = wire.Ptr(attributesMD5([]attribute{{name: name, dataType: "String", value: trace}}))
	}
	return trace, md5, nil
}

// attributesMD5 returns the digest over attributes, which must be sorted by name. For each it takes the name, the type and the value,
// each after its length in four bytes, with a byte before the value that tells text (1) from binary (2). Source: Amazon SQS Developer Guide,
// "Calculating the MD5 message digest for message attributes".
func attributesMD5(attributes []attribute) string {
	var buf []byte
	put := func(s string) {
		buf = binary.BigEndian.AppendUint32(buf, uint32(len(s)))
		buf = append(buf, s...)
	}
	for _, a := range attributes {
		put(a.name)
		put(a.dataType)
		if a.binary {
			buf = append(buf, 2)
		} else {
			buf = append(buf, 1)
		}
		put(a.value)
	}
	return hexMD5(buf)
}

func hexMD5(b []byte) string {
	sum := md5.Sum(b)
	return hex.EncodeToString(sum[:])
}

// validText reports whether s holds only the characters that SQS allows.
func validText(s string) bool {
	for i := range len(s) {
		if b := s[i]; b < 0x20 && b != '\t' && b != '\n' && b != '\r' || b >= 0x80 {
			return validRunes(s[i:])
		}
	}
	return true
}

func validRunes(s string) bool {
	for i, r := range s {
		switch {
		case r == '\t' || r == '\n' || r == '\r' || r >= 0x20 && r < 0xfffd || r >= 0x10000:
		case r == 0xfffd && strings.HasPrefix(s[i:], "\xef\xbf\xbd"):
			// The character itself, and not what ranging yields for broken UTF-8.
		default:
			return false
		}
	}
	return true
}

func invalidContents() error {
	return sqs.NewInvalidMessageContents("Invalid characters found. Valid unicode characters are " +
		"#x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF")
}
