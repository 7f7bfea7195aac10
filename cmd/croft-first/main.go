// Command croft-first is the first process of functions' sandboxes, and nothing else. `make build` puts it into croft: a program of a few megabytes starts in a
// fifth of the time that the whole of croft takes.
package main

import (
	"fmt"
	"os"

	"croft/internal/engine/sandbox"
)

func main() {
	sandbox.Main()
	fmt.Fprintln(os.Stderr, "croft-first is a part of croft, which starts it. See croft --help.")
	os.Exit(2)
}
