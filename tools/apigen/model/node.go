package model

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// node is a JSON value that keeps the order of its objects' members, which is the order of the generated structs' fields.
type node struct {
	keys  []string
	items []*node // of an object, parallel to keys, or of an array
	array bool
	value any // string, json.Number, bool or nil of anything else
	plain bool
}

func parseNode(data []byte) (*node, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	return readNode(d)
}

func readNode(d *json.Decoder) (*node, error) {
	tok, err := d.Token()
	if err != nil {
		return nil, err
	}
	delim, ok := tok.(json.Delim)
	if !ok {
		return &node{value: tok, plain: true}, nil
	}
	n := &node{array: delim == '['}
	for d.More() {
		if !n.array {
			key, err := d.Token()
			if err != nil {
				return nil, err
			}
			n.keys = append(n.keys, key.(string))
		}
		item, err := readNode(d)
		if err != nil {
			return nil, err
		}
		n.items = append(n.items, item)
	}
	_, err = d.Token()
	return n, err
}

func (n *node) index(key string) int {
	if n == nil || n.plain {
		return -1
	}
	if n.array {
		i, err := strconv.Atoi(key)
		if err != nil || i < 0 || i >= len(n.items) {
			return -1
		}
		return i
	}
	for i, k := range n.keys {
		if k == key {
			return i
		}
	}
	return -1
}

// get returns the node at path, or nil.
func (n *node) get(path ...string) *node {
	for _, key := range path {
		i := n.index(key)
		if i < 0 {
			return nil
		}
		n = n.items[i]
	}
	return n
}

func (n *node) str(path ...string) string {
	found := n.get(path...)
	if found == nil {
		return ""
	}
	s, _ := found.value.(string)
	return s
}

func (n *node) flag(path ...string) bool {
	found := n.get(path...)
	if found == nil {
		return false
	}
	b, _ := found.value.(bool)
	return b
}

func (n *node) number(path ...string) (int64, bool, error) {
	found := n.get(path...)
	if found == nil {
		return 0, false, nil
	}
	num, ok := found.value.(json.Number)
	if !ok {
		return 0, false, fmt.Errorf("%s is not a number", strings.Join(path, "/"))
	}
	i, err := num.Int64()
	if err != nil {
		f, ferr := num.Float64()
		if ferr != nil || f != float64(int64(f)) {
			return 0, false, fmt.Errorf("%s is %s: %w", strings.Join(path, "/"), num, err)
		}
		i = int64(f)
	}
	return i, true, nil
}

func (n *node) strings(path ...string) []string {
	found := n.get(path...)
	if found == nil {
		return nil
	}
	out := make([]string, 0, len(found.items))
	for _, item := range found.items {
		s, _ := item.value.(string)
		out = append(out, s)
	}
	return out
}
