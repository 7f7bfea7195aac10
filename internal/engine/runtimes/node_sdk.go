package runtimes

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"croft/internal/clock"
	"croft/internal/cloud"
)

// nodeSDK gives functions the packages of the AWS SDK for JavaScript, version 3, that Lambda's Node.js runtimes have: those that a function's files
// name, without bringing them. A set of packages lies in a folder of its own and never changes, so that functions can use it while another is made.
type nodeSDK struct {
	host Host
	turn chan struct{} // holds a token while one installs

	mu     *sync.Mutex
	failed map[string]sdkFailure
	needs  map[string]nodeNeeds // by folders of code and layers, which do not change
}

// nodePackages is a folder whose node_modules has packages of the SDK: those that were asked for, and what they need. The zero value has none.
type nodePackages struct {
	dir   string
	asked []string
}

// nodeNeeds are the packages that a function names: its own files, and those of packages that it brings.
type nodeNeeds struct{ own, others []string }

// maxNeeds bounds the functions whose needs are remembered.
const maxNeeds = 1000

// nodeSDKFile names, in a folder of installed packages, what was asked for. Written last, it says that the folder is complete.
const nodeSDKFile = "packages.json"

func newNodeSDK(h Host) nodeSDK {
	return nodeSDK{host: h, turn: make(chan struct{}, 1), mu: &sync.Mutex{}, failed: map[string]sdkFailure{}, needs: map[string]nodeNeeds{}}
}

// packages returns a folder with what the function needs of the SDK, and installs it first. There is none for a function that needs nothing.
func (s *nodeSDK) packages(ctx context.Context, in *nodeInterpreter, code, layers string) (nodePackages, error) {
	needs, err := s.needed(code, layers)
	if err != nil {
		return nodePackages{}, err
	}
	all := slices.Compact(slices.Sorted(slices.Values(slices.Concat(needs.own, needs.others))))
	if len(all) == 0 {
		return nodePackages{}, nil
	}
	found, err := s.obtain(ctx, in, all)
	var failure *cloud.Error
	if errors.As(err, &failure) && len(needs.own) < len(all) {
		// Libraries name packages that they use if they are there.
		if len(needs.own) == 0 {
			return nodePackages{}, nil
		}
		return s.obtain(ctx, in, needs.own)
	}
	return found, err
}

// obtain returns a folder that has the packages, one that is there or a new one.
func (s *nodeSDK) obtain(ctx context.Context, in *nodeInterpreter, packages []string) (nodePackages, error) {
	parent := filepath.Join(cmp.Or(s.host.SDKDir, s.host.Dir), "node", fmt.Sprint(in.Major))
	if found := installedSet(parent, packages); found.dir != "" {
		return found, nil
	}
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nodePackages{}, ctx.Err()
	}
	if found := installedSet(parent, packages); found.dir != "" {
		return found, nil
	}
	sum := sha256.Sum256([]byte(strings.Join(packages, " ")))
	dir := filepath.Join(parent, hex.EncodeToString(sum[:8]))
	now := s.host.Clock.Now()
	if f, ok := s.failed[dir]; ok && now.Sub(f.at) < retryAfter {
		return nodePackages{}, f.err
	}
	if err := s.install(ctx, in, dir, packages); err != nil {
		if ctx.Err() != nil {
			return nodePackages{}, ctx.Err()
		}
		failure := lacking(err, "The function uses %s, which could not be installed: %v. Bring the packages with the function, or see whether this works: %s",
			strings.Join(packages, ", "), err, strings.Join(npmCommand(in, "FOLDER", packages), " "))
		s.failed[dir] = sdkFailure{at: now, err: failure}
		s.host.Progress(failure.Message)
		return nodePackages{}, failure
	}
	return nodePackages{dir: dir, asked: packages}, nil
}

// installedSet returns the folder below parent with the fewest packages that has all of those.
func installedSet(parent string, packages []string) nodePackages {
	files, _ := filepath.Glob(filepath.Join(parent, "*", nodeSDKFile)) // a folder whose name makes a bad pattern has none
	var best nodePackages
	for _, file := range files {
		var has []string
		text, err := os.ReadFile(file)
		if err != nil || json.Unmarshal(text, &has) != nil {
			continue
		}
		if best.dir != "" && len(has) >= len(best.asked) {
			continue
		}
		if !slices.ContainsFunc(packages, func(p string) bool { return !slices.Contains(has, p) }) {
			best = nodePackages{dir: filepath.Dir(file), asked: has}
		}
	}
	return best
}

// npmCommand is what a person would run. The date fixes the versions of everything that is installed; no code of the packages runs.
func npmCommand(in *nodeInterpreter, dir string, packages []string) []string {
	npm := filepath.Join(filepath.Dir(in.Executable), "npm")
	if _, err := os.Stat(npm); err != nil {
		npm = "npm"
	}
	before := "2026-11-01"
	if in.Major < 20 {
		before = "2025-12-20" // the SDK of 2026 needs Node.js 20
	}
	return append([]string{npm, "install", "--prefix", dir, "--ignore-scripts", "--omit=dev", "--before=" + before}, packages...)
}

func (s *nodeSDK) install(ctx context.Context, in *nodeInterpreter, dir string, packages []string) error {
	names := strings.Join(packages, ", ")
	s.host.Progress(fmt.Sprintf("Installing %s for Node.js %d, once, into %s …", names, in.Major, dir))
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "installing-")
	if err != nil {
		return err
	}
	// Gone by then, unless the installation failed; what cannot be removed does no harm.
	defer func() { _ = os.RemoveAll(tmp) }()
	if err := s.npm(ctx, in, tmp, packages); err != nil {
		return err
	}
	for _, p := range packages {
		if _, err := os.Stat(filepath.Join(tmp, "node_modules", p, "package.json")); err != nil {
			return err
		}
	}
	text, err := json.Marshal(packages)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(tmp, nodeSDKFile), text, 0o644); err != nil {
		return err
	}
	if err := readable(tmp); err != nil {
		return err
	}
	// What is there under that name is not complete.
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.Rename(tmp, dir); err != nil && installedSet(filepath.Dir(dir), packages).dir == "" {
		return err
	}
	s.host.Progress(names + ": installed.")
	return nil
}

// npm runs the command in dir.
func (s *nodeSDK) npm(ctx context.Context, in *nodeInterpreter, dir string, packages []string) error {
	ctx, cancel := clock.WithTimeout(ctx, s.host.Clock, installTime)
	defer cancel()
	args := npmCommand(in, dir, packages)
	args = append(args, "--no-save", "--no-package-lock", "--no-audit", "--no-fund", "--no-update-notifier", "--no-bin-links", "--loglevel=error", "--fetch-retries=1")
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = dir
	cmd.WaitDelay = time.Second
	// The person's own: proxies, certificates and registries are configured there. The interpreter is the one that was chosen.
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(in.Executable)+":"+os.Getenv("PATH"))
	var out limitedBuffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w%s", err, npmReason(&out))
	}
	return nil
}

// npmReason returns ": " and what npm said first of its error, or its last line.
func npmReason(out *limitedBuffer) string {
	for line := range strings.Lines(string(out.buf)) {
		text, ok := strings.CutPrefix(strings.TrimSpace(line), "npm error ")
		if ok && !strings.HasPrefix(text, "code ") && !strings.HasPrefix(text, "errno ") {
			return ": " + text
		}
	}
	return out.lastLine()
}

// needed returns what a function names of the SDK and does not bring.
func (s *nodeSDK) needed(code, layers string) (nodeNeeds, error) {
	key := code + "\x00" + layers
	s.mu.Lock()
	needs, ok := s.needs[key]
	s.mu.Unlock()
	if ok {
		return needs, nil
	}
	own, others := map[string]bool{}, map[string]bool{}
	for _, dir := range []string{code, layers} {
		if dir == "" {
			continue
		}
		if err := scanForSDK(dir, own, others); err != nil {
			return nodeNeeds{}, err
		}
	}
	brought := func(p string) bool {
		places, _ := filepath.Glob(filepath.Join(layers, "nodejs", "node*", "node_modules")) // a folder whose name makes a bad pattern has none
		for _, dir := range append(places, filepath.Join(code, "node_modules"), filepath.Join(layers, "nodejs", "node_modules")) {
			if _, err := os.Stat(filepath.Join(dir, p)); err == nil {
				return true
			}
		}
		return false
	}
	for _, set := range []map[string]bool{own, others} {
		maps.DeleteFunc(set, func(p string, _ bool) bool { return brought(p) })
	}
	needs = nodeNeeds{own: slices.Sorted(maps.Keys(own)), others: slices.Sorted(maps.Keys(others))}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.needs) >= maxNeeds {
		clear(s.needs)
	}
	s.needs[key] = needs
	return needs, nil
}

// scanForSDK collects the SDK's packages that the JavaScript files under dir name: those in packages, below a node_modules, into others.
func scanForSDK(dir string, own, others map[string]bool) error {
	// An import, in any of its forms, and also after a bundler.
	names := regexp.MustCompile("(?:\\bfrom|\\bimport|\\brequire(?:\\.resolve)?)\\s*\\(?\\s*[\"'`](@(?:aws-sdk|smithy)/[a-z0-9][a-z0-9.-]*)[\"'`/]")
	left := int64(maxScan)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "@aws-sdk" || d.Name() == "@smithy") && filepath.Base(filepath.Dir(path)) == "node_modules":
			return fs.SkipDir // has what it needs beside it
		case !d.Type().IsRegular() || !slices.Contains([]string{".js", ".mjs", ".cjs"}, filepath.Ext(path)):
			return nil
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		text, err := io.ReadAll(io.LimitReader(f, left+1))
		if err != nil {
			return err
		}
		if left -= int64(len(text)); left < 0 {
			return fs.SkipAll
		}
		found := own
		if strings.Contains(path[len(dir):], "/node_modules/") {
			found = others
		}
		for _, m := range names.FindAllSubmatch(text, -1) {
			found[string(m[1])] = true
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("runtimes: the function's code has gone: %w", err)
	}
	return err
}
