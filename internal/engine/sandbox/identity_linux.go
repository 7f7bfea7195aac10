package sandbox

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// The user ids given to functions by a privileged server: far above those of people, services and containers.
const (
	firstHostUID = 1_900_000_000
	hostUIDs     = 1 << 16
)

// identity says how a sandbox is entered, which depends on what the server may do.
type identity struct {
	// userNamespace: the first process needs a user namespace to have rights over the other namespaces.
	userNamespace bool
	uidMap        []syscall.SysProcIDMap
	gidMap        []syscall.SysProcIDMap
	// hostUID and hostGID are the function's ids as the first process sees them, ownUID and ownGID as the server does; zero is the server's own id.
	hostUID   int
	hostGID   int
	ownUID    int
	ownGID    int
	setGroups bool
}

// chooseIdentity decides it. The first process of a server with CAP_SYS_ADMIN stays in the server's user namespace: it must reach interpreters
// and code that only root may read. That of an ordinary user becomes root of a new user namespace. A root without CAP_SYS_ADMIN, as in
// most containers, does the latter but still gives the function a user id other than its own.
func chooseIdentity(slot int) (identity, error) {
	root := os.Geteuid() == 0
	admin, err := hasCapability(unix.CAP_SYS_ADMIN)
	if err != nil {
		return identity{}, err
	}
	if !root {
		return identity{
			userNamespace: true,
			uidMap:        []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
			gidMap:        []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
		}, nil
	}
	uid, err := unusedID("/proc/self/uid_map", slot)
	if err != nil {
		return identity{}, err
	}
	gid, err := unusedID("/proc/self/gid_map", slot)
	if err != nil {
		return identity{}, err
	}
	// Denied where the server itself is root of an ordinary user's namespace.
	deny, err := os.ReadFile("/proc/self/setgroups")
	if err != nil {
		return identity{}, err
	}
	setGroups := strings.TrimSpace(string(deny)) == "allow"
	if admin {
		return identity{hostUID: uid, hostGID: gid, ownUID: uid, ownGID: gid, setGroups: setGroups}, nil
	}
	return identity{
		userNamespace: true,
		uidMap:        []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}, {ContainerID: 1, HostID: uid, Size: 1}},
		gidMap:        []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}, {ContainerID: 1, HostID: gid, Size: 1}},
		hostUID:       1,
		hostGID:       1,
		ownUID:        uid,
		ownGID:        gid,
		setGroups:     setGroups,
	}, nil
}

// unusedID returns the id for a slot that the id map at path allows: one of the range above when it is mapped, otherwise the last of
// the longest range that is. A map of nothing but root, as `unshare -r` makes, gives 0: that root is an ordinary user outside.
func unusedID(path string, slot int) (int, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	want := int64(firstHostUID + slot%hostUIDs)
	var last, longest int64
	for s := bufio.NewScanner(f); s.Scan(); {
		var inside, outside, count int64
		if _, err := fmt.Sscan(s.Text(), &inside, &outside, &count); err != nil {
			return 0, fmt.Errorf("%s: %w", path, err)
		}
		if want >= inside && want < inside+count {
			return int(want), nil
		}
		if count > longest {
			last, longest = inside+count-1, count
		}
	}
	return int(last), nil
}

func hasCapability(c int) (bool, error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return false, err
	}
	return data[c/32].Effective&(1<<(c%32)) != 0, nil
}
