package intercept

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// openTerminal returns both ends of a new pseudo-terminal.
func openTerminal(t *testing.T) (keyboard, screen *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("SKIPPED: no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { _ = keyboard.Close() })
	if err := unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if screen, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = screen.Close() })
	return keyboard, screen
}

// testTerminal has a tool that reads and writes a terminal, and gets Ctrl-C from it: once.
func testTerminal(t *testing.T, w *world) {
	keyboard, screen := openTerminal(t)
	cmd, tmp := w.command(t, tool(t, "signals")...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = screen, screen, screen
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	// With the last of the tool's ends closed, reading ends too.
	if err := screen.Close(); err != nil {
		t.Fatal(err)
	}
	shown := bufio.NewScanner(keyboard)
	var text []string
	until := func(want string) {
		t.Helper()
		for shown.Scan() {
			text = append(text, shown.Text())
			if strings.Contains(shown.Text(), want) {
				return
			}
		}
		t.Fatalf("no %q on the terminal: %q, %v", want, text, shown.Err())
	}
	press := func(keys string) {
		t.Helper()
		if _, err := keyboard.WriteString(keys); err != nil {
			t.Fatal(err)
		}
	}
	until("terminal")
	until("ready")
	press("one\n")
	until("read <one>")
	press("\x03")
	until("got interrupt")
	press("two\n")
	until("read <two>")
	press("\x04")
	if _ = cmd.Wait(); cmd.ProcessState.ExitCode() != 9 {
		t.Errorf("%v", cmd.ProcessState)
	}
	if n := strings.Count(strings.Join(text, "\n"), "got interrupt"); n != 1 {
		t.Errorf("interrupted %d times: %q", n, text)
	}
	empty(t, tmp)
}
