package relay

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"croft/internal/clock"
)

// probe is a program of a function's. It prints a line for each thing that it tried.
func probe(args []string) {
	switch args[0] {
	case "connect":
		for _, to := range args[2:] {
			c, err := net.Dial(args[1], to)
			if err == nil {
				c.Close()
			}
			say(to, err)
		}
	case "udp":
		for _, to := range args[1:] {
			text, err := askUDP(to)
			say(to+text, err)
		}
	case "line":
		c, err := net.Dial("tcp", args[1])
		if err == nil {
			line, _ := bufio.NewReader(c).ReadString('\n')
			fmt.Print(line)
		}
		say("line", err)
	case "both-ways":
		n, _ := strconv.Atoi(args[2])
		say("both ways", bothWays(args[1], n))
	case "lookup":
		for _, name := range args[2:] {
			addrs, err := net.DefaultResolver.LookupNetIP(context.Background(), args[1], name)
			var texts []string
			for _, a := range addrs {
				texts = append(texts, a.Unmap().String())
			}
			say(strings.Join(append([]string{name}, texts...), " "), err)
		}
	case "txt":
		texts, err := net.LookupTXT(args[1])
		if len(texts) > 0 {
			fmt.Println(len(texts), texts[0])
		}
		say("txt", err)
	case "crowd":
		n, _ := strconv.Atoi(args[2])
		say("crowd", crowd(args[1], n))
	case "same-port":
		for range 3 {
			c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{Port: 20000}}).Dial("tcp", args[1])
			for range 5000 { // until the function's own kernel has done with the connection before
				if !errors.Is(err, unix.EADDRINUSE) {
					break
				}
				_ = clock.Sleep(context.Background(), clock.Real(), time.Millisecond)
				c, err = (&net.Dialer{LocalAddr: &net.TCPAddr{Port: 20000}}).Dial("tcp", args[1])
			}
			if err == nil {
				_, err = io.Copy(os.Stdout, c)
				c.Close()
			}
			say("same port", err)
		}
	case "hold", "reset":
		c, err := net.Dial("tcp", args[1])
		say(args[0], err)
		if err == nil && args[0] == "reset" {
			_, _ = c.Write([]byte("x"))
			abort(c)
			return
		}
		_, _ = io.Copy(io.Discard, os.Stdin)
	case "measure":
		measure(args[1], args[2], args[3])
	case "flood-syn", "flood-udp", "flood-dns":
		n, _ := strconv.Atoi(args[1])
		flood(args[0], n)
	case "pause":
		fmt.Println("started")
		_, _ = io.Copy(io.Discard, os.Stdin)
	}
}

// say prints the error number, or "done".
func say(name string, err error) {
	var errno syscall.Errno
	var failed *net.DNSError
	text := "done"
	switch {
	case errors.As(err, &errno):
		text = unix.ErrnoName(errno)
	case errors.As(err, &failed) && failed.IsNotFound:
		text = "not found"
	case err != nil:
		text = err.Error()
	}
	fmt.Println(name + ": " + text)
}

func askUDP(to string) (string, error) {
	c, err := net.Dial("udp", to)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if _, err := c.Write([]byte("hello")); err != nil {
		return "", err
	}
	b := make([]byte, 100)
	n, err := c.Read(b)
	return " " + string(b[:n]), err
}

// bothWays sends n bytes, ends its direction, and reads as many, which must be the same.
func bothWays(to string, n int) error {
	c, err := net.Dial("tcp", to)
	if err != nil {
		return err
	}
	defer c.Close()
	sent, got := sha256.New(), sha256.New()
	var failed error
	var up sync.WaitGroup
	up.Go(func() {
		b := make([]byte, 100_000)
		for left := n; left > 0 && failed == nil; left -= len(b) {
			b = b[:min(len(b), left)]
			for i := range b {
				b[i] = byte(left + i*i)
			}
			sent.Write(b)
			_, failed = c.Write(b)
		}
		_ = c.(*net.TCPConn).CloseWrite()
	})
	count, err := io.Copy(got, c)
	up.Wait()
	switch {
	case failed != nil:
		return failed
	case err != nil:
		return err
	case int(count) != n || string(sent.Sum(nil)) != string(got.Sum(nil)):
		return fmt.Errorf("got %d bytes of %d, or others", count, n)
	}
	return nil
}

// crowd has n connections at once, with ten round trips each.
func crowd(to string, n int) error {
	var all sync.WaitGroup
	failed := make(chan error, n)
	for range n {
		all.Go(func() {
			c, err := net.Dial("tcp", to)
			if err != nil {
				failed <- err
				return
			}
			defer c.Close()
			for range 10 {
				if _, err := c.Write([]byte("x")); err != nil {
					failed <- err
					return
				}
				if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	all.Wait()
	close(failed)
	return <-failed
}

// flood sends n of something, each to another destination or from another port, and waits until it is told to end.
func flood(kind string, n int) {
	for i := range n {
		to := &unix.SockaddrInet4{Port: 80, Addr: [4]byte{203, 0, byte(i >> 8), byte(i)}}
		kindOf, payload := unix.SOCK_DGRAM, []byte("x")
		switch kind {
		case "flood-syn":
			kindOf = unix.SOCK_STREAM
		case "flood-dns":
			to = &unix.SockaddrInet4{Port: dnsPort, Addr: [4]byte(gateway4().AsSlice())}
			payload = []byte("\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x04slow\x04test\x00\x00\x01\x00\x01")
		}
		fd, err := unix.Socket(unix.AF_INET, kindOf|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			say("socket", err)
			return
		}
		if kindOf == unix.SOCK_STREAM {
			_ = unix.Connect(fd, to) // it is in progress
		} else {
			_ = unix.Sendto(fd, payload, 0, to)
		}
		if i >= 512 { // the kernel goes on with the others
			continue
		}
		if kind != "flood-syn" {
			unix.Close(fd)
		}
	}
	fmt.Println("flooded")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// measure prints figures as benchmarks have them: value and unit.
func measure(echoes, sink, source string) {
	c := clock.Real()
	var connects, rounds []time.Duration
	for range 300 {
		at := c.Now()
		conn, err := net.Dial("tcp", echoes)
		if err != nil {
			say("connect", err)
			return
		}
		connects = append(connects, c.Now().Sub(at))
		conn.Close()
	}
	conn, err := net.Dial("tcp", echoes)
	if err != nil {
		say("connect", err)
		return
	}
	defer conn.Close()
	for b := make([]byte, 1); len(rounds) < 3000; {
		at := c.Now()
		_, _ = conn.Write(b)
		_, _ = io.ReadFull(conn, b)
		rounds = append(rounds, c.Now().Sub(at))
	}
	slices.Sort(connects)
	slices.Sort(rounds)
	fmt.Println(connects[len(connects)/2].Microseconds(), "us/connect-p50")
	fmt.Println(connects[len(connects)*95/100].Microseconds(), "us/connect-p95")
	fmt.Println(rounds[len(rounds)/2].Microseconds(), "us/round-trip-p50")
	for _, way := range []string{"up", "down"} {
		to := map[string]string{"up": sink, "down": source}[way]
		at := c.Now()
		conn, err := net.Dial("tcp", to)
		if err != nil {
			say(way, err)
			return
		}
		if way == "up" {
			for b, left := make([]byte, 1<<18), bulk; left > 0; left -= len(b) {
				_, _ = conn.Write(b)
			}
			_ = conn.(*net.TCPConn).CloseWrite()
		}
		_, _ = io.Copy(io.Discard, conn)
		conn.Close()
		fmt.Println(bulk/1_000_000*1000/int(c.Now().Sub(at).Milliseconds()), "MB/s-"+way)
	}
}

// bulk is how much measure moves each way.
const bulk = 512 << 20
