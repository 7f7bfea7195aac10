package main

import (
	"fmt"
	"io"
	"os"
	"sync"

	"croft/internal/logview"
)

// console is what commands write to.
type console struct {
	out, err io.Writer
	// terminal says that out is one: what acts on terminals must not get there.
	terminal bool
	// colour says that out is to be painted.
	colour bool
}

func newConsole(out, err *os.File) console {
	info, e := out.Stat()
	terminal := e == nil && info.Mode()&os.ModeCharDevice != 0
	return console{out: &checked{w: out}, err: err, terminal: terminal, colour: terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// checked remembers that something could not be written: a result that nobody got is no success.
type checked struct {
	w   io.Writer
	mu  sync.Mutex
	err error
}

func (c *checked) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	if err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.err = err
	}
	return n, err
}

// lost returns why something that was said did not arrive, or nil.
func (c console) lost() error {
	out, ok := c.out.(*checked)
	if !ok {
		return nil
	}
	out.mu.Lock()
	defer out.mu.Unlock()
	return out.err
}

// coloured applies the flag --color: auto, always or never.
func (c console) coloured(when string) console {
	switch when {
	case "always":
		c.colour = true
	case "never":
		c.colour = false
	}
	return c
}

func (c console) say(format string, args ...any) { fmt.Fprintf(c.out, format+"\n", args...) }

// note tells a person something that is not the command's result. Names of files, and what templates say, may come from anywhere.
func (c console) note(format string, args ...any) {
	fmt.Fprintln(c.err, logview.Harmless(fmt.Sprintf(format, args...)))
}

// Escape sequences of terminals.
const (
	bold  = "\x1b[1m"
	dim   = "\x1b[2m"
	red   = "\x1b[31m"
	green = "\x1b[32m"
	amber = "\x1b[33m"
	plain = "\x1b[0m"
)

func (c console) paint(how, text string) string {
	if !c.colour || text == "" {
		return text
	}
	return how + text + plain
}

// safe returns what a function answered as it may be shown: as it is, but for what would act on a terminal.
func (c console) safe(text string) string {
	if !c.terminal {
		return text
	}
	return logview.Harmless(text)
}

// logs returns what prints functions' log lines; with a filter, those that contain it.
func (c console) logs(filter string) *logview.Printer {
	return logview.NewPrinter(c.out, logview.Style{Colour: c.colour, Filter: filter})
}
