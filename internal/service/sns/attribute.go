package sns

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"croft/internal/awsapi/sns"
	"croft/internal/wire"
)

func parameterValue(format string, args ...any) error {
	return sns.NewInvalidParameterValueException(format, args...)
}

// checkAttributes checks the attributes of a message and returns them sorted by name.
func checkAttributes(in map[string]sns.MessageAttributeValue) ([]attribute, error) {
	var out []attribute
	for _, name := range slices.Sorted(maps.Keys(in)) {
		if err := checkAttributeName(name); err != nil {
			return nil, err
		}
		v := in[name]
		a := attribute{Name: name, Type: v.DataType, Text: v.StringValue, Binary: v.BinaryValue}
		if err := checkAttributeValue(&a); err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, nil
}

func checkAttributeName(name string) error {
	if name == "" || len(name) > 256 {
		return parameterValue("Length of message attribute name must be less than 256 bytes.")
	}
	for i := range len(name) {
		if b := name[i]; !isNameByte(b) && b != '.' {
			return parameterValue("Invalid non-alphanumeric character '#x%X' was found in the message attribute name. "+
				"Can only include alphanumeric characters, hyphens, underscores, or dots.", b)
		}
	}
	switch {
	case name[0] == '.':
		return parameterValue("Invalid message attribute name starting with character '.' was found.")
	case name[len(name)-1] == '.':
		return parameterValue("Invalid message attribute name ending with character '.' was found.")
	case strings.Contains(name, ".."):
		return parameterValue("Message attribute name can not have successive '.' character.")
	}
	return nil
}

func checkAttributeValue(a *attribute) error {
	kind, _, _ := strings.Cut(a.Type, ".")
	text, binary := wire.Value(a.Text) != "", len(a.Binary) > 0
	switch kind {
	case "String", "Number":
		if !text && binary {
			return parameterValue("The message attribute '%s' with type '%s' must use field 'String'.", a.Name, a.Type)
		}
	case "Binary":
		if text && !binary {
			return parameterValue("The message attribute '%s' with type '%s' must use field 'Binary'.", a.Name, a.Type)
		}
	default:
		return parameterValue("The message attribute '%s' has an invalid message attribute type, "+
			"the set of supported type prefixes is Binary, Number, and String.", a.Name)
	}
	if !text && !binary {
		return parameterValue("The message attribute '%s' must contain non-empty message attribute value for message attribute type '%s'.", a.Name, a.Type)
	}
	if text && binary {
		return parameterValue("The message attribute '%s' must use only one of the fields 'String' and 'Binary'.", a.Name)
	}
	if kind != "Number" {
		return nil
	}
	if _, err := strconv.ParseFloat(*a.Text, 64); err != nil && !errors.Is(err, strconv.ErrRange) {
		return parameterValue("Could not cast message attribute '%s' value to number.", a.Name)
	}
	return nil
}
