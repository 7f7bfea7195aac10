package dynamodb

import (
	"bytes"
	"testing"
	"time"

	api "croft/internal/awsapi/dynamodb"
)

// FuzzStreamRecord decodes any bytes: what decodes encodes to a record that decodes to the same.
func FuzzStreamRecord(f *testing.F) {
	name := "k"
	item, _, err := encodeItem(map[string]api.AttributeValue{"p": {S: &name}})
	if err != nil {
		f.Fatal(err)
	}
	for _, r := range []streamRecord{
		{kind: eventInsert, at: time.UnixMilli(1), key: item, new: item},
		{kind: eventModify, at: time.UnixMilli(-1), key: item, new: item, old: item},
		{kind: eventRemove, expired: true, key: item, old: item},
	} {
		f.Add(r.encode())
	}
	f.Add([]byte{recordFormat, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, stored []byte) {
		r, err := decodeRecord(stored)
		if err != nil {
			return
		}
		again, err := decodeRecord(r.encode())
		if err != nil || again.kind != r.kind || again.expired != r.expired || !again.at.Equal(r.at) ||
			!bytes.Equal(again.key, r.key) || !bytes.Equal(again.new, r.new) || !bytes.Equal(again.old, r.old) {
			t.Fatalf("%+v became %+v (%v)", r, again, err)
		}
	})
}

// FuzzIterator parses any text: what parses says the same when it is written again.
func FuzzIterator(f *testing.F) {
	f.Add(iterator{arn: "arn", stream: [16]byte{1}, place: position{2}, issued: time.UnixMilli(3)}.String())
	f.Add("|1|")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		it, ok := parseIterator(text)
		if ok && it.String() != text {
			t.Fatalf("%q became %q", text, it)
		}
	})
}

// FuzzSequence parses any text, and checks the two places that a sequence number means.
func FuzzSequence(f *testing.F) {
	f.Add(sequenceNumber(7))
	f.Add(sequenceAfter(0))
	f.Add("1999999999999999999990")
	f.Fuzz(func(t *testing.T, text string) {
		behind, ok := parseSequence(text, false)
		before, same := parseSequence(text, true)
		switch {
		case ok != same:
			t.Fatalf("%q is one and is none", text)
		case !ok:
		case text == sequenceNumber(behind.after) && before.after+1 != behind.after:
			t.Fatalf("%q: before is %d, behind is %d", text, before.after, behind.after)
		case text == sequenceAfter(behind.after) && before != behind:
			t.Fatalf("%q: before is %d, behind is %d", text, before.after, behind.after)
		case text != sequenceNumber(behind.after) && text != sequenceAfter(behind.after):
			t.Fatalf("%q parses and is never written", text)
		}
	})
}
