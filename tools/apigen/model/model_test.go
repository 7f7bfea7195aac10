package model

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func patched(t *testing.T, doc, patches string) (*node, error) {
	t.Helper()
	root, err := parseNode([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "p.json")
	if err := os.WriteFile(file, []byte(patches), 0o600); err != nil {
		t.Fatal(err)
	}
	return root, applyPatches(root, file)
}

func TestPatches(t *testing.T) {
	root, err := patched(t, `{"z":1,"a":{"b":[1,2]},"c":"x"}`, `[
		{"reason":"r","op":"add","path":"/a/d","value":{"e":true}},
		{"reason":"r","op":"replace","path":"/c","value":"y"},
		{"reason":"r","op":"remove","path":"/a/b/0"}]`)
	if err != nil {
		t.Fatal(err)
	}
	if !root.flag("a", "d", "e") || root.str("c") != "y" || len(root.get("a", "b").items) != 1 || strings.Join(root.keys, "") != "zac" {
		t.Errorf("%+v", root)
	}
}

func TestPatchesThatNoLongerFit(t *testing.T) {
	for patch, want := range map[string]string{
		`{"op":"add","path":"/a","value":1}`:                  "reason",
		`{"reason":"r","op":"add","path":"/a","value":1}`:     "has it already",
		`{"reason":"r","op":"remove","path":"/b"}`:            "no such thing",
		`{"reason":"r","op":"replace","path":"/b","value":1}`: "no such thing",
		`{"reason":"r","op":"add","path":"/x/y","value":1}`:   "no such place",
		`{"reason":"r","op":"move","path":"/a"}`:              "unknown operation",
	} {
		if _, err := patched(t, `{"a":1}`, "["+patch+"]"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", patch, err)
		}
	}
}

func TestRecursiveShapes(t *testing.T) {
	root, err := parseNode([]byte(`{"shapes":{
		"Tree":{"type":"structure","members":{"Leaves":{"shape":"Trees"},"Name":{"shape":"Name"}}},
		"Trees":{"type":"list","member":{"shape":"Tree"}},
		"Name":{"type":"string","min":1},
		"Lone":{"type":"structure","required":["Gone"],"members":{}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	r := &reader{root: root, shapes: map[string]*Shape{}}
	tree, err := r.shape("Tree")
	if err != nil || tree.Members[0].Shape.Elem != tree {
		t.Fatal(tree, err)
	}
	all := make([]*Shape, 0, len(r.shapes))
	for _, s := range r.shapes {
		all = append(all, s)
	}
	markChecked(all)
	if !tree.Checked || !tree.Members[0].Shape.Checked {
		t.Error("a constraint below is not seen above")
	}
	if _, err := r.shape("Lone"); err == nil {
		t.Error("a required member that is not there passes")
	}
	if _, err := r.shape("Nothing"); err == nil {
		t.Error("an unknown shape passes")
	}
}
