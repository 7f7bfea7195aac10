package linear

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"croft/internal/clock"
	"croft/test/harness"
)

// large is the size of every second object: its body lies outside the store, while a small one lies in its row.
const large = 300_000

// objects makes calls on the objects of one round.
type objects struct {
	cloud *harness.Cloud
	round int
	next  atomic.Int64
	last  [keys]atomic.Int64
}

func testObjects(t *testing.T, c *harness.Cloud) {
	if a, err := c.Object(http.MethodPut, "linear", nil, nil); err != nil || a.Status != http.StatusOK {
		t.Fatalf("%v: %d %s", err, a.Status, a.Body)
	}
	total := map[string]int{}
	for round := range rounds() {
		ob := &objects{cloud: c, round: round}
		history, err := run(ob.pick, ob.do)
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

func (ob *objects) pick() call {
	key, value := clock.Pick(keys), int(ob.next.Add(1))
	c := call{}
	switch clock.Pick(6) {
	case 0, 1:
		return call{reads: []int{key}}
	case 2:
		c = call{writes: []write{{key: key, value: value}}}
	case 3:
		c = call{writes: []write{{key: key}}}
	case 4: // If-None-Match: *
		c = call{checks: []check{{key, 0}}, writes: []write{{key: key, value: value}}}
	default: // If-Match
		c = call{checks: []check{{key, int(ob.last[key].Load())}}, writes: []write{{key: key, value: value}}}
	}
	ob.last[key].Store(int64(c.writes[0].value))
	return c
}

// body is the content that stands for a value: no two values have the same.
func body(value int) []byte {
	if value%2 == 0 {
		return []byte(strconv.Itoa(value))
	}
	return []byte(strconv.Itoa(value) + strings.Repeat(" ", large))
}

func (ob *objects) path(key int) string { return fmt.Sprintf("linear/%d-%d", ob.round, key) }

func (ob *objects) do(c call) (outcome, error) {
	if len(c.writes) == 0 {
		return ob.read(c.reads[0])
	}
	w := c.writes[0]
	if w.value == 0 {
		a, err := ob.cloud.Object(http.MethodDelete, ob.path(w.key), nil, nil)
		if err == nil && a.Status != http.StatusNoContent {
			err = fmt.Errorf("%d %s", a.Status, a.Body)
		}
		return outcome{ok: true}, err
	}
	header := map[string]string{}
	for _, k := range c.checks {
		if k.want == 0 {
			header["If-None-Match"] = "*"
			continue
		}
		sum := md5.Sum(body(k.want))
		header["If-Match"] = `"` + hex.EncodeToString(sum[:]) + `"`
	}
	a, err := ob.cloud.Object(http.MethodPut, ob.path(w.key), header, body(w.value))
	switch {
	case err != nil:
		return outcome{}, err
	case a.Status == http.StatusOK:
		return outcome{ok: true}, nil
	case a.Status == http.StatusConflict && len(c.checks) > 0: // ConditionalRequestConflict
		return outcome{conflict: true}, nil
	case a.Status == http.StatusPreconditionFailed, a.Status == http.StatusNotFound && header["If-Match"] != "":
		return outcome{}, nil
	default:
		return outcome{}, fmt.Errorf("%d %s", a.Status, a.Body)
	}
}

// read gets an object, whose body must be one that was written, whole.
func (ob *objects) read(key int) (outcome, error) {
	a, err := ob.cloud.Object(http.MethodGet, ob.path(key), nil, nil)
	if err != nil {
		return outcome{}, err
	}
	if a.Status == http.StatusNotFound {
		return outcome{ok: true, seen: []int{0}}, nil
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(a.Body)))
	if err != nil || a.Status != http.StatusOK || len(a.Body) != len(body(n)) {
		return outcome{}, fmt.Errorf("%d, %d bytes: %.100s", a.Status, len(a.Body), a.Body)
	}
	sum := md5.Sum(a.Body)
	if tag := strings.Trim(a.Header.Get("ETag"), `"`); tag != hex.EncodeToString(sum[:]) {
		return outcome{}, fmt.Errorf("the entity tag %s is not that of the body", tag)
	}
	return outcome{ok: true, seen: []int{n}}, nil
}
