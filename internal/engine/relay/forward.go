package relay

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"croft/internal/clock"
)

// serverLimit is how long one of the host's name servers may take.
const serverLimit = 3 * time.Second

// forward asks the host's name servers, one after the other, and hands their answer on as it is.
func (n *names) forward(ctx context.Context, q *question) []byte {
	message, err := q.again()
	if err != nil {
		return q.reply(dnsmessage.RCodeServerFailure, nil)
	}
	for _, server := range n.servers() {
		b, err := n.askServer(ctx, server, message)
		if err != nil {
			continue
		}
		binary.BigEndian.PutUint16(b, q.header.ID)
		if len(b) > q.limit {
			return q.message(dnsmessage.RCodeSuccess, nil, true)
		}
		return b
	}
	return q.reply(dnsmessage.RCodeServerFailure, nil)
}

// again is the question as the relay asks it: the same, under a number that the function cannot know.
func (q *question) again() ([]byte, error) {
	var id [2]byte
	if _, err := rand.Read(id[:]); err != nil {
		return nil, err
	}
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: binary.BigEndian.Uint16(id[:]), RecursionDesired: true}, Questions: []dnsmessage.Question{q.asked}}
	if q.extended {
		m.Additionals = []dnsmessage.Resource{optRecord()}
	}
	return m.Pack()
}

func (n *names) askServer(ctx context.Context, server netip.AddrPort, message []byte) ([]byte, error) {
	ctx, cancel := clock.WithTimeout(ctx, n.clock, serverLimit)
	defer cancel()
	b, err := exchange(ctx, "udp", server, message)
	if err == nil && isTruncated(b) {
		b, err = exchange(ctx, "tcp", server, message)
	}
	return b, err
}

// exchange sends a question and waits for its answer. What does not answer it is not looked at.
func exchange(ctx context.Context, network string, server netip.AddrPort, message []byte) ([]byte, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, server.String())
	if err != nil {
		return nil, err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(longAgo()) }) // a closed connection needs none
	defer stop()
	if network == "tcp" {
		if err := writeStream(c, message); err != nil {
			return nil, err
		}
		b, err := readStream(c, 1<<16)
		if err == nil && !answers(b, message) {
			err = errors.New("relay: the name server answered something else")
		}
		return b, err
	}
	if _, err := c.Write(message); err != nil {
		return nil, err
	}
	b := make([]byte, maxAnswer)
	for {
		size, err := c.Read(b)
		if err != nil {
			return nil, err
		}
		if answers(b[:size], message) {
			return b[:size], nil
		}
	}
}

// answers says whether b is an answer to the question in message.
func answers(b, message []byte) bool {
	var got, sent dnsmessage.Parser
	gotHeader, err := got.Start(b)
	if err != nil {
		return false
	}
	sentHeader, err := sent.Start(message)
	if err != nil || !gotHeader.Response || gotHeader.ID != sentHeader.ID {
		return false
	}
	a, err := got.Question()
	if err != nil {
		return false
	}
	q, err := sent.Question()
	return err == nil && a == q
}

func isTruncated(b []byte) bool {
	var p dnsmessage.Parser
	h, err := p.Start(b)
	return err == nil && h.Truncated
}

// readStream reads one message as they are written over TCP: behind its length.
func readStream(r io.Reader, limit int) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(size[:]))
	if n > limit {
		return nil, errors.New("relay: a message is too long")
	}
	b := make([]byte, n)
	_, err := io.ReadFull(r, b)
	return b, err
}

func writeStream(w io.Writer, message []byte) error {
	b := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(message)), uint16(len(message)))
	_, err := w.Write(append(b, message...))
	return err
}
