package kvtest

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"croft/internal/kv"
)

// model is the contract as simply as it can be said: a map. What a log holds stands under keys with the model's own numbers, so
// only a log's order is compared, not the numbers.
type model struct {
	data map[string]string
	// unseen holds what the transaction under way has appended: it cannot be read before commit.
	unseen map[string]string
	// appended counts the entries of all logs, ever.
	appended uint64
}

func newModel() *model {
	return &model{data: map[string]string{}, unseen: map[string]string{}}
}

func (m *model) clone() *model {
	return &model{maps.Clone(m.data), maps.Clone(m.unseen), m.appended}
}

// commit ends a transaction.
func (m *model) commit() {
	maps.Copy(m.data, m.unseen)
	clear(m.unseen)
}

func (m *model) put(key, value string) { m.data[key] = value }
func (m *model) delete(key string)     { delete(m.data, key) }

func (m *model) deleteRange(r kv.Range) {
	inside := func(k, _ string) bool { return r.Contains([]byte(k)) }
	maps.DeleteFunc(m.data, inside)
	maps.DeleteFunc(m.unseen, inside)
}

func (m *model) add(key string, delta int64) {
	m.data[key] = string(kv.EncodeInt64(kv.Int64([]byte(m.data[key])) + delta))
}

func (m *model) append(log, value string) {
	m.appended++
	m.unseen[string(kv.LogKey([]byte(log), m.appended))] = value
}

func (m *model) get(key string) string {
	v, ok := m.data[key]
	if !ok {
		return "none"
	}
	return fmt.Sprintf("%q", v)
}

func (m *model) scan(r kv.Range, o kv.ScanOptions) string {
	var keys []string
	for k := range m.data {
		if r.Contains([]byte(k)) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	if o.Reverse {
		slices.Reverse(keys)
	}
	if o.Limit > 0 && len(keys) > o.Limit {
		keys = keys[:o.Limit]
	}
	var b strings.Builder
	for _, k := range keys {
		writeEntry(&b, []byte(k), []byte(m.data[k]))
	}
	return b.String()
}

// logSpace is the prefix of everything that the random operations append to.
const logSpace = "\xf0"

// writeEntry writes an entry into a history. The number of a log's entry is left out.
func writeEntry(b *strings.Builder, key, value []byte) {
	if bytes.HasPrefix(key, []byte(logSpace)) && len(key) > 8 {
		key = key[:len(key)-8]
	}
	fmt.Fprintf(b, "%q=%q ", key, value)
}

// scanHistory is model.scan for a store.
func scanHistory(r kv.Reader, rng kv.Range, o kv.ScanOptions) (string, error) {
	var b strings.Builder
	for entry, err := range r.Scan(rng, o) {
		if err != nil {
			return "", err
		}
		writeEntry(&b, entry.Key, entry.Value)
	}
	return b.String(), nil
}
