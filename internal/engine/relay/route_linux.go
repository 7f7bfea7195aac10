package relay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// askRoute asks the kernel where packets to a would go. Its routing alone knows all of the host's own addresses: those of its interfaces, of bridges that
// come and go, and whole networks that a route declares to be local. A list of the interfaces' addresses would lack the last, and be late.
func askRoute(a netip.Addr) (route, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return 0, fmt.Errorf("relay: ask for a route: %w", err)
	}
	defer unix.Close(fd)
	// The kernel answers within the call that asks. The limit is there so that nothing can hang on it.
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1}); err != nil {
		return 0, err
	}
	if err := unix.Sendto(fd, routeQuestion(a), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, fmt.Errorf("relay: ask for a route: %w", err)
	}
	b := make([]byte, 8192)
	n, err := ignoringInterrupts(func() (int, error) {
		n, _, err := unix.Recvfrom(fd, b, 0)
		return n, err
	})
	if err != nil {
		return 0, fmt.Errorf("relay: ask for a route: %w", err)
	}
	return routeAnswer(b[:n])
}

func routeQuestion(a netip.Addr) []byte {
	ip := a.AsSlice()
	b := make([]byte, unix.SizeofNlMsghdr+unix.SizeofRtMsg+unix.SizeofRtAttr+len(ip))
	order := binary.NativeEndian
	order.PutUint32(b, uint32(len(b)))
	order.PutUint16(b[4:], unix.RTM_GETROUTE)
	order.PutUint16(b[6:], unix.NLM_F_REQUEST)
	message := b[unix.SizeofNlMsghdr:]
	message[0] = unix.AF_INET
	if a.Is6() {
		message[0] = unix.AF_INET6
	}
	message[1] = uint8(len(ip) * 8)
	attr := message[unix.SizeofRtMsg:]
	order.PutUint16(attr, uint16(unix.SizeofRtAttr+len(ip)))
	order.PutUint16(attr[2:], unix.RTA_DST)
	copy(attr[unix.SizeofRtAttr:], ip)
	return b
}

func routeAnswer(b []byte) (route, error) {
	if len(b) < unix.SizeofNlMsghdr+unix.SizeofRtMsg {
		return 0, errors.New("relay: the kernel's answer about a route is too short")
	}
	body := b[unix.SizeofNlMsghdr:]
	switch kind := binary.NativeEndian.Uint16(b[4:]); kind {
	case unix.RTM_NEWROUTE:
		switch body[7] { // rtm_type
		case unix.RTN_UNICAST:
			return routeOut, nil
		case unix.RTN_LOCAL, unix.RTN_ANYCAST:
			return routeOwn, nil
		case unix.RTN_BROADCAST, unix.RTN_MULTICAST:
			return routeMany, nil
		}
		return routeNone, nil
	case unix.NLMSG_ERROR:
		errno := unix.Errno(-int32(binary.NativeEndian.Uint32(body)))
		switch errno {
		case unix.ENETUNREACH, unix.EHOSTUNREACH, unix.EACCES, unix.EINVAL: // the last two are what prohibiting and black-hole routes say
			return routeNone, nil
		}
		return 0, fmt.Errorf("relay: ask for a route: %w", errno)
	default:
		return 0, fmt.Errorf("relay: the kernel answered %d when asked for a route", kind)
	}
}
