package relay

import (
	"fmt"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"croft/internal/engine/sandbox"
)

// network is the stack that plays the other end of a link's TCP connections. It sees segments of connections that were let through, and nothing else.
type network struct {
	stack *stack.Stack
	wire  *wire
}

const nic = tcpip.NICID(1)

const (
	// A connection begins with little room and gets much when it moves much: see pipe.grow.
	littleRoom = 32 << 10
	muchRoom   = 1 << 20
	// timeWait is short, as no segment of an old connection can be on its way through a device: a port is free again when the function asks for it.
	timeWait = time.Millisecond
	// lingering is how long a closed connection waits for the function to close it too.
	lingering = time.Second
	// synRetries gives up a function that does not complete its connection after 15 seconds.
	synRetries = 3
)

// newNetwork makes the stack. opened is called for each segment that belongs to no connection; those of which it returns false are answered with a reset.
func newNetwork(send func(parts ...[]byte), opened func(stack.TransportEndpointID, *stack.PacketBuffer) bool) (*network, error) {
	n := &network{
		stack: stack.New(stack.Options{
			NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocol},
			TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol},
		}),
		wire: &wire{send: send},
	}
	if err := n.configure(); err != nil {
		n.stack.Destroy()
		return nil, fmt.Errorf("relay: make a network stack: %s", err)
	}
	n.stack.SetTransportProtocolHandler(tcp.ProtocolNumber, opened)
	return n, nil
}

func (n *network) configure() tcpip.Error {
	wait, retries := tcpip.TCPTimeWaitTimeoutOption(timeWait), tcpip.TCPSynRetriesOption(synRetries)
	linger := tcpip.TCPLingerTimeoutOption(lingering)
	for _, option := range []tcpip.SettableTransportProtocolOption{
		&tcpip.TCPReceiveBufferSizeRangeOption{Min: 4 << 10, Default: littleRoom, Max: muchRoom},
		&tcpip.TCPSendBufferSizeRangeOption{Min: 4 << 10, Default: littleRoom, Max: muchRoom},
		&wait, &retries, &linger,
	} {
		if err := n.stack.SetTransportProtocolOption(tcp.ProtocolNumber, option); err != nil {
			return err
		}
	}
	if err := n.stack.CreateNIC(nic, n.wire); err != nil {
		return err
	}
	// The stack is every host that the function reaches.
	if err := n.stack.SetPromiscuousMode(nic, true); err != nil {
		return err
	}
	if err := n.stack.SetSpoofing(nic, true); err != nil {
		return err
	}
	n.stack.SetRouteTable([]tcpip.Route{
		{Destination: header.IPv4EmptySubnet, NIC: nic}, {Destination: header.IPv6EmptySubnet, NIC: nic},
	})
	return nil
}

// take gives a packet of the function's to the stack, which copies it.
func (n *network) take(raw []byte) {
	d := n.wire.dispatcher.Load()
	if d == nil {
		return
	}
	proto := header.IPv4ProtocolNumber
	if raw[0]>>4 == 6 {
		proto = header.IPv6ProtocolNumber
	}
	p := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(raw)})
	(*d).DeliverNetworkPacket(proto, p)
	p.DecRef()
}

// abort resets the connections that there are. Those that wait for the function are given up.
func (n *network) abort() {
	for _, e := range n.stack.RegisteredEndpoints() {
		e.Abort()
	}
}

// end resets every connection and waits for the stack's goroutines.
func (n *network) end() {
	n.stack.RemoveNIC(nic)
	n.stack.Destroy()
}

// wire is the stack's side of the device.
type wire struct {
	send       func(parts ...[]byte)
	dispatcher atomic.Pointer[stack.NetworkDispatcher]
}

var _ stack.LinkEndpoint = (*wire)(nil)

// WritePackets sends what the stack has for the function.
func (w *wire) WritePackets(list stack.PacketBufferList) (int, tcpip.Error) {
	packets := list.AsSlice()
	for _, p := range packets {
		w.send(p.AsSlices()...)
	}
	return len(packets), nil
}

// Attach is called with nil when the stack lets go.
func (w *wire) Attach(d stack.NetworkDispatcher) {
	if d == nil {
		w.dispatcher.Store(nil)
		return
	}
	w.dispatcher.Store(&d)
}

// IsAttached says whether the stack listens.
func (w *wire) IsAttached() bool { return w.dispatcher.Load() != nil }

// MTU is the device's.
func (*wire) MTU() uint32 { return sandbox.TunnelMTU }

// SetMTU does nothing: the device's is what it is.
func (*wire) SetMTU(uint32) {}

// MaxHeaderLength is zero, as the packets have no header before them.
func (*wire) MaxHeaderLength() uint16 { return 0 }

// LinkAddress is empty.
func (*wire) LinkAddress() tcpip.LinkAddress { return "" }

// SetLinkAddress does nothing.
func (*wire) SetLinkAddress(tcpip.LinkAddress) {}

// Capabilities spares checking what the function's kernel has just computed.
func (*wire) Capabilities() stack.LinkEndpointCapabilities { return stack.CapabilityRXChecksumOffload }

// Wait has nothing to wait for.
func (*wire) Wait() {}

// ARPHardwareType is that of a link without addresses.
func (*wire) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareNone }

// AddHeader adds none.
func (*wire) AddHeader(*stack.PacketBuffer) {}

// ParseHeader finds none.
func (*wire) ParseHeader(*stack.PacketBuffer) bool { return true }

// Close leaves the device to the link.
func (*wire) Close() {}

// SetOnCloseAction is not needed.
func (*wire) SetOnCloseAction(func()) {}
