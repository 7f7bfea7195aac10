package main

import (
	"context"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"croft/internal/doctor"
	"croft/internal/logview"
)

type doctorCmd struct {
	JSON bool   `name:"json" help:"Print a JSON array instead."`
	Data string `help:"Data folder to look at. Default: that of croft up." placeholder:"DIR" predict:"file"`
}

func (d *doctorCmd) Help() string {
	return `Looks at interpreters, isolation, limits, folders, the cloud's address, the clock, this shell's AWS variables and, when CROFT_STORE is set, the database.
The exit code is 1 when something is missing without which croft or its functions do not run.`
}

// Run prints what works here and what to do about the rest.
func (d *doctorCmd) Run(ctx context.Context, c console, g *cli) error {
	data := d.Data
	if data == "" {
		dir, err := dataDir()
		if err != nil {
			return err
		}
		data = dir
	}
	found := doctor.Examine(ctx, doctor.Host(g.Endpoint, data))
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var err error
	if d.JSON {
		enc := json.NewEncoder(c.out)
		enc.SetIndent("", "  ")
		err = enc.Encode(found)
	} else {
		c.findings(found)
	}
	if err == nil && !doctor.Fit(found) {
		err = exitError(1)
	}
	return err
}

// doctorColumns is the width of what is found and why it matters; with the columns before it that makes 80. What to do is not wrapped: it
// contains commands to copy.
const doctorColumns = 58

func (c console) findings(found []doctor.Finding) {
	area, said := "", map[string]bool{}
	for _, f := range found {
		if f.Area == area {
			f.Area = ""
		} else {
			area = f.Area
		}
		colour := map[doctor.Status]string{doctor.OK: green, doctor.Note: dim, doctor.Warning: amber, doctor.Missing: red}[f.Status]
		for i, line := range wrap(logview.Harmless(f.Found), doctorColumns) {
			if i == 0 {
				c.say("%-12s %s  %s", f.Area, c.paint(colour, pad(string(f.Status), 7)), line)
			} else {
				c.say("%-20s  %s", "", line)
			}
		}
		if f.Why != "" && !said[f.Why] { // interpreters that lack the same have the same reason
			for _, line := range wrap(f.Why, doctorColumns) {
				c.say("%-20s  %s", "", c.paint(dim, line))
			}
		}
		said[f.Why] = true
		if f.Next != "" {
			c.say("%-20s  → %s", "", f.Next)
		}
	}
	if doctor.Fit(found) {
		c.say("\nnothing is missing")
	} else {
		c.say("\n%s", c.paint(red, "something is missing; the lines with → say what to do"))
	}
}

func pad(text string, width int) string {
	for len(text) < width {
		text += " "
	}
	return text
}

// wrap breaks text between words into lines of at most width characters; a longer word has a line of its own.
func wrap(text string, width int) []string {
	var lines []string
	line, long := "", 0
	for _, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		if line != "" && long+1+n > width {
			lines, line, long = append(lines, line), "", 0
		}
		if line != "" {
			line, long = line+" ", long+1
		}
		line, long = line+word, long+n
	}
	return append(lines, line)
}
