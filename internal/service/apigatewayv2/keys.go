package apigatewayv2

import "croft/internal/kv"

func apiKey(id string) kv.Key { return kv.Key{'a'}.Raw([]byte(id)...) }

// apiRange covers the APIs whose ids sort after id; the empty id means all.
func apiRange(after string) kv.Range {
	r := kv.PrefixRange([]byte{'a'})
	if after != "" {
		r.Start = append(apiKey(after), 0)
	}
	return r
}

func indexKey(id string) kv.Key { return kv.Key{'i'}.Raw([]byte(id)...) }
