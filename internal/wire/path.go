package wire

import (
	"strconv"
	"strings"
)

// path is where in an input a walk stands. Steps are cheap to push; the text is made only for messages.
type path []step

// step is a member (name), a list element (index, from one) or a map's key (name, with index -1).
type step struct {
	name  string
	index int
}

const keyStep = -1

func (p *path) member(name string) { *p = append(*p, step{name: name}) }
func (p *path) element(i int)      { *p = append(*p, step{index: i + 1}) }
func (p *path) key(name string)    { *p = append(*p, step{name, keyStep}) }
func (p *path) pop()               { *p = (*p)[:len(*p)-1] }

// inside reports whether p ends in an element of a list or a map.
func (p path) inside() bool { return len(p) > 0 && p[len(p)-1].index != 0 }

// String returns the path as AWS writes it in messages: "tags.1.member.key".
func (p path) String() string {
	var b strings.Builder
	for i, s := range p {
		if i > 0 {
			b.WriteByte('.')
		}
		switch {
		case s.index == keyStep:
			b.WriteString(s.name + ".member")
		case s.index > 0:
			b.WriteString(strconv.Itoa(s.index) + ".member")
		default:
			b.WriteString(lowerFirst(s.name))
		}
	}
	return b.String()
}

func lowerFirst(s string) string {
	if s == "" || s[0] < 'A' || s[0] > 'Z' {
		return s
	}
	return string(s[0]+'a'-'A') + s[1:]
}
