// Package logview shows functions' log lines to people: in the order of time, one colour for each function, and nothing in them that acts on the terminal.
package logview

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"strings"

	"croft/internal/control"
)

// Style is how lines look. Its zero value is for files and pipes.
type Style struct {
	// Colour paints for a terminal.
	Colour bool
	// Filter leaves out the lines that do not contain it; empty leaves out none.
	Filter string
}

// Escape sequences of terminals.
const (
	dim   = "\x1b[2m"
	red   = "\x1b[31m"
	plain = "\x1b[0m"
)

// palette are the colours of functions' names: the terminal's own, without red, which is for errors, and without black, white and grey.
func palette() [10]string {
	return [10]string{
		"\x1b[36m", "\x1b[32m", "\x1b[33m", "\x1b[34m", "\x1b[35m",
		"\x1b[96m", "\x1b[92m", "\x1b[93m", "\x1b[94m", "\x1b[95m",
	}
}

// timeFormat is the time of a line on the person's own clock.
const timeFormat = "15:04:05.000"

// indent stands before all lines of a message but its first: below its text, whatever the length of the function's name.
const indent = "              "

// Printer writes log lines. It is for one goroutine.
type Printer struct {
	out   io.Writer
	style Style
}

// NewPrinter returns a printer to out.
func NewPrinter(out io.Writer, style Style) *Printer { return &Printer{out: out, style: style} }

// Print writes one line, in one Write, unless the filter leaves it out. Its error is out's.
func (p *Printer) Print(l control.LogLine) error {
	if !strings.Contains(l.Text, p.style.Filter) {
		return nil
	}
	text := strings.TrimRight(l.Text, "\r\n\t ")
	paint := ""
	switch {
	case json.Valid([]byte(text)):
		// It is for programs, and stays as it is.
	case isError(text):
		paint = red
	case isPlatform(text):
		paint = dim
	}
	lines := strings.Split(Harmless(text), "\n")
	for i, line := range lines {
		if p.style.Colour {
			line = strings.ReplaceAll(line, "\t", "  ")
		}
		lines[i] = p.paint(paint, line)
	}
	name := Harmless(l.Function)
	_, err := fmt.Fprintf(p.out, "%s %s  %s\n", p.paint(dim, l.Time.Local().Format(timeFormat)), p.paint(colourOf(name), name), strings.Join(lines, "\n"+indent))
	return err
}

func (p *Printer) paint(how, text string) string {
	if !p.style.Colour || how == "" || text == "" {
		return text
	}
	return how + text + plain
}

// colourOf gives a name the same colour wherever and whenever it is shown.
func colourOf(name string) string {
	h := fnv.New32a()
	_, _ = io.WriteString(h, name) // a hash takes everything
	colours := palette()
	return colours[h.Sum32()%uint32(len(colours))]
}

func isPlatform(line string) bool {
	for _, p := range []string{"INIT_START ", "INIT_REPORT ", "START RequestId: ", "END RequestId: ", "REPORT RequestId: "} {
		if strings.HasPrefix(line, p) {
			return true
		}
	}
	return false
}

func isError(line string) bool {
	return strings.HasPrefix(line, "[ERROR]") || strings.Contains(line, " Task timed out after ") ||
		strings.HasPrefix(line, "RequestId: ") && strings.Contains(line, " Error: ")
}

// Harmless returns text with every character replaced that acts on a terminal, or on the order in which text is shown, instead of being shown:
// control characters but for newline and tab become their pictures (ESC becomes ␛) or, like marks of direction, their escapes.
func Harmless(text string) string {
	if !strings.ContainsFunc(text, acts) && strings.ToValidUTF8(text, "") == text {
		return text
	}
	var b strings.Builder
	for _, c := range text { // a byte that is not UTF-8 comes as U+FFFD
		switch {
		case !acts(c):
			b.WriteRune(c)
		case c < 0x20:
			b.WriteRune(0x2400 + c)
		case c == 0x7f:
			b.WriteRune(0x2421)
		default:
			fmt.Fprintf(&b, `\u%04x`, c)
		}
	}
	return b.String()
}

// acts reports whether a character does something else than being shown.
func acts(c rune) bool {
	switch {
	case c == '\n', c == '\t':
		return false
	case c < 0x20, c >= 0x7f && c < 0xa0:
		return true
	case c == 0x061c, c >= 0x200e && c <= 0x200f, c >= 0x2028 && c <= 0x202e, c >= 0x2066 && c <= 0x2069:
		return true
	}
	return false
}
