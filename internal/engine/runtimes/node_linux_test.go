package runtimes

import (
	"encoding/json"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"croft/internal/clock"
	"croft/internal/engine/sandbox"
)

// standFor is a stand for any runtime: s.start is given what set has prepared.
func standFor(t testing.TB) (*stand, *Set) {
	t.Helper()
	if err := sandbox.Check(t.Context()); err != nil {
		t.Skipf("SKIPPED, runtimes in a sandbox are not tested: NO SANDBOX HERE: %v", err)
	}
	s := &stand{t: t, stock: openDir(t), anchor: openDir(t)}
	sdks := os.Getenv("CROFT_TEST_SDKS") // installed there once, for who tests often
	set := NewSet(Host{
		Clock: clock.Real(), Dir: s.stock, SDKDir: sdks, Log: slog.New(slog.NewTextHandler(os.Stderr, nil)), Progress: func(text string) { t.Log(text) },
	})
	t.Cleanup(set.Close)
	return s, set
}

// node starts a Node.js function, and skips the test on a machine without the interpreter or without a registry.
func (s *stand) node(set *Set, fresh bool, files map[string]string, layers string, env map[string]string) *live {
	s.t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		s.t.Skipf("SKIPPED, Node.js in a sandbox is not tested: NO NODE.JS HERE: %v", err)
	}
	code := s.code(files)
	l, err := set.Prepare(s.t.Context(), Request{Runtime: "nodejs20.x", Handler: "index.handler", Code: code, Layers: layers, Env: env})
	if err != nil && strings.Contains(err.Error(), "could not be installed") {
		s.t.Skipf("SKIPPED, the SDK for Node.js is not tested: NO NPM OR NO REGISTRY HERE: %v", err)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	v := s.spare(s.t.Context(), l, fresh)
	v.start(s.t.Context(), l, code, layers, "index.handler", env)
	return v
}

// TestNodeBootedIsLikeFresh: nothing that a function can see of itself tells how it was started.
func TestNodeBootedIsLikeFresh(t *testing.T) {
	s, set := standFor(t)
	var answers []string
	for _, fresh := range []bool{true, false} {
		v := s.node(set, fresh, map[string]string{"index.js": `
const fs = require('fs');
exports.handler = async (event, context) => ({
  event, pid: process.pid, ppid: process.ppid, uid: process.getuid(), cwd: process.cwd(), argv: process.argv, paths: module.paths, env: process.env,
  main: require.main.filename, fds: fs.readdirSync('/proc/self/fd').filter((n) => n < 4), tz: Intl.DateTimeFormat().resolvedOptions().timeZone,
  status: fs.readFileSync('/proc/self/status', 'utf8').match(/^(Cap|NoNewPrivs|Seccomp:|Groups).*/gm), root: fs.readdirSync('/'),
  runtime: fs.readdirSync('/var/runtime').length > 3, opt: fs.readdirSync('/opt'), context: [context.tenantId, context.identity, context.clientContext.custom],
  console: typeof console.fatal, here: __filename, execArgv: process.execArgv,
});`}, "", map[string]string{"GREETING": "hello"})
		if failure := v.await(); failure != "" {
			t.Fatalf("fresh %v: %s\n%s", fresh, failure, v.out)
		}
		answer, kind := v.invoke(`{"a":1}`)
		if kind != "" {
			t.Fatalf("%s: %s\n%s", kind, answer, v.out)
		}
		answers = append(answers, answer)
		v.end()
	}
	if differences := jsonDiff(t, answers[0], answers[1], "pid", "uid"); len(differences) > 0 {
		t.Errorf("fresh and booted differ:\n%s", strings.Join(differences, "\n"))
	}
	for _, part := range []string{`"here":"/var/task/index.js"`, `"cwd":"/var/task"`, `"ppid":1,`, "CapBnd:\\t0000000000000000", `"GREETING":"hello"`, `"context":["blue",`} {
		if !strings.Contains(answers[1], part) {
			t.Errorf("no %s in %s", part, answers[1])
		}
	}
}

const usesClient = `
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { createRequire } from 'node:module';
const require = createRequire(import.meta.url);
const client = new DynamoDBClient({});
export const handler = async (event) => [typeof client.send, require.resolve('@aws-sdk/client-dynamodb'), require('@aws-sdk/client-dynamodb').DynamoDBClient === DynamoDBClient,
  await client.config.region(), (await client.config.credentials()).accessKeyId];
`

// place is where the SDK lies for an interpreter of this machine.
func place(t testing.TB) string {
	if nodeOf(t, 20).Hooks {
		return nodeModules
	}
	return nodeRootModules
}

// TestNodeHasTheSDK, for import and for require, and one that a layer brings wins.
func TestNodeHasTheSDK(t *testing.T) {
	s, set := standFor(t)
	for _, fresh := range []bool{true, false} {
		v := s.node(set, fresh, map[string]string{"index.mjs": usesClient}, "", nil)
		if failure := v.await(); failure != "" {
			t.Fatalf("fresh %v: %s\n%s", fresh, failure, v.out)
		}
		answer, kind := v.invoke(`{}`)
		if want := `["function","` + place(t) + `/@aws-sdk/client-dynamodb/dist-cjs/index.js",true,"eu-west-1","AKIA"]`; kind != "" || answer != want {
			t.Errorf("fresh %v: %s %s\nwant %s\n%s", fresh, kind, answer, want, v.out)
		}
		v.end()
	}
	layer := s.code(map[string]string{
		"nodejs/node_modules/@aws-sdk/client-dynamodb/package.json": `{"version": "0.0.1"}`,
		"nodejs/node_modules/@aws-sdk/client-dynamodb/index.js":     "exports.version = 'of the layer'",
		"nodejs/node20/node_modules/own/index.js":                   "exports.sdk = require('@aws-sdk/client-dynamodb')",
	})
	v := s.node(set, false, map[string]string{"index.mjs": `
import sdk from '@aws-sdk/client-dynamodb';
import own from 'own';
import { SSMClient } from '@aws-sdk/client-ssm';
export const handler = async () => [sdk.version, own.sdk.version, typeof SSMClient];
`}, layer, nil)
	if failure := v.await(); failure != "" {
		t.Fatalf("%s\n%s", failure, v.out)
	}
	if answer, _ := v.invoke(`{}`); answer != `["of the layer","of the layer","function"]` {
		t.Errorf("%s\n%s", answer, v.out)
	}
}

func TestNodeWrapper(t *testing.T) {
	s, set := standFor(t)
	layer := s.code(map[string]string{"wrap": "#!/bin/bash\nexport WRAPPED=yes\nexec \"$@\" --extra\n"})
	env := map[string]string{"AWS_LAMBDA_EXEC_WRAPPER": "/opt/wrap"}
	code := s.code(map[string]string{"index.js": "exports.handler = async () => [process.env.WRAPPED, process.argv.length];"})
	l, err := set.Prepare(t.Context(), Request{Runtime: "nodejs20.x", Handler: "index.handler", Code: code, Layers: layer, Env: env})
	if err != nil {
		t.Skipf("SKIPPED, wrappers are not tested: %v", err)
	}
	if l.Boot != nil {
		t.Error("may be booted")
	}
	wrapped := *l
	wrapped.Args = append([]string{env["AWS_LAMBDA_EXEC_WRAPPER"]}, l.Args...)
	v := s.spare(t.Context(), &wrapped, true)
	v.start(t.Context(), &wrapped, code, layer, "index.handler", env)
	if failure := v.await(); failure != "" {
		t.Fatalf("%s\n%s", failure, v.out)
	}
	if answer, _ := v.invoke(`{}`); answer != `["yes",2]` {
		t.Errorf("%s\n%s", answer, v.out)
	}
}

// built is a program of testdata/provided.
func built(t testing.TB, name string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "bootstrap")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", out, ".")
	cmd.Dir = filepath.Join("testdata", "provided", name)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=mod", "GOWORK=off")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("SKIPPED, programs for provided runtimes are not tested: GO CANNOT BUILD HERE: %v: %s", err, text)
	}
	return out
}

func TestProvidedPrograms(t *testing.T) {
	s, set := standFor(t)
	for name, c := range map[string]struct {
		event, kind string
		want        map[string]any
		file        string
	}{
		"plain": {`{"a":"b"}`, "", nil, "bootstrap"},
		"lambdago": {`{"a":"b"}`, "", map[string]any{
			"id": "11111111-2222-3333-4444-555555555555", "arn": "arn:aws:lambda:eu-west-1:000000000000:function:hello", "function": "hello",
			"handler": "function.handler", "execution": "", "deadline": "true", "trace": "Root=1-5-5",
		}, "bootstrap"},
		"lambdago fails": {`{"fail":"yes"}`, "Unhandled", map[string]any{"errorMessage": "Error: some_error_msg", "errorType": "errorString"}, "bootstrap"},
	} {
		program, err := os.ReadFile(built(t, strings.Fields(name)[0]))
		if err != nil {
			t.Fatal(err)
		}
		code := s.code(map[string]string{c.file: string(program)})
		l, err := set.Prepare(t.Context(), Request{Runtime: "provided.al2023", Handler: "function.handler", Code: code})
		if err != nil {
			t.Fatal(err)
		}
		v := s.spare(t.Context(), l, true)
		v.start(t.Context(), l, code, "", "function.handler", nil)
		if failure := v.await(); failure != "" {
			t.Fatalf("%s: %s\n%s", name, failure, v.out)
		}
		answer, kind := v.invoke(c.event)
		if c.want == nil {
			if answer != "["+c.event+"]" || kind != "" {
				t.Errorf("%s: %s %s", name, kind, answer)
			}
			continue
		}
		var got map[string]any
		if err := json.Unmarshal([]byte(answer), &got); err != nil || kind != c.kind {
			t.Errorf("%s: %s: %q %v\n%s", name, kind, answer, err, v.out)
		}
		want, err := json.Marshal(c.want)
		if err != nil {
			t.Fatal(err)
		}
		if differences := jsonDiff(t, string(want), answer); len(differences) > 0 {
			t.Errorf("%s: %s", name, strings.Join(differences, "\n"))
		}
	}
}

func TestProvidedScript(t *testing.T) {
	s, set := standFor(t)
	layer := s.code(map[string]string{"bootstrap": "#!/bin/sh\necho started in $PWD with $_HANDLER; exit 5\n"})
	code := s.code(map[string]string{"function.sh": ""})
	l, err := set.Prepare(t.Context(), Request{Runtime: "provided.al2", Handler: "function.handler", Code: code, Layers: layer})
	if err != nil {
		t.Fatal(err)
	}
	v := s.spare(t.Context(), l, true)
	v.start(t.Context(), l, code, layer, "function.handler", nil)
	<-v.child.Done()
	for v.out.String() == "" && t.Context().Err() == nil { // it is in the pipe
		runtime.Gosched()
	}
	if exit := v.child.Exit().String(); !strings.Contains(exit, "5") || v.out.String() != "started in /var/task with function.handler\n" {
		t.Errorf("%s, %q", exit, v.out)
	}
}
