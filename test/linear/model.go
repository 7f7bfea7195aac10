// Package linear records what concurrent clients of a real croft see, and has a model checker find an order of the calls, each between its
// beginning and its end, in which one client after the other would have seen the same.
package linear

import (
	"fmt"
	"slices"
	"strings"

	"github.com/anishathalye/porcupine"
)

// keys is how many registers a history has: few, so that clients meet.
const keys = 3

// register is the state of the model of items and objects: a number for each key, 0 for none.
type register [keys]int

// write is what a call does to one key: it sets it (to 0: deletes it) or adds to it.
type write struct {
	key, value int
	add        bool
}

// check is what a call demands of one key before anything is written.
type check struct{ key, want int }

// call is one call of a history of items or objects. All of its checks and writes are one step.
type call struct {
	checks []check
	writes []write
	// reads are the keys whose values the answer tells: those after the writes, or with before those that the writes replaced.
	reads  []int
	before bool
}

// outcome is what the client was told.
type outcome struct {
	// ok is false when the checks are said to have failed.
	ok bool
	// conflict says that the call was refused because of another one at the same time. It must then have done nothing.
	conflict bool
	seen     []int
}

func (c call) step(s register, o outcome) (bool, register) {
	if o.conflict {
		return true, s
	}
	pass := !slices.ContainsFunc(c.checks, func(k check) bool { return s[k.key] != k.want })
	if pass != o.ok {
		return false, s
	}
	if !pass {
		return true, s
	}
	next := s
	for _, w := range c.writes {
		if w.add {
			next[w.key] += w.value
		} else {
			next[w.key] = w.value
		}
	}
	from := next
	if c.before {
		from = s
	}
	for i, k := range c.reads {
		if from[k] != o.seen[i] {
			return false, s
		}
	}
	return true, next
}

// registers is the model of DynamoDB's items, transactions among them, and of S3's objects.
func registers() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return register{} },
		Step: func(state, input, output any) (bool, any) {
			return input.(call).step(state.(register), output.(outcome))
		},
		DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v -> %+v", input, output) },
	}
}

type verb int

const (
	send verb = iota
	receive
	release // ChangeMessageVisibility to zero
	remove
	// drained stands at the end of a history: somebody has received and deleted until nothing came any more.
	drained
)

// messageCall is one successful call about one message. A receive that finds nothing promises nothing, and is not part of a history.
type messageCall struct {
	verb    verb
	group   string
	message string
	// sequence is the sequence number that a FIFO queue gave to a sent message, in decimal.
	sequence string
}

const (
	unsent = iota
	visible
	inFlight
	removed
)

// standard is the model of a standard queue, of each message by itself: it is received while it is visible, and by one receiver. The visibility
// timeout is longer than the history.
func standard() porcupine.Model {
	moves := map[verb][2]int{
		send: {unsent, visible}, receive: {visible, inFlight}, release: {inFlight, visible}, remove: {inFlight, removed}, drained: {removed, removed},
	}
	return porcupine.Model{
		Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
			return partition(history, func(c messageCall) string { return c.message })
		},
		Init: func() any { return unsent },
		Step: func(state, input, _ any) (bool, any) {
			move := moves[input.(messageCall).verb]
			return state.(int) == move[0], move[1]
		},
		DescribeOperation: describe,
	}
}

// line is the state of a group of a FIFO queue: its messages in order, each followed by a space, and whether the first is in flight, which
// holds back all others. Last is the sequence number of the message sent last.
type line struct {
	messages string
	locked   bool
	last     string
}

// fifo is the model of a FIFO queue, of each group by itself, received one message at a time. Sequence numbers grow in the order of the messages, which
// also tells the checker the order of messages that were sent at the same time.
func fifo() porcupine.Model {
	return porcupine.Model{
		Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
			return partition(history, func(c messageCall) string { return c.group })
		},
		Init: func() any { return line{} },
		Step: func(state, input, _ any) (bool, any) {
			s, c := state.(line), input.(messageCall)
			first, rest, _ := strings.Cut(s.messages, " ")
			switch c.verb {
			case send:
				// Numbers have one length, so that their texts compare as they do.
				return c.sequence > s.last, line{s.messages + c.message + " ", s.locked, c.sequence}
			case receive:
				return !s.locked && first == c.message, line{s.messages, true, s.last}
			case release:
				return s.locked && first == c.message, line{s.messages, false, s.last}
			case remove:
				return s.locked && first == c.message, line{rest, false, s.last}
			default:
				return s.messages == "", s
			}
		},
		DescribeOperation: describe,
	}
}

func describe(input, _ any) string { return fmt.Sprintf("%+v", input) }

func partition(history []porcupine.Operation, of func(messageCall) string) [][]porcupine.Operation {
	at := map[string]int{}
	var out [][]porcupine.Operation
	for _, op := range history {
		name := of(op.Input.(messageCall))
		i, ok := at[name]
		if !ok {
			i, out = len(out), append(out, nil)
			at[name] = i
		}
		out[i] = append(out[i], op)
	}
	return out
}
