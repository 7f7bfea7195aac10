// Command apigen generates internal/awsapi from the AWS service models that botocore ships. It is run from the repository's root.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"

	"croft/tools/apigen/gen"
	"croft/tools/apigen/model"
)

func main() {
	here := flag.String("from", "tools/apigen", "folder of operations.txt, botocore.version and patches")
	out := flag.String("out", "internal/awsapi", "folder of the generated packages")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *here, *out); err != nil {
		fmt.Fprintln(os.Stderr, "apigen:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, here, out string) error {
	order, listed, err := readList(filepath.Join(here, "operations.txt"))
	if err != nil {
		return err
	}
	data, err := models(ctx, filepath.Join(here, "botocore.version"), func(line string) { fmt.Fprintln(os.Stderr, line) })
	if err != nil {
		return err
	}
	for _, name := range order {
		svc, err := model.Read(data, name, filepath.Join(here, "patches", name+".json"), listed[name])
		if err == nil {
			err = gen.CheckPatterns(svc)
		}
		if err == nil {
			err = gen.Package(filepath.Join(out, name), svc)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// readList reads lines of the form "service: Operation Operation"; a service may have several.
func readList(file string) (order []string, listed map[string][]string, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	listed = map[string][]string{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, ops, ok := strings.Cut(line, ":")
		if !ok {
			return nil, nil, fmt.Errorf("%s: %q has no colon", file, line)
		}
		if _, seen := listed[name]; !seen {
			order = append(order, name)
		}
		listed[name] = append(listed[name], strings.Fields(ops)...)
	}
	return order, listed, lines.Err()
}
