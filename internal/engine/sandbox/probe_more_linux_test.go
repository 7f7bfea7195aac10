package sandbox

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

// probeMore is the rest of probe.
func probeMore(args []string) int {
	switch args[0] {
	case "wait":
		// It says that it waits, is told to go on over its first file, and prints files.
		say("waiting", nil)
		_, err := bufio.NewReader(os.NewFile(3, "told")).ReadString('\n')
		if err != nil {
			say("told", err)
			return 1
		}
		for _, path := range args[1:] {
			b, err := os.ReadFile(path)
			if err != nil {
				say(path, err)
				continue
			}
			fmt.Println(path + ": " + strings.ReplaceAll(string(b), "\n", "|"))
		}
	case "listen":
		l, err := net.Listen("tcp4", args[1])
		say("listen", err)
		if err != nil {
			return 1
		}
		c, err := l.Accept()
		if err != nil {
			return 1
		}
		_, _ = io.WriteString(c, "from inside")
		c.Close()
		_ = unix.Pause()
	case "signals":
		for s := unix.Signal(1); s <= 64; s++ {
			_ = unix.Kill(1, s)
		}
		fmt.Println("signals: survived")
	case "spinning":
		// The second one loses its parent to the first process.
		c := exec.Command("/proc/self/exe", "probe", "orphan-spin")
		c.Stdout = os.Stdout
		_ = c.Run()
		spin()
	case "orphan-spin":
		c := exec.Command("/proc/self/exe", "probe", "spin")
		c.Stdout = os.Stdout
		_ = c.Start()
	case "spin":
		spin()
	default:
		fmt.Println("what: " + args[0])
		return 2
	}
	return 0
}

func spin() {
	fmt.Println("spin: ready")
	for n := uint64(0); ; n++ {
		if n == 1<<63 {
			return
		}
	}
}
