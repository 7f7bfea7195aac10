package sandbox

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
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
	case "send":
		for _, to := range args[1:] {
			c, err := net.Dial("udp", to)
			if err == nil {
				_, err = io.WriteString(c, "hello")
			}
			say(to, err)
		}
	case "network":
		network()
	case "eat":
		eat(args[1])
	case "eat-by-child":
		c := exec.Command("/proc/self/exe", "probe", "eat", args[1])
		c.Stdout = os.Stdout
		_ = c.Run()
		_ = unix.Pause()
	case "fill":
		fill(args[1])
	case "bomb":
		bomb()
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

// eat uses megabytes of memory, says so and waits.
func eat(megabytes string) {
	n, _ := strconv.Atoi(megabytes)
	b, err := unix.Mmap(-1, 0, n<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		say("eat", err)
		return
	}
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1
	}
	say("eat", nil)
	_ = unix.Pause()
	fmt.Println(len(b))
}

// fill writes megabytes to /tmp, says how that went and waits.
func fill(megabytes string) {
	n, _ := strconv.Atoi(megabytes)
	f, err := os.Create("/tmp/big")
	for range n {
		if err != nil {
			break
		}
		_, err = f.Write(make([]byte, 1<<20))
	}
	say("fill", err)
	_ = unix.Pause()
}

// bomb starts processes until there can be no more, and says how many that were.
func bomb() {
	for n := 0; ; n++ {
		pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
		if errno != 0 {
			fmt.Printf("bomb: %d, then %v\n", n, errno)
			break
		}
		if pid == 0 {
			for {
				_, _, _ = unix.RawSyscall(unix.SYS_PPOLL, 0, 0, 0)
			}
		}
	}
	_ = unix.Pause()
}

// network says what the network looks like from inside.
func network() {
	b, _ := os.ReadFile("/etc/resolv.conf")
	fmt.Println("resolv.conf: " + strings.TrimSpace(string(b)))
	interfaces, _ := net.Interfaces()
	var names []string
	for _, i := range interfaces {
		names = append(names, i.Name)
	}
	slices.Sort(names)
	fmt.Println("interfaces: " + strings.Join(names, " "))
	tunnel, err := net.InterfaceByName(tunnelName)
	if err != nil {
		say("mtu", err)
		return
	}
	fmt.Println("mtu:", tunnel.MTU)
	say("change the device", setUpTunnel(uint32(tunnel.Index)))
	_, err = os.Open(tunnelPath)
	say("open the device", err)
}
