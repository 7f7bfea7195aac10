package linear

import (
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// one makes an operation of a history by hand.
func one(client, begin, end int, input, output any) porcupine.Operation {
	return porcupine.Operation{ClientId: client, Input: input, Output: output, Call: int64(begin), Return: int64(end)}
}

func set(key, value int) call { return call{writes: []write{{key: key, value: value}}} }

func get(which ...int) call { return call{reads: which} }

func saw(values ...int) outcome { return outcome{ok: true, seen: values} }

func cas(key, old, value int) call {
	return call{checks: []check{{key, old}}, writes: []write{{key: key, value: value}}}
}

// TestTheCheckerFails: the models accept what may happen and refuse what may not. Without this, a proof by them would be worth nothing.
func TestTheCheckerFails(t *testing.T) {
	pair := call{writes: []write{{key: 0, value: 1}, {key: 1, value: 1}}}
	both := call{checks: []check{{0, 0}}, writes: []write{{key: 1, value: 5, add: true}}, reads: []int{1}}
	m := func(v verb, name string) messageCall { return messageCall{v, "g", name, name} }
	for name, c := range map[string]struct {
		model porcupine.Model
		ops   []porcupine.Operation
		want  bool
	}{
		"read what was written":           {registers(), []porcupine.Operation{one(0, 0, 1, set(0, 7), saw()), one(1, 2, 3, get(0), saw(7))}, true},
		"read either while it is written": {registers(), []porcupine.Operation{one(0, 0, 9, set(0, 7), saw()), one(1, 2, 3, get(0), saw(0))}, true},
		"stale read":                      {registers(), []porcupine.Operation{one(0, 0, 1, set(0, 7), saw()), one(1, 2, 3, get(0), saw(0))}, false},
		"back in time": {registers(), []porcupine.Operation{
			one(0, 0, 9, set(0, 7), saw()), one(1, 1, 2, get(0), saw(7)), one(1, 3, 4, get(0), saw(0))}, false},
		"half a transaction": {registers(), []porcupine.Operation{one(0, 0, 9, pair, saw()), one(1, 1, 2, get(0, 1), saw(1, 0))}, false},
		"a whole one":        {registers(), []porcupine.Operation{one(0, 0, 9, pair, saw()), one(1, 1, 2, get(0, 1), saw(1, 1))}, true},
		"two win":            {registers(), []porcupine.Operation{one(0, 0, 9, cas(0, 0, 1), saw()), one(1, 0, 9, cas(0, 0, 2), saw())}, false},
		"one wins":           {registers(), []porcupine.Operation{one(0, 0, 9, cas(0, 0, 1), saw()), one(1, 0, 9, cas(0, 0, 2), outcome{})}, true},
		"nobody wins":        {registers(), []porcupine.Operation{one(0, 0, 9, cas(0, 0, 1), outcome{}), one(1, 0, 9, cas(0, 0, 2), outcome{})}, false},
		"lost update":        {registers(), []porcupine.Operation{one(0, 0, 9, both, saw(5)), one(1, 0, 9, both, saw(5))}, false},
		"both updates":       {registers(), []porcupine.Operation{one(0, 0, 9, both, saw(10)), one(1, 0, 9, both, saw(5))}, true},
		"a refusal that wrote": {registers(), []porcupine.Operation{
			one(0, 0, 1, set(0, 7), outcome{conflict: true}), one(1, 2, 3, get(0), saw(7))}, false},
		"received twice": {standard(), []porcupine.Operation{
			one(0, 0, 1, m(send, "a"), nil), one(1, 2, 3, m(receive, "a"), nil), one(2, 2, 3, m(receive, "a"), nil)}, false},
		"received again": {standard(), []porcupine.Operation{
			one(0, 0, 1, m(send, "a"), nil), one(1, 2, 3, m(receive, "a"), nil), one(1, 4, 5, m(release, "a"), nil), one(2, 4, 6, m(receive, "a"), nil)}, true},
		"lost":                  {standard(), []porcupine.Operation{one(0, 0, 1, m(send, "a"), nil), one(1, 2, 3, m(drained, "a"), nil)}, false},
		"received, not sent":    {standard(), []porcupine.Operation{one(1, 0, 1, m(receive, "a"), nil), one(0, 2, 3, m(send, "a"), nil)}, false},
		"out of order":          {fifo(), []porcupine.Operation{one(0, 0, 1, m(send, "a"), nil), one(0, 2, 3, m(send, "b"), nil), one(1, 4, 5, m(receive, "b"), nil)}, false},
		"past one in flight":    {fifo(), []porcupine.Operation{one(0, 0, 1, m(send, "a"), nil), one(0, 2, 3, m(send, "b"), nil), one(1, 4, 5, m(receive, "a"), nil), one(2, 6, 7, m(receive, "b"), nil)}, false},
		"after it":              {fifo(), []porcupine.Operation{one(0, 0, 1, m(send, "a"), nil), one(0, 2, 3, m(send, "b"), nil), one(1, 4, 5, m(receive, "a"), nil), one(1, 6, 7, m(remove, "a"), nil), one(2, 6, 8, m(receive, "b"), nil)}, true},
		"either, sent together": {fifo(), []porcupine.Operation{one(0, 0, 3, messageCall{send, "g", "a", "2"}, nil), one(1, 0, 3, messageCall{send, "g", "b", "1"}, nil), one(2, 4, 5, m(receive, "b"), nil)}, true},
		"against the numbers":   {fifo(), []porcupine.Operation{one(0, 0, 1, m(send, "b"), nil), one(1, 2, 3, m(send, "a"), nil)}, false},
		"left behind":           {fifo(), []porcupine.Operation{one(0, 0, 1, m(send, "a"), nil), one(1, 2, 3, m(drained, ""), nil)}, false},
	} {
		want := porcupine.Illegal
		if c.want {
			want = porcupine.Ok
		}
		if got := porcupine.CheckOperationsTimeout(c.model, c.ops, 10*time.Second); got != want {
			t.Errorf("%s: the checker says %s", name, got)
		}
	}
}
