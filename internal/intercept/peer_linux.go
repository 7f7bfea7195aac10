package intercept

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// ownConnection reports whether the connection from client to us, both "ADDR:PORT" of IPv4, was opened by the user that we run as. It
// reads the kernel's table of sockets: proc_pid_net(5), /proc/net/tcp.
func ownConnection(client, us string) bool {
	from, err1 := netip.ParseAddrPort(client)
	to, err2 := netip.ParseAddrPort(us)
	if err1 != nil || err2 != nil || !from.Addr().Unmap().Is4() || !to.Addr().Is4() {
		return false
	}
	uid := strconv.Itoa(os.Geteuid())
	// A client with one kind of socket for both versions of IP, such as Java, is in the second table.
	return owns("/proc/net/tcp", socketName(from, ""), socketName(to, ""), uid) ||
		owns("/proc/net/tcp6", socketName(from, mapped()), socketName(to, mapped()), uid)
}

// mapped is the first 96 bits of an IPv4 address in IPv6, as the table writes them: words in the machine's order.
func mapped() string {
	return fmt.Sprintf("%08X%08X%08X", 0, 0, binary.NativeEndian.Uint32([]byte{0, 0, 0xff, 0xff}))
}

func socketName(a netip.AddrPort, prefix string) string {
	ip := a.Addr().Unmap().As4()
	return fmt.Sprintf("%s%08X:%04X", prefix, binary.NativeEndian.Uint32(ip[:]), a.Port())
}

func owns(table, local, remote, uid string) bool {
	f, err := os.Open(table)
	if err != nil {
		return false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		// sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid …
		if x := strings.Fields(lines.Text()); len(x) > 7 && x[1] == local && x[2] == remote {
			return x[7] == uid
		}
	}
	return false
}
