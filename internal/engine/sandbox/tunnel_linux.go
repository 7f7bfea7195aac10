package sandbox

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	tunnelPath = "/dev/net/tun"
	tunnelName = "tun0"
)

// openTunnel makes the network device in this process's network namespace, with its addresses and routes. The file is the end at which its packets
// come out.
func openTunnel() (*os.File, error) {
	fd, err := unix.Open(tunnelPath, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", tunnelPath, err)
	}
	index, err := nameTunnel(fd)
	if err == nil {
		err = setUpTunnel(index)
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), tunnelPath), nil
}

// nameTunnel makes the descriptor a device's and returns the device's number.
func nameTunnel(fd int) (uint32, error) {
	req, err := unix.NewIfreq(tunnelName)
	if err != nil {
		return 0, err
	}
	req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		return 0, fmt.Errorf("make a network device: %w", err)
	}
	sock, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(sock)
	if err := unix.IoctlIfreq(sock, unix.SIOCGIFINDEX, req); err != nil {
		return 0, fmt.Errorf("find the network device: %w", err)
	}
	return req.Uint32(), nil
}

// linkMessage is one request to the kernel about links, addresses and routes.
type linkMessage struct {
	what string
	kind uint16
	body []byte
	// six says that the message is about IPv6, which a machine may lack.
	six bool
}

// setUpTunnel sends everything at once: each exchange with the kernel would cost as much as all of them.
func setUpTunnel(index uint32) error {
	messages, err := tunnelMessages(index)
	if err != nil {
		return err
	}
	sock, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer unix.Close(sock)
	var all []byte
	for i, m := range messages {
		all = append(all, m.encode(uint32(i))...)
	}
	if err := unix.Sendto(sock, all, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("set up the network device: %w", err)
	}
	buf := make([]byte, 8<<10)
	for answered := 0; answered < len(messages); {
		n, _, err := unix.Recvfrom(sock, buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("set up the network device: %w", err)
		}
		replies, err := syscall.ParseNetlinkMessage(buf[:n])
		if err != nil {
			return err
		}
		for _, r := range replies {
			if r.Header.Type != unix.NLMSG_ERROR || len(r.Data) < 4 || int(r.Header.Seq) >= len(messages) {
				continue
			}
			answered++
			m := messages[r.Header.Seq]
			if errno := -int32(binary.NativeEndian.Uint32(r.Data)); errno != 0 && !m.six {
				return fmt.Errorf("%s: %w", m.what, syscall.Errno(errno))
			}
		}
	}
	return nil
}

func tunnelMessages(index uint32) ([]linkMessage, error) {
	own4, err := netip.ParsePrefix(TunnelAddress)
	if err != nil {
		return nil, err
	}
	own6, err := netip.ParsePrefix(TunnelAddress6)
	if err != nil {
		return nil, err
	}
	gate4, err := netip.ParseAddr(TunnelGateway)
	if err != nil {
		return nil, err
	}
	gate6, err := netip.ParseAddr(TunnelGateway6)
	if err != nil {
		return nil, err
	}
	up := slices.Concat(
		[]byte{unix.AF_UNSPEC, 0, 0, 0}, u32(index), u32(unix.IFF_UP), u32(unix.IFF_UP), // struct ifinfomsg
		attribute(unix.IFLA_MTU, u32(TunnelMTU)),
	)
	nowhere := netip.MustParsePrefix("169.254.0.0/16")
	return []linkMessage{
		{"raise the network device", unix.RTM_NEWLINK, up, false},
		{"give the network device an address", unix.RTM_NEWADDR, addressBody(index, own4), false},
		{"give the network device an address", unix.RTM_NEWADDR, addressBody(index, own6), true},
		{"set the route", unix.RTM_NEWROUTE, routeBody(index, netip.PrefixFrom(netip.IPv4Unspecified(), 0), gate4), false},
		{"set the route", unix.RTM_NEWROUTE, routeBody(index, netip.PrefixFrom(netip.IPv6Unspecified(), 0), gate6), true},
		{"close the route to link-local addresses", unix.RTM_NEWROUTE, routeBody(index, nowhere, netip.Addr{}), false},
	}, nil
}

// addressBody is a struct ifaddrmsg with the address. Nobody else can have it, so that the kernel need not look before it is used.
func addressBody(index uint32, p netip.Prefix) []byte {
	address := p.Addr().AsSlice()
	return slices.Concat(
		[]byte{family(p.Addr()), byte(p.Bits()), unix.IFA_F_NODAD, unix.RT_SCOPE_UNIVERSE}, u32(index),
		attribute(unix.IFA_LOCAL, address), attribute(unix.IFA_ADDRESS, address),
	)
}

// routeBody is a struct rtmsg with a route by way of gate, or, without one, to nowhere.
func routeBody(index uint32, to netip.Prefix, gate netip.Addr) []byte {
	kind := byte(unix.RTN_UNICAST)
	attributes := slices.Concat(attribute(unix.RTA_OIF, u32(index)), attribute(unix.RTA_GATEWAY, gate.AsSlice()))
	if !gate.IsValid() {
		kind, attributes = unix.RTN_UNREACHABLE, nil
	}
	if to.Bits() > 0 {
		attributes = append(attributes, attribute(unix.RTA_DST, to.Addr().AsSlice())...)
	}
	return slices.Concat(
		[]byte{family(to.Addr()), byte(to.Bits()), 0, 0, unix.RT_TABLE_MAIN, unix.RTPROT_STATIC, unix.RT_SCOPE_UNIVERSE, kind}, u32(0), attributes,
	)
}

func family(a netip.Addr) byte {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

func u32(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }

func attribute(kind uint16, value []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(unix.SizeofRtAttr+len(value)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, value...)
	return append(b, make([]byte, -len(b)&3)...)
}

func (m linkMessage) encode(sequence uint32) []byte {
	flags := uint16(unix.NLM_F_REQUEST | unix.NLM_F_ACK)
	if m.kind != unix.RTM_NEWLINK {
		flags |= unix.NLM_F_CREATE | unix.NLM_F_EXCL
	}
	b := u32(uint32(unix.SizeofNlMsghdr + len(m.body)))
	b = binary.NativeEndian.AppendUint16(b, m.kind)
	b = binary.NativeEndian.AppendUint16(b, flags)
	b = append(append(b, u32(sequence)...), u32(0)...)
	return append(b, m.body...)
}
