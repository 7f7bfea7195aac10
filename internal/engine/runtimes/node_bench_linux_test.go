package runtimes

import (
	"os"
	"strings"
	"testing"
	"time"

	"croft/internal/clock"
	"croft/internal/engine/runtimeapi"
)

const nodeHello = "exports.handler = async (event) => event;\n"

const nodeClient = `
const { DynamoDBClient } = require('@aws-sdk/client-dynamodb');
const { DynamoDBDocumentClient } = require('@aws-sdk/lib-dynamodb');
const client = DynamoDBDocumentClient.from(new DynamoDBClient({}));
exports.handler = async (event) => event;
`

func nodeClientESM() string {
	return strings.NewReplacer("const {", "import {", "} = require(", "} from ", "')", "'", "exports.handler =", "export const handler =").Replace(nodeClient)
}

// BenchmarkNode is the time from the function to its first answer: shell and process are there (booted), or the shell alone (fresh).
func BenchmarkNode(b *testing.B) {
	for _, c := range []struct {
		name, file, text string
		fresh            bool
	}{
		{"hello", "index.js", nodeHello, false}, {"hello-fresh", "index.js", nodeHello, true},
		{"client", "index.js", nodeClient, false}, {"client-fresh", "index.js", nodeClient, true},
		{"client-esm", "index.mjs", nodeClientESM(), false}, {"client-esm-fresh", "index.mjs", nodeClientESM(), true},
	} {
		b.Run(c.name, func(b *testing.B) {
			s, set := standFor(b)
			code := s.code(map[string]string{c.file: c.text})
			l, err := set.Prepare(b.Context(), Request{Runtime: "nodejs20.x", Handler: "index.handler", Code: code})
			if err != nil {
				b.Skip("SKIPPED: ", err)
			}
			for b.Loop() {
				b.StopTimer()
				v := s.spare(b.Context(), l, c.fresh)
				if !c.fresh {
					v.settle(b)
				}
				b.StartTimer()
				v.start(b.Context(), l, code, "", "index.handler", nil)
				if failure := v.await(); failure != "" {
					b.Fatal(failure, v.out)
				}
				if _, kind := v.invoke(`{}`); kind != "" {
					b.Fatal(kind)
				}
				b.StopTimer()
				v.end()
				b.StartTimer()
			}
		})
	}
}

// settle waits until a process that was started ahead has nothing left to do: it sleeps, and its CPU time does not change.
func (v *live) settle(b *testing.B) {
	b.Helper()
	last, same := "", 0
	for same < 20 && b.Context().Err() == nil {
		now := v.cpuTime(b)
		if now == last && now != "" {
			same++
		} else {
			last, same = now, 0
		}
		if clock.Sleep(b.Context(), clock.Real(), 5*time.Millisecond) != nil {
			return
		}
	}
}

// cpuTime finds the process by its arguments; there is one at a time.
func (v *live) cpuTime(b *testing.B) string {
	b.Helper()
	processes, err := os.ReadDir("/proc")
	if err != nil {
		b.Fatal(err)
	}
	for _, p := range processes {
		args, err := os.ReadFile("/proc/" + p.Name() + "/cmdline")
		if err != nil || !strings.Contains(string(args), "/var/runtime/bootstrap.js\x00ahead") {
			continue
		}
		stat, err := os.ReadFile("/proc/" + p.Name() + "/stat")
		if err != nil {
			continue
		}
		fields := strings.Fields(string(stat))
		if fields[2] == "S" {
			return fields[13] + " " + fields[14]
		}
	}
	return ""
}

// BenchmarkNodeInvoke is one event and its answer.
func BenchmarkNodeInvoke(b *testing.B) {
	f := startNode(b, nodeStart{in: nodeOf(b, 20), runtime: 20, code: folderOf(b, "-- index.js --\n"+nodeHello), handler: "index.handler"})
	if failure := f.initialised(); failure != "" {
		b.Fatal(failure)
	}
	payload := []byte(`{"text":"` + strings.Repeat("x", 190) + `"}`)
	for b.Loop() {
		a, err := f.api.Invoke(b.Context(), runtimeapi.Invocation{RequestID: "ID", Payload: payload})
		if err != nil || len(a.Payload) != len(payload) {
			b.Fatal(err)
		}
	}
}
