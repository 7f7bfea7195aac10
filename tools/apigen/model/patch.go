package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// patch is one correction of a model: an operation of JSON Patch (RFC 6902) with the reason for it.
type patch struct {
	Reason string          `json:"reason"`
	Op     string          `json:"op"`
	Path   string          `json:"path"`
	Value  json.RawMessage `json:"value"`
}

// applyPatches applies the patches in file, when there is such a file. A patch that no longer fits its model is an error: it
// may have become unnecessary.
func applyPatches(root *node, file string) error {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var patches []patch
	if err := json.Unmarshal(data, &patches); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	for _, p := range patches {
		if err := p.apply(root); err != nil {
			return fmt.Errorf("%s: %s %s: %w", file, p.Op, p.Path, err)
		}
	}
	return nil
}

func (p *patch) apply(root *node) error {
	if p.Reason == "" {
		return errors.New("a patch gives its reason")
	}
	steps := strings.Split(strings.TrimPrefix(p.Path, "/"), "/")
	parent := root.get(steps[:len(steps)-1]...)
	if parent == nil || parent.plain {
		return errors.New("no such place in the model")
	}
	last := steps[len(steps)-1]
	at := parent.index(last)
	switch {
	case p.Op == "remove" && at >= 0:
		return parent.remove(at)
	case p.Op == "add" && at < 0:
		return parent.put(last, -1, p.Value)
	case p.Op == "replace" && at >= 0:
		return parent.put(last, at, p.Value)
	case p.Op == "add":
		return errors.New("the model has it already")
	case p.Op == "remove" || p.Op == "replace":
		return errors.New("the model has no such thing")
	}
	return errors.New("unknown operation")
}

func (n *node) remove(at int) error {
	n.items = append(n.items[:at], n.items[at+1:]...)
	if !n.array {
		n.keys = append(n.keys[:at], n.keys[at+1:]...)
	}
	return nil
}

func (n *node) put(key string, at int, value json.RawMessage) error {
	v, err := parseNode(value)
	if err != nil {
		return err
	}
	if at >= 0 {
		n.items[at] = v
		return nil
	}
	n.items = append(n.items, v)
	if !n.array {
		n.keys = append(n.keys, key)
	}
	return nil
}
