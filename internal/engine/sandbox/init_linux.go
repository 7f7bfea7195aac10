package sandbox

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/signal"
	"strconv"

	"golang.org/x/sys/unix"
)

// initMain is the first process for the rest of the sandbox's life, without any privilege. Its arguments are the program's process id and the
// descriptors of the process's status, of the write end of its specification and of its result.
func initMain() int {
	unix.CloseOnExec(outerControlFD)
	// As first process of its namespace it gets only the signals that it handles. Go handles most, and a function could end its sandbox with them.
	signal.Ignore(unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2, unix.SIGPIPE, unix.SIGALRM)
	go followServer()
	var numbers []int
	for _, a := range os.Args[1:] {
		n, err := strconv.Atoi(a)
		if err != nil {
			fail("wait for the program", err)
			return 1
		}
		numbers = append(numbers, n)
	}
	if len(numbers) != 4 {
		fail("wait for the program", errors.New("wrong arguments"))
		return 1
	}
	if !release(numbers[1], numbers[2], numbers[3]) {
		return 1
	}
	reap(numbers[0])
	return 0
}

// release lets the inner stage become the program, and reports how that went.
func release(statusFD, specFD, resultFD int) bool {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		fail("hide the first process", err)
		return false
	}
	unix.Close(specFD)
	f := os.NewFile(uintptr(resultFD), "result")
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxMessage))
	if err != nil {
		fail(stepExecute, err)
		return false
	}
	if len(b) > 0 { // the program's process closes the pipe without a word
		var m message
		if err := json.Unmarshal(b, &m); err != nil {
			fail(stepExecute, err)
			return false
		}
		_ = send(m)
		return false
	}
	err = send(message{Kind: msgStarted}, statusFD)
	unix.Close(statusFD)
	return err == nil
}

// reap waits for the program, and for the orphans that the kernel gives to the first process. It returns when the program has ended; the
// exit of this process then ends the rest.
func reap(program int) {
	for {
		var status unix.WaitStatus
		var usage unix.Rusage
		pid, err := unix.Wait4(-1, &status, 0, &usage)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return
		}
		if pid != program {
			continue
		}
		m := message{Kind: msgExited, Exit: Exit{Code: status.ExitStatus()}, PeakBytes: usage.Maxrss << 10}
		if status.Signaled() {
			m.Exit.Signal = int(status.Signal())
		}
		// A server that is gone needs no message.
		_ = send(m)
		return
	}
}
