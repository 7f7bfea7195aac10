package dynamodb

import (
	api "croft/internal/awsapi/dynamodb"
	"croft/internal/kv"
	"croft/internal/service/dynamodb/decimal"
)

// Limits of key values in bytes. Source: DynamoDB Developer Guide, "Constraints in Amazon DynamoDB".
const (
	maxPartitionKey = 2048
	maxSortKey      = 1024
)

// Types of attributes as they are named on the wire.
const (
	typeS = "S"
	typeN = "N"
	typeB = "B"
)

// typeOf returns the name of the type that v has set.
func typeOf(v *api.AttributeValue) string {
	for _, t := range [...]struct {
		name string
		set  bool
	}{
		{typeS, v.S != nil}, {typeN, v.N != nil}, {typeB, v.B != nil}, {"SS", v.SS != nil}, {"NS", v.NS != nil},
		{"BS", v.BS != nil}, {"M", v.M != nil}, {"L", v.L != nil}, {"BOOL", v.BOOL != nil}, {"NULL", v.NULL != nil},
	} {
		if t.set {
			return t.name
		}
	}
	return ""
}

// keyOfItem returns the key of an item that is to be stored.
func (t *table) keyOfItem(item map[string]api.AttributeValue) (kv.Key, error) {
	for _, part := range t.keys() {
		v, ok := item[part.name]
		if !ok {
			return nil, invalid("Missing the key %s in the item", part.name)
		}
		if actual := typeOf(&v); actual != part.typ {
			return nil, invalid("Type mismatch for key %s expected: %s actual: %s", part.name, part.typ, actual)
		}
		if kind := emptyKind(&v); kind != "" {
			return nil, validation("One or more parameter values are not valid. "+
				"The AttributeValue for a key attribute cannot contain an empty %s value. Key: %s", kind, part.name)
		}
	}
	return t.encodeKey(item)
}

// keyOf returns the key that a client names: exactly the table's key attributes.
func (t *table) keyOf(key map[string]api.AttributeValue) (kv.Key, error) {
	parts := t.keys()
	if len(key) != len(parts) {
		return nil, validation("The provided key element does not match the schema")
	}
	for _, part := range parts {
		v, ok := key[part.name]
		if !ok || typeOf(&v) != part.typ {
			return nil, validation("The provided key element does not match the schema")
		}
		if kind := emptyKind(&v); kind != "" {
			return nil, invalid("The AttributeValue for a key attribute cannot contain an empty %s value. Key: %s", kind, part.name)
		}
	}
	return t.encodeKey(key)
}

func emptyKind(v *api.AttributeValue) string {
	switch {
	case v.S != nil && *v.S == "":
		return "string"
	case v.B != nil && len(v.B) == 0:
		return "binary"
	default:
		return ""
	}
}

// encodeKey returns the key for attributes whose key parts are there and of the right types.
func (t *table) encodeKey(attributes map[string]api.AttributeValue) (kv.Key, error) {
	var partitionRoom, sortRoom [64]byte
	partition, err := keyBytes(partitionRoom[:0], attributes[t.partition.name])
	if err != nil {
		return nil, err
	}
	if len(partition) > maxPartitionKey {
		return nil, invalid("Size of hashkey has exceeded the maximum size limit of%d bytes", maxPartitionKey)
	}
	sort := sortRoom[:0]
	if t.sort.name != "" {
		if sort, err = keyBytes(sort, attributes[t.sort.name]); err != nil {
			return nil, err
		}
	}
	if len(sort) > maxSortKey {
		return nil, invalid("Aggregated size of all range keys has exceeded the size limit of %d bytes", maxSortKey)
	}
	return t.itemKey(partition, sort), nil
}

// keyBytes writes a key attribute's value so that the order of bytes is DynamoDB's order of values.
func keyBytes(dst []byte, v api.AttributeValue) ([]byte, error) {
	switch {
	case v.S != nil:
		return append(dst, *v.S...), nil
	case v.B != nil:
		return append(dst, v.B...), nil
	default:
		d, err := decimal.Parse(*v.N)
		if err != nil {
			return nil, err
		}
		return d.AppendKey(dst), nil
	}
}
