package pages

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// notes are the hand-written part of a page.
type notes struct {
	// title is the first line, intro what follows it.
	title, intro string
	sections     []section
	// operations are the notes of the table in the section Operations, by operation.
	operations map[string]string
}

type section struct{ title, text string }

// Sections of the notes that the generated page has too; their text stands below what is generated.
const (
	operationsTitle = "Operations"
	resourcesTitle  = "CloudFormation"
	// refusedTitle is the section that names parameters which are refused; it may not name one that is real.
	refusedTitle = "Refused by name"
)

// parseNotes reads Markdown that begins with "# Title". Rows of the table in its section Operations begin with names of operations,
// separated by commas.
func parseNotes(text string) (*notes, error) {
	title, rest, ok := strings.Cut(text, "\n")
	if !ok || !strings.HasPrefix(title, "# ") {
		return nil, errors.New("the notes do not begin with a title")
	}
	n := &notes{title: strings.TrimPrefix(title, "# "), operations: map[string]string{}}
	parts := regexp.MustCompile(`(?m)^## `).Split(rest, -1)
	n.intro = strings.TrimSpace(parts[0])
	for _, part := range parts[1:] {
		title, body, _ := strings.Cut(part, "\n")
		n.sections = append(n.sections, section{strings.TrimSpace(title), strings.TrimSpace(body)})
	}
	for i := range n.sections {
		if n.sections[i].title == operationsTitle {
			if err := n.takeTable(&n.sections[i]); err != nil {
				return nil, err
			}
		}
	}
	return n, nil
}

// takeTable moves the rows of the table in s to n.operations.
func (n *notes) takeTable(s *section) error {
	var rest []string
	for line := range strings.Lines(s.text) {
		line = strings.TrimRight(line, "\n")
		if !strings.HasPrefix(line, "|") {
			rest = append(rest, line)
			continue
		}
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		if cells[0] == "operation" || strings.HasPrefix(cells[0], "---") {
			continue
		}
		note := strings.Trim(strings.Join(cells[1:], " | "), "| ")
		for name := range strings.SplitSeq(strings.Trim(cells[0], "| "), ",") {
			name = strings.TrimSpace(name)
			if _, twice := n.operations[name]; twice {
				return fmt.Errorf("two notes about %s", name)
			}
			n.operations[name] = note
		}
	}
	s.text = strings.TrimSpace(strings.Join(rest, "\n"))
	return nil
}

// section returns the text of the section of that title, which may not be there.
func (n *notes) section(title string) string {
	for _, s := range n.sections {
		if s.title == title {
			return s.text
		}
	}
	return ""
}

// Classes of optional parameters, as test/operations writes them.
const (
	ClassReal    = "real"
	ClassRefused = "refused"
	ClassNone    = "without-effect"
	// ClassAsAWS are parameters that AWS itself refuses where they are tried: one that only FIFO queues have, for example.
	ClassAsAWS = "as-aws"
)

// members says, by class, which optional parameters of an operation are of it.
type members map[string][]string

// parseMembers reads lines "Operation Member class …", in the order in which they stand.
func parseMembers(text string) (map[string]members, error) {
	out := map[string]members{}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) == 0 || strings.HasPrefix(line, "#") {
			continue
		}
		if len(f) < 3 || !slices.Contains([]string{ClassReal, ClassRefused, ClassNone, ClassAsAWS}, f[2]) {
			return nil, fmt.Errorf("the list of members has the line %q", strings.TrimSpace(line))
		}
		if out[f[0]] == nil {
			out[f[0]] = members{}
		}
		out[f[0]][f[2]] = append(out[f[0]][f[2]], f[1])
	}
	return out, nil
}
