package servicetest

import (
	"encoding/json"
	"reflect"
	"testing"

	"croft/internal/awsapi/sqs"
)

func TestSteps(t *testing.T) {
	got := parts("comment\n-- one two --\ncall a.B {\n}\n----\n{}\n\n# note\nadvance 1s\n\n-- three --\nin 1 r\n")
	if len(got) != 2 || got[0].name != "one_two" || got[1].name != "three" {
		t.Fatalf("%+v", got)
	}
	want := []section{{text: "call a.B {\n}\n----\n{}\n", line: 3}, {text: "advance 1s\n", line: 9}}
	if s := steps(got[0]); !reflect.DeepEqual(s, want) {
		t.Errorf("%+v", s)
	}
}

func TestMatch(t *testing.T) {
	s := &script{vars: map[string]string{}}
	for _, c := range []struct {
		want, got string
		ok        bool
	}{
		{`{"a": "$id", "b": [1, true, null]}`, `{"a": "x", "b": [1, true, null]}`, true},
		{`{"a": "$id"}`, `{"a": "x"}`, true},
		{`{"a": "$id"}`, `{"a": "y"}`, false},
		{`{"a": "is $id."}`, `{"a": "is x."}`, true},
		{`{"a": "is $late.", "b": "$late", "c": ["not $late"]}`, `{"a": "is z.", "b": "z", "c": ["not z"]}`, true},
		{`{"a": "$_"}`, `{"a": {"any": 1}}`, true},
		{`{"a": "1"}`, `{"a": 1}`, false},
		{`{}`, `{"a": 1}`, false},
		{`{"a": 1}`, `{}`, false},
		{`{"a": [1]}`, `{"a": [1, 2]}`, false},
		{`{"a": {}}`, `{"a": 1}`, false},
	} {
		var want, got any
		if json.Unmarshal([]byte(c.want), &want) != nil || json.Unmarshal([]byte(c.got), &got) != nil {
			t.Fatal(c)
		}
		if err := s.compare(want, got); (err == nil) != c.ok {
			t.Errorf("%s against %s: %v", c.want, c.got, err)
		}
	}
}

func TestJSON(t *testing.T) {
	const text = `{"Attributes":{"DelaySeconds":"1"},"QueueName":"q","tags":{"a":"b"}}`
	for _, op := range sqs.Service().Operations {
		if op.Name != "CreateQueue" {
			continue
		}
		in := op.New()
		if err := decode(op.Schema, op.Input, text, in); err != nil {
			t.Fatal(err)
		}
		if got, err := encode(op.Schema, op.Input, in); err != nil || got != text {
			t.Errorf("%s, %v", got, err)
		}
		if err := decode(op.Schema, op.Input, `{"Colour": 1}`, op.New()); err == nil {
			t.Error("an unknown member was taken")
		}
	}
}
