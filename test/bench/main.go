// Command bench measures croft as a client sees it, against a floor measured in the same run.
//
// The floor is the same client with the same request against a net/http server that answers the same bytes. Floor and subject
// take turns in rounds; what counts is the median over the rounds of the ratio within a round. Server CPU is that of the server
// process alone, from the scheduler's own accounts. The machine's load average is printed, since figures taken on a busy
// machine say little.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"

	"croft/internal/clock"
)

func main() {
	rounds := flag.Int("rounds", 7, "rounds of floor and subject")
	floor := flag.String("floor", "", "serve the floor with the answer recorded in that file (used by bench itself)")
	files := flag.String("files", "", "serve that folder at -addr (used by bench itself)")
	addr := flag.String("addr", "", "the address for -files")
	only := flag.String("only", "", "one part alone: start, embed, reset, send, fsync, data, large, loaded, postgres, invoke, cold, ahead or burst")
	b := &bench{clock: clock.Real()}
	flag.StringVar(&b.croft, "croft", "bin/croft", "the croft binary")
	flag.StringVar(&b.endpoint, "endpoint", "", "with -only data or large: the URL of a server to measure instead of croft")
	flag.IntVar(&b.pid, "pid", 0, "the process of the server that -endpoint names, for its processor time")
	flag.IntVar(&b.loaded, "loaded", 10_000_000, "items and messages that the part of that name loads")
	flag.Parse()
	switch {
	case *floor != "":
		exit(serveFloor(*floor))
	case *files != "":
		exit(serveFiles(*addr, *files))
	case b.endpoint != "" && *only != "data" && *only != "large":
		exit(errors.New("-endpoint goes with -only data or -only large"))
	default:
		exit(b.run(context.Background(), *only, max(*rounds, 5)))
	}
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func (b *bench) run(ctx context.Context, only string, rounds int) error {
	fmt.Printf("load average before: %s\n", loadAverage())
	dir, err := os.MkdirTemp("", "croft-bench-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b.dir = dir
	for _, part := range []struct {
		name string
		run  func(context.Context, int) error
	}{
		{"start", b.start}, {"embed", b.embed}, {"reset", b.reset}, {"send", b.send}, {"fsync", b.sendFsync}, {"data", b.data}, {"large", b.large},
		{"loaded", b.loadedStore}, {"postgres", b.postgres}, {"invoke", b.invokeWarm},
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
