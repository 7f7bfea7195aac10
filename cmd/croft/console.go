package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"croft/internal/control"
)

// console is what commands write to.
type console struct {
	out, err io.Writer
	// colour says that out is a terminal whose person wants colours.
	colour bool
}

func newConsole(out, err *os.File) console {
	info, e := out.Stat()
	return console{out, err, e == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

func (c console) say(format string, args ...any) { fmt.Fprintf(c.out, format+"\n", args...) }

// note tells a person something that is not the command's result.
func (c console) note(format string, args ...any) { fmt.Fprintf(c.err, format+"\n", args...) }

// Escape sequences of terminals.
const (
	dim   = "\x1b[2m"
	red   = "\x1b[31m"
	plain = "\x1b[0m"
)

func (c console) paint(how, text string) string {
	if !c.colour || text == "" {
		return text
	}
	return how + text + plain
}

// log prints a function's log line. On a terminal what Lambda writes around each invocation steps back behind what the function prints,
// and errors stand out.
func (c console) log(l control.LogLine) error {
	text := strings.TrimRight(l.Text, "\n\t ")
	if c.colour {
		text = strings.ReplaceAll(text, "\t", "  ")
	}
	switch {
	case isError(text):
		text = c.paint(red, text)
	case isPlatform(text):
		text = c.paint(dim, text)
	}
	_, err := fmt.Fprintf(c.out, "%s  %s\n", c.paint(dim, l.Time.Local().Format("15:04:05.000")+" "+l.Function), text)
	return err
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
