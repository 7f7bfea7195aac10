package linear

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"croft/internal/clock"
	"croft/test/harness"
)

type object = map[string]any

// items makes calls on the items of one round.
type items struct {
	cloud *harness.Cloud
	round int
	next  atomic.Int64
	// last is a value that was written lately: what conditions ask for, so that some of them hold.
	last [keys]atomic.Int64
}

func testItems(t *testing.T, c *harness.Cloud) {
	err := c.Call("dynamodb", "DynamoDB_20120810.CreateTable", object{
		"TableName": "linear", "BillingMode": "PAY_PER_REQUEST",
		"AttributeDefinitions": []object{{"AttributeName": "k", "AttributeType": "S"}},
		"KeySchema":            []object{{"AttributeName": "k", "KeyType": "HASH"}},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	total := map[string]int{}
	for round := range rounds() {
		it := &items{cloud: c, round: round}
		history, err := run(it.pick, it.do)
		if err != nil {
			t.Fatal(err)
		}
		mustHold(t, registers(), history)
		if round == 0 {
			mustBreak(t, history)
		}
		tally(total, history)
	}
	t.Log(total)
	if total["done"] == 0 || total["condition failed"] == 0 {
		t.Errorf("the load says nothing about conditions: %v", total)
	}
}

// pick makes up a call. Values are never written twice, except that additions may meet.
func (it *items) pick() call {
	a := clock.Pick(keys)
	b := (a + 1) % keys
	value := int(it.next.Add(1)) * 1000
	old := int(it.last[a].Load())
	c := call{}
	switch clock.Pick(8) {
	case 0:
		c = call{writes: []write{{key: a, value: value}}, reads: []int{a}, before: true}
	case 1:
		c = call{writes: []write{{key: a}}, reads: []int{a}, before: true}
	case 2:
		c = call{writes: []write{{key: a, value: clock.Pick(9) + 1, add: true}}, reads: []int{a}}
	case 3:
		c = call{checks: []check{{a, old}}, writes: []write{{key: a, value: value}}}
	case 4:
		c = call{reads: []int{a}}
	case 5:
		c = call{reads: []int{0, 1, 2}}
	case 6:
		c = call{checks: []check{{a, old}}, writes: []write{{key: b, value: value}, {key: (a + 2) % keys, value: 1, add: true}}}
	default:
		c = call{writes: []write{{key: a, value: value}, {key: b}}}
	}
	for _, w := range c.writes {
		if !w.add {
			it.last[w.key].Store(int64(w.value))
		}
	}
	return c
}

func (it *items) key(k int) object {
	return object{"k": object{"S": fmt.Sprintf("%d-%d", it.round, k)}}
}

func number(n int) object { return object{"N": strconv.Itoa(n)} }

// condition demands a value of v; 0 means that there is no item.
func condition(want int) object {
	if want == 0 {
		return object{"ConditionExpression": "attribute_not_exists(k)"}
	}
	return object{"ConditionExpression": "v = :old", "ExpressionAttributeValues": object{":old": number(want)}}
}

// writeOf is the request that does a write, by itself or in a transaction, and its operation's name without "Item".
func (it *items) writeOf(w write) (string, object) {
	in := object{"TableName": "linear"}
	switch {
	case w.add:
		in["Key"] = it.key(w.key)
		in["UpdateExpression"], in["ExpressionAttributeValues"] = "ADD v :n", object{":n": number(w.value)}
		return "Update", in
	case w.value == 0:
		in["Key"] = it.key(w.key)
		return "Delete", in
	default:
		item := it.key(w.key)
		item["v"] = number(w.value)
		in["Item"] = item
		return "Put", in
	}
}

type item struct{ V struct{ N string } }

func (i *item) value() int {
	if i == nil {
		return 0
	}
	n, err := strconv.Atoi(i.V.N)
	if err != nil {
		return 0
	}
	return n
}

func (it *items) do(c call) (outcome, error) {
	switch {
	case len(c.writes) == 0 && len(c.reads) == 1:
		var out struct{ Item *item }
		err := it.cloud.Call("dynamodb", "DynamoDB_20120810.GetItem", object{"TableName": "linear", "Key": it.key(c.reads[0]), "ConsistentRead": true}, &out)
		return outcome{ok: true, seen: []int{out.Item.value()}}, err
	case len(c.writes) == 0:
		return it.readAll(c)
	case len(c.writes) == 1:
		return it.writeOne(c)
	default:
		return it.transact(c)
	}
}

func (it *items) readAll(c call) (outcome, error) {
	var gets []object
	for _, k := range c.reads {
		gets = append(gets, object{"Get": object{"TableName": "linear", "Key": it.key(k)}})
	}
	var out struct{ Responses []struct{ Item *item } }
	o, err := ending(it.cloud.Call("dynamodb", "DynamoDB_20120810.TransactGetItems", object{"TransactItems": gets}, &out))
	for _, r := range out.Responses {
		o.seen = append(o.seen, r.Item.value())
	}
	if err == nil && o.ok && len(o.seen) != len(c.reads) {
		err = fmt.Errorf("%d answers to %d reads", len(o.seen), len(c.reads))
	}
	return o, err
}

func (it *items) writeOne(c call) (outcome, error) {
	name, in := it.writeOf(c.writes[0])
	for _, k := range c.checks {
		maps.Copy(in, condition(k.want))
	}
	if len(c.reads) > 0 {
		in["ReturnValues"] = "ALL_NEW"
		if c.before {
			in["ReturnValues"] = "ALL_OLD"
		}
	}
	var out struct{ Attributes *item }
	o, err := ending(it.cloud.Call("dynamodb", "DynamoDB_20120810."+name+"Item", in, &out))
	if o.ok && len(c.reads) > 0 {
		o.seen = []int{out.Attributes.value()}
	}
	return o, err
}

func (it *items) transact(c call) (outcome, error) {
	var list []object
	for _, k := range c.checks {
		in := condition(k.want)
		in["TableName"], in["Key"] = "linear", it.key(k.key)
		list = append(list, object{"ConditionCheck": in})
	}
	for _, w := range c.writes {
		name, in := it.writeOf(w)
		list = append(list, object{name: in})
	}
	return ending(it.cloud.Call("dynamodb", "DynamoDB_20120810.TransactWriteItems", object{"TransactItems": list}, nil))
}

// ending tells apart how a call may end.
func ending(err error) (outcome, error) {
	switch {
	case err == nil:
		return outcome{ok: true}, nil
	case strings.Contains(err.Error(), "TransactionConflict"):
		return outcome{conflict: true}, nil
	case strings.Contains(err.Error(), "ConditionalCheckFailed"):
		return outcome{}, nil
	default:
		return outcome{}, err
	}
}
