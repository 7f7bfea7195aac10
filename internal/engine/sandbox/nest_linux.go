package sandbox

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// nests are groups that hold those of all the server's sandboxes, so that functions share the processors among themselves, and all of them together have
// the weight of ordinary processes beside the server and the machine's other work. The zero value is ready. It is safe for concurrent use.
type nests struct {
	mu    sync.Mutex
	users map[string]int
}

// nestName is the name of this server's nests.
func nestName() string { return "croft-" + strconv.Itoa(os.Getpid()) }

// enter returns the nest below dir, which it makes for its first user. has are the controllers of the second version, which a nest passes on.
func (n *nests) enter(dir string, v2 bool, has []string) (string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	path := filepath.Join(dir, nestName())
	if n.users[path] == 0 {
		if err := makeNest(path, v2, has); err != nil {
			_ = os.Remove(path) // what is left, a later server removes
			return "", err
		}
	}
	if n.users == nil {
		n.users = map[string]int{}
	}
	n.users[path]++
	return path, nil
}

func makeNest(path string, v2 bool, has []string) error {
	if err := os.Mkdir(path, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	if v2 {
		return writeGroup(path, "cgroup.subtree_control", "+"+strings.Join(has, " +"))
	}
	// In the first version the server's threads lie beside the nest, each with the weight of one.
	return writeGroup(path, "cpu.shares", strconv.Itoa(1024*runtime.NumCPU()))
}

// leave removes the nest with its last user.
func (n *nests) leave(path string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.users[path]--; n.users[path] <= 0 {
		delete(n.users, path)
		_ = syscall.Rmdir(path) // what is left, a later server removes
	}
}
