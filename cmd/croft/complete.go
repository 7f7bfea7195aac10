package main

import (
	"cmp"
	"context"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"croft/internal/app"
	"croft/internal/clock"
	"croft/internal/control"
)

// completeWord is the command that shells call for completions; people do not.
const completeWord = "__complete"

// askTime bounds how long a completion waits for the cloud: a person is typing.
const askTime = 300 * time.Millisecond

// completer finds what may stand at the end of a command line. The scripts of croft completion know its answers: a line for each candidate, with
// its description after a tab; ":files" where the shell is to offer files; ":command N" where another command begins at word N.
type completer struct {
	shell string
	// names asks the cloud at an endpoint; its error means that there are none.
	names func(endpoint string) (control.NamesReport, error)
	// endpoint is where the command line says that the cloud is.
	endpoint string
	out      []string
}

// complete answers for words: what stands after "croft", the last being the word to be completed.
func complete(ctx context.Context, root *kong.Node, shell string, words []string) []string {
	c := &completer{shell: shell, endpoint: cmp.Or(os.Getenv("CROFT_ENDPOINT"), app.DefaultListen), names: func(endpoint string) (control.NamesReport, error) {
		endpoint, err := control.ParseEndpoint(endpoint)
		if err != nil {
			return control.NamesReport{}, err
		}
		ctx, cancel := clock.WithTimeout(ctx, clock.Real(), askTime)
		defer cancel()
		return control.NewClient(endpoint).Names(ctx)
	}}
	return c.run(root, words)
}

func (c *completer) run(root *kong.Node, words []string) []string {
	words, joined := c.join(words)
	last := words[len(words)-1]
	node, index := root, 0
	var flag *kong.Flag // whose value comes next
	for i, w := range words[:len(words)-1] {
		switch {
		case flag != nil:
			c.note(flag, w)
			flag = nil
		case passesOn(node) && (w == "--" || !strings.HasPrefix(w, "-")):
			if w == "--" {
				i++
			}
			return []string{":command " + strconv.Itoa(i+1+joined)}
		case strings.HasPrefix(w, "-") && w != "-":
			name, value, has := strings.Cut(w, "=")
			f := findFlag(node, name)
			if f != nil && has {
				c.note(f, value)
			} else if f != nil && !f.IsBool() {
				flag = f
			}
		case subcommand(node, w) != nil:
			node, index = subcommand(node, w), 0
		default:
			index++
		}
	}
	switch name, value, has := strings.Cut(last, "="); {
	case flag != nil:
		c.values(flag.Value, "", last)
	case has && strings.HasPrefix(last, "-"):
		if f := findFlag(node, name); f != nil && c.shell == "bash" {
			c.values(f.Value, "", value) // to bash the part after = is a word of its own
		} else if f != nil {
			c.values(f.Value, name+"=", value)
		}
	case passesOn(node) && !strings.HasPrefix(last, "-"):
		return []string{":command " + strconv.Itoa(len(words)+joined)}
	case strings.HasPrefix(last, "-"):
		c.flags(node, last)
	case len(node.Children) > 0 && index == 0:
		for _, n := range node.Children {
			if !n.Hidden {
				c.offer(n.Name, n.Help, last)
			}
		}
	case len(node.Positional) > 0:
		p := node.Positional[min(index, len(node.Positional)-1)]
		if index < len(node.Positional) || p.IsCumulative() {
			c.values(p, "", last)
		}
	}
	return c.out
}

// join puts together what bash takes apart at =, and tells how many words that took away.
func (c *completer) join(words []string) (out []string, fewer int) {
	for i, w := range words {
		if n := len(out) - 1; c.shell == "bash" && n >= 0 && strings.HasPrefix(out[n], "--") && (w == "=" || words[i-1] == "=" && strings.HasSuffix(out[n], "=")) {
			out[n] += w
			fewer++
			continue
		}
		out = append(out, w)
	}
	if len(out) == 0 {
		out = []string{""}
	}
	return out, fewer
}

func (c *completer) note(f *kong.Flag, value string) {
	if f.Name == "endpoint" {
		c.endpoint = value
	}
}

// passesOn reports whether what follows belongs to another program.
func passesOn(n *kong.Node) bool {
	return slices.ContainsFunc(n.Positional, func(p *kong.Positional) bool { return p.PassthroughMode != kong.PassThroughModeNone })
}

func subcommand(n *kong.Node, name string) *kong.Node {
	for _, c := range n.Children {
		if c.Name == name {
			return c
		}
	}
	return nil
}

func findFlag(n *kong.Node, name string) *kong.Flag {
	for ; n != nil; n = n.Parent {
		for _, f := range n.Flags {
			if "--"+f.Name == name || f.Short != 0 && "-"+string(f.Short) == name {
				return f
			}
		}
	}
	return nil
}

func (c *completer) flags(n *kong.Node, prefix string) {
	for ; n != nil; n = n.Parent {
		for _, f := range n.Flags {
			if !f.Hidden {
				c.offer("--"+f.Name, f.Help, prefix)
			}
		}
	}
}

// values offers what a flag or argument may be; before stands in front of each.
func (c *completer) values(v *kong.Value, before, prefix string) {
	switch {
	case v.Enum != "":
		for _, e := range v.EnumSlice() {
			c.offer(before+e, "", before+prefix)
		}
		return
	case v.Tag == nil:
		return
	}
	switch v.Tag.Get("predict") {
	case "file":
		c.out = append(c.out, ":files")
	case "function":
		for _, n := range c.known().Functions {
			c.offer(before+n, "", before+prefix)
		}
	case "stack":
		for _, n := range c.known().Stacks {
			c.offer(before+n, "", before+prefix)
		}
	}
}

func (c *completer) known() control.NamesReport {
	names, err := c.names(c.endpoint)
	if err != nil {
		return control.NamesReport{} // the person types; nothing must be said now
	}
	return names
}

func (c *completer) offer(word, help, prefix string) {
	if strings.HasPrefix(word, prefix) {
		help, _, _ = strings.Cut(help, "\n")
		c.out = append(c.out, strings.TrimSuffix(word+"\t"+help, "\t"))
	}
}
