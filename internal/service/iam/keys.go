package iam

import (
	"strings"

	"croft/internal/kv"
)

func roleKey(name string) kv.Key { return kv.Key{'r'}.Raw([]byte(strings.ToLower(name))...) }

// roleRange covers the roles whose names sort after name in lower case; the empty name means all.
func roleRange(after string) kv.Range {
	r := kv.PrefixRange([]byte{'r'})
	if after != "" {
		r.Start = append(roleKey(after), 0)
	}
	return r
}
