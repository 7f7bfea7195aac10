// Command bench measures croft as a client sees it, against a floor measured in the same run.
//
// The floor is the same client with the same request against a net/http server that answers the same bytes. Floor and subject
// take turns in rounds; what counts is the median over the rounds of the ratio within a round. Server CPU is that of the server
// process alone, from the scheduler's own accounts. The machine's load average is printed, since figures taken on a busy
// machine say little.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"

	"croft/internal/clock"
)

func main() {
	croft := flag.String("croft", "bin/croft", "the croft binary")
	rounds := flag.Int("rounds", 7, "rounds of floor and subject")
	floor := flag.String("floor", "", "serve the floor with the answer recorded in that file (used by bench itself)")
	only := flag.String("only", "", "one part alone: start, embed, reset, send, fsync, postgres, invoke, cold, ahead or burst")
	flag.Parse()
	if *floor != "" {
		exit(serveFloor(*floor))
		return
	}
	exit(run(context.Background(), *croft, *only, max(*rounds, 5)))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, croft, only string, rounds int) error {
	fmt.Printf("load average before: %s\n", loadAverage())
	dir, err := os.MkdirTemp("", "croft-bench-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{croft: croft, dir: dir, clock: clock.Real()}
	for _, part := range []struct {
		name string
		run  func(context.Context, int) error
	}{
		{"start", b.start}, {"embed", b.embed}, {"reset", b.reset}, {"send", b.send}, {"fsync", b.sendFsync}, {"postgres", b.postgres}, {"invoke", b.invokeWarm},
		{"cold", b.coldStarts}, {"ahead", b.ahead}, {"burst", b.bursts},
	} {
		if only != "" && only != part.name {
			continue
		}
		if err := part.run(ctx, rounds); err != nil {
			return err
		}
	}
	fmt.Printf("load average after: %s\n", loadAverage())
	return nil
}

func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(text))[:3], " ")
}
