package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// peer is a process that answers each line with a line.
type peer struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startPeer(name string, args ...string) (*peer, error) {
	cmd := exec.Command(name, args...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &peer{cmd, in, bufio.NewReader(out)}
	// What it says first says that it is ready.
	if _, err := p.out.ReadString('\n'); err != nil {
		return nil, errors.Join(fmt.Errorf("%s does not answer", name), err, p.stop())
	}
	return p, nil
}

// ask sends a line and reads the answer.
func (p *peer) ask(line string) error {
	if _, err := io.WriteString(p.in, line+"\n"); err != nil {
		return err
	}
	_, err := p.out.ReadString('\n')
	return err
}

func (p *peer) stop() error {
	err := p.in.Close()
	var exit *exec.ExitError
	if wait := p.cmd.Wait(); wait != nil && !errors.As(wait, &exit) {
		err = errors.Join(err, wait)
	}
	return err
}

// echoLoop answers lines with themselves, by way of JSON, as a runtime must.
const echoLoop = `
import sys, json, os
out = sys.stdout
print("ready", flush=True)
for line in sys.stdin.buffer:
    os.write(1, json.dumps(json.loads(line)).encode() + b"\n")
`

// forkLoop forks for each line a child that answers it: what a fork server cannot do without.
const forkLoop = `
import sys, os, gc
import boto3, botocore.session
gc.collect(); gc.freeze()
print("ready", flush=True)
for line in sys.stdin.buffer:
    pid = os.fork()
    if pid == 0:
        os.write(1, b"{}\n")
        os._exit(0)
    os.waitpid(pid, 0)
`

// pipes are Python processes that echo.
type pipes struct{ peers []*peer }

func startPipes(n int) (*pipes, error) {
	p := &pipes{}
	for range n {
		one, err := startPeer(python(), "-c", echoLoop)
		if err != nil {
			return nil, errors.Join(err, p.stop())
		}
		p.peers = append(p.peers, one)
	}
	return p, nil
}

func (p *pipes) echo(i int, payload []byte) error {
	return p.peers[i].ask(strings.TrimSpace(string(payload)))
}

func (p *pipes) stop() error {
	var errs []error
	for _, one := range p.peers {
		errs = append(errs, one.stop())
	}
	return errors.Join(errs...)
}
