package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"croft/internal/clock"
)

const (
	burst        = 200
	burstPause   = 3 * time.Second // more than all starts of a burst take together
	sleepHandler = "import time\ndef handler(event, context):\n    time.sleep(0.1)\n    return event\n"
)

// ahead measures the first call of a function whose environment was initialised after its deployment, against a warm one.
func (b *bench) ahead(ctx context.Context, _ int) (err error) {
	s, c, err := b.lambdaCloud(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	f := function{"first", "python3.11", "index.handler", map[string][]byte{"index.py": []byte(echoHandler)}, 256}
	invoke := func() error { return c.invoke(ctx, f.name, []byte("{}")) }
	first, err := b.cold(ctx, c, f)
	if err != nil {
		return err
	}
	// The same pauses, without a change: what a call costs that comes out of nowhere.
	warm, err := b.timed(colds, func(int) error { return clock.Sleep(ctx, b.clock, coldPause) }, invoke)
	if err != nil {
		return err
	}
	close, err := b.timed(1000, nil, invoke)
	if err != nil {
		return err
	}
	fmt.Printf("\nFirst call of a function that was initialised ahead: %s; warm, after the same pause: %s; %.2fx (warm, one after another: %s)\n",
		spread(first), spread(warm), float64(p50(first))/float64(p50(warm)), spread(close))
	return nil
}

// bursts measures many calls at once of a function that sleeps for 100 ms, and what idle environments cost.
func (b *bench) bursts(ctx context.Context, _ int) (err error) {
	s, c, err := b.lambdaCloud(ctx, "--no-proactive-init")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	start, err := b.cold(ctx, c, function{"one", "python3.11", "index.handler", map[string][]byte{"index.py": []byte(echoHandler)}, 256})
	if err != nil {
		return err
	}
	if err := c.create(ctx, function{"sleep", "python3.11", "index.handler", map[string][]byte{"index.py": []byte(sleepHandler)}, 128}); err != nil {
		return err
	}
	run := func() (time.Duration, error) {
		begin := b.clock.Now()
		_, err := b.rate(burst, 1, func(int) error { return c.invoke(ctx, "sleep", []byte("{}")) })
		return b.clock.Now().Sub(begin), err
	}
	first, err := run()
	if err != nil {
		return err
	}
	limit := 100*time.Millisecond + time.Duration(1.5*burst*float64(p50(start))/float64(runtime.NumCPU()))
	fmt.Printf("\n%d calls at once of a function that sleeps 100 ms: %v; one start %v, limit %v\n", burst, first.Round(time.Millisecond), p50(start), limit.Round(time.Millisecond))
	// Calls that wait are served by environments which become free, and the starts that they asked for go on after the burst: without the pause the next one
	// meets them.
	for i := range 4 {
		what := "again at once, while environments still start"
		if i > 0 {
			what = "again, all environments warm"
			if err := clock.Sleep(ctx, b.clock, burstPause); err != nil {
				return err
			}
		}
		again, err := run()
		if err != nil {
			return err
		}
		fmt.Printf("%s: %v, %.2fx of 100 ms\n", what, again.Round(time.Millisecond), again.Seconds()/0.1)
	}
	if err := b.idleMemory(s); err != nil {
		return err
	}
	if err := c.renew(ctx, "one", colds+1); err != nil {
		return err
	}
	rate, err := b.rate(burst, 10_000/burst, func(int) error { return c.invoke(ctx, "one", []byte("{}")) })
	if err != nil {
		return err
	}
	fmt.Printf("10,000 requests over %d connections, from no environment: no error, %.0f/s\n", burst, rate)
	return nil
}

// idleMemory compares the server's processes, environments and all, with as many interpreters.
func (b *bench) idleMemory(s *server) error {
	sum, processes, err := proportional(s.cmd.Process.Pid)
	if err != nil {
		return err
	}
	own, _, err := proportionalOf(s.cmd.Process.Pid)
	if err != nil {
		return err
	}
	const lone = 10
	var peers []*peer
	var alone int64
	for range lone {
		p, err := startPeer(python(), "-c", "import boto3, json, sys\nprint('ready', flush=True)\nsys.stdin.read()")
		if err != nil {
			return err
		}
		peers = append(peers, p)
	}
	for _, p := range peers {
		n, _, err := proportionalOf(p.cmd.Process.Pid)
		if err != nil {
			return err
		}
		alone += n / lone
	}
	for _, p := range peers {
		if err := p.stop(); err != nil {
			return err
		}
	}
	each := (sum - own) / burst
	fmt.Printf("idle environments: %.1f MB each (%d processes below the server, %.0f MB in all, the server itself %.0f MB); a separate interpreter with the SDK %.1f MB: %.2fx\n",
		float64(each)/1e6, processes, float64(sum-own)/1e6, float64(own)/1e6, float64(alone)/1e6, float64(each)/float64(alone))
	return nil
}

// proportional returns the proportional memory of a process and all below it, in bytes, and how many they are.
func proportional(root int) (sum int64, n int, err error) {
	out, err := exec.Command("ps", "-e", "-o", "pid=,ppid=").Output()
	if err != nil {
		return 0, 0, err
	}
	children := map[int][]int{}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		pid, _ := strconv.Atoi(fields[0])
		parent, _ := strconv.Atoi(fields[1])
		children[parent] = append(children[parent], pid)
	}
	queue := []int{root}
	for len(queue) > 0 {
		pid := queue[0]
		queue = append(queue[1:], children[pid]...)
		pss, ok, err := proportionalOf(pid)
		if err != nil {
			return 0, 0, err
		}
		if ok {
			sum, n = sum+pss, n+1
		}
	}
	return sum, n, nil
}

func proportionalOf(pid int) (int64, bool, error) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "smaps_rollup"))
	if err != nil {
		return 0, false, nil // it has ended
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return kb << 10, true, err
		}
	}
	return 0, false, nil
}
