package relay

import (
	"context"
	"math"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"croft/internal/clock"
)

// ask answers a question about a name that came in a datagram.
func (l *Link) ask(p packet) {
	if !l.used.questions.take(1) {
		l.counts.dropped.Add(1)
		l.relay.notes.full(l.who(), "questions about names")
		return
	}
	message := append([]byte(nil), p.segment[header.UDPMinimumSize:]...)
	answer := func() {
		defer l.used.questions.give(1)
		text := l.relay.names.answer(l.ctx, message, 0)
		if text == nil {
			l.counts.dropped.Add(1)
			return
		}
		room := headerSize(p.to.Addr()) + header.UDPMinimumSize
		b := make([]byte, room+len(text))
		copy(b[room:], text)
		putUDP(b, p.flow)
		l.answer(b)
	}
	if !l.begin(answer) {
		l.used.questions.give(1)
	}
}

const (
	// streamIdle is how long a connection for questions may be silent, maxStream how many questions it may carry.
	streamIdle = 10 * time.Second
	maxStream  = 1000
)

// answerStream answers the questions of a connection, one after the other.
func (l *Link) answerStream(e *end) {
	c := gonet.NewTCPConn(e.queue, e.ep)
	defer c.Close()
	stop := context.AfterFunc(l.ctx, e.ep.Abort)
	defer stop()
	for range maxStream {
		ctx, cancel := clock.WithTimeout(l.ctx, l.relay.clock, streamIdle)
		late := context.AfterFunc(ctx, func() { _ = c.SetReadDeadline(longAgo()) }) // gonet's never fails
		message, err := readStream(c, maxQuestion)
		late()
		cancel()
		if err != nil {
			return
		}
		text := l.relay.names.answer(l.ctx, message, math.MaxUint16)
		if text == nil || writeStream(c, text) != nil {
			return
		}
	}
}
