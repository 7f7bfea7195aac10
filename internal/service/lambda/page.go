package lambda

import (
	"encoding/base64"
	"strings"

	"croft/internal/kv"
)

const markerPrefix = "after:"

// page gives up to limit rows below prefix to take, in order of their names and from after the name after on. Rows that take leaves
// out do not count. When there are more rows it sets next.
func page(r kv.Reader, prefix kv.Key, after string, limit int, take func(name string, value []byte) (bool, error), next **string) error {
	within := kv.PrefixRange(prefix)
	if after != "" {
		within.Start = kv.PrefixRange(prefix.Str(after)).End
	}
	taken, last := 0, after
	for e, err := range r.Scan(within, kv.ScanOptions{}) {
		if err != nil {
			return err
		}
		k := kv.ReadKey(e.Key, prefix)
		name := k.Str()
		if k.Err() != nil {
			return k.Err()
		}
		if taken == limit {
			*next = marker(last)
			return nil
		}
		took, err := take(name, e.Value)
		if err != nil {
			return err
		}
		if took {
			taken++
		}
		last = name
	}
	return nil
}

func marker(name string) *string {
	m := base64.StdEncoding.EncodeToString([]byte(markerPrefix + name))
	return &m
}

func readMarker(m *string) (string, error) {
	if m == nil || *m == "" {
		return "", nil
	}
	b, err := base64.StdEncoding.DecodeString(*m)
	name, ok := strings.CutPrefix(string(b), markerPrefix)
	if err != nil || !ok || name == "" || len(name) > maxMarker {
		return "", invalid("Invalid Marker")
	}
	return name, nil
}

const maxMarker = 256
