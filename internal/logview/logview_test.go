package logview

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"croft/internal/clock"
	"croft/internal/control"
)

func at(ms int) time.Time {
	return time.Date(2026, 1, 2, 3, 4, 5, ms*int(time.Millisecond), time.UTC)
}

func printed(t testing.TB, style Style, lines ...control.LogLine) string {
	t.Helper()
	var out bytes.Buffer
	p := NewPrinter(&out, style)
	for _, l := range lines {
		if err := p.Print(l); err != nil {
			t.Fatal(err)
		}
	}
	return out.String()
}

func TestPrint(t *testing.T) {
	for _, c := range []struct{ text, file, terminal string }{
		{"hello\n", "hello\n", "hello\n"},
		{"END RequestId: 1\t\n", "END RequestId: 1\n", dim + "END RequestId: 1" + plain + "\n"},
		{"REPORT RequestId: 1\tDuration: 1 ms\t", "REPORT RequestId: 1\tDuration: 1 ms\n", dim + "REPORT RequestId: 1  Duration: 1 ms" + plain + "\n"},
		{"[ERROR] KeyError: 'x'\nTraceback", "[ERROR] KeyError: 'x'\n" + indent + "Traceback\n",
			red + "[ERROR] KeyError: 'x'" + plain + "\n" + indent + red + "Traceback" + plain + "\n"},
		{"a\nb\n\nc", "a\n" + indent + "b\n" + indent + "\n" + indent + "c\n", "a\n" + indent + "b\n" + indent + "\n" + indent + "c\n"},
		{`{"level":"error", "text": "Task timed out after it"}`, "{\"level\":\"error\", \"text\": \"Task timed out after it\"}\n", "{\"level\":\"error\", \"text\": \"Task timed out after it\"}\n"},
		{"\x1b]0;owned\x07\x1b[2J", "␛]0;owned␇␛[2J\n", "␛]0;owned␇␛[2J\n"},
	} {
		l := control.LogLine{Time: at(7), Function: "f", Text: c.text}
		if got := printed(t, Style{}, l); got != l.Time.Local().Format(timeFormat)+" f  "+c.file {
			t.Errorf("in a file: %q", got)
		}
		got := printed(t, Style{Colour: true}, l)
		if want := dim + l.Time.Local().Format(timeFormat) + plain + " " + colourOf("f") + "f" + plain + "  " + c.terminal; got != want {
			t.Errorf("on a terminal:\n%q, want\n%q", got, want)
		}
	}
}

func TestFilter(t *testing.T) {
	lines := []control.LogLine{{Text: "one order"}, {Text: "two"}, {Text: "three orders"}}
	if got := printed(t, Style{Filter: "order"}, lines...); strings.Count(got, "\n") != 2 || strings.Contains(got, "two") {
		t.Errorf("%q", got)
	}
}

func TestNamesHaveTheirColours(t *testing.T) {
	seen := map[string]bool{}
	for _, name := range []string{"CreateOrder", "ShipOrder", "a", "b", "c", "d", "e", "f", "g", "h"} {
		if colourOf(name) != colourOf(name) {
			t.Error("not stable")
		}
		seen[colourOf(name)] = true
	}
	if len(seen) < 4 {
		t.Errorf("%d colours for ten names", len(seen))
	}
	if colourOf("CreateOrder") != "\x1b[36m" && !slices.Contains(func() []string { p := palette(); return p[:] }(), colourOf("CreateOrder")) {
		t.Error("not of the palette")
	}
}

func FuzzHarmless(f *testing.F) {
	for _, s := range []string{"", "plain", "\x1b[31mred", "a\r\nb\tc", "\u009b2J", "\u202eevil", "\xff\xfe", "\x00\x7f", "日本語"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := Harmless(s)
		if !utf8.ValidString(got) || strings.ContainsFunc(got, acts) {
			t.Errorf("%q became %q", s, got)
		}
		if utf8.ValidString(s) && !strings.ContainsFunc(s, acts) && got != s {
			t.Errorf("%q was changed to %q", s, got)
		}
		if Harmless(got) != got {
			t.Errorf("%q is not stable", got)
		}
	})
}

// merging is a Merge under way.
type merging struct {
	in    chan control.LogLine
	shown chan string
	done  chan error
	clock *clock.Manual
}

func merge(ctx context.Context) *merging {
	m := &merging{make(chan control.LogLine), make(chan string, 100), make(chan error, 1), clock.NewManual(at(0))}
	go func() {
		m.done <- Merge(ctx, m.clock, m.in, func(l control.LogLine) error {
			m.shown <- l.Text
			if l.Text == "broken" {
				return errors.New("broken")
			}
			return nil
		})
	}()
	return m
}

func (m *merging) send(ms int, text string) { m.in <- control.LogLine{Time: at(ms), Text: text} }

func (m *merging) expect(t *testing.T, want ...string) {
	t.Helper()
	for _, w := range want {
		if got := <-m.shown; got != w {
			t.Errorf("shown %q, want %q", got, w)
		}
	}
}

func TestMergeOrdersWhatComesLate(t *testing.T) {
	m := merge(t.Context())
	m.send(20, "second")
	m.clock.BlockUntil(1)
	m.send(20, "third")
	m.send(10, "first")
	m.send(200, "fourth")
	m.send(1000, "fifth") // when it has been taken, so have all before it
	m.clock.Advance(Window)
	m.expect(t, "first", "second", "third", "fourth")
	close(m.in)
	m.expect(t, "fifth")
	m = merge(t.Context())
	for _, l := range []string{"in time", "too late"} {
		m.send(30-len(l), l)
		m.clock.BlockUntil(1)
		m.clock.Advance(Window)
		m.expect(t, l)
	}
	m.send(90, "b")
	m.send(80, "a")
	close(m.in)
	if err := <-m.done; err != nil {
		t.Error(err)
	}
	m.expect(t, "a", "b")
}

func TestMergeEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	m := merge(ctx)
	m.send(1, "held")
	cancel()
	if err := <-m.done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	m.expect(t, "held")
	m = merge(t.Context())
	m.send(1, "broken")
	m.clock.BlockUntil(1)
	m.clock.Advance(Window)
	if err := <-m.done; err == nil {
		t.Error("the writer's error is lost")
	}
	m = merge(t.Context())
	for i := range maxHeld + 1 {
		m.send(i, "many")
	}
	m.expect(t, "many") // without any time passing
}
