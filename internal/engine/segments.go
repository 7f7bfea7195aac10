package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"

	"croft/internal/clock"
)

// segmentsHost and segmentsPort are where the X-Ray daemon is, inside a sandbox: SDKs send it segments over UDP, and ask it for sampling rules over TCP.
// Source: X-Ray Developer Guide, "Sending segment documents to the X-Ray daemon".
const (
	segmentsHost = "127.0.0.1"
	segmentsPort = "2000"
	segmentsAddr = segmentsHost + ":" + segmentsPort
)

const (
	// maxDatagram is more than any datagram has.
	maxDatagram = 64 << 10
	// maxDatagrams is how many are taken from one environment in datagramTime. What comes beyond them waits in the kernel, which drops what it has no
	// room for: a function that floods the daemon takes that much of the server's time and no more.
	maxDatagrams = 500
	datagramTime = 100 * time.Millisecond
)

// datagrams are buffers that all environments share: most of them never send a segment.
var datagrams = sync.Pool{New: func() any { return new([maxDatagram]byte) }}

// segmentVariables tell SDKs where the daemon is, and not to fail without a segment. Source: Lambda Developer Guide, "Lambda environment variables".
func segmentVariables(cfg Config) map[string]string {
	if cfg.Segments == nil {
		return nil
	}
	return map[string]string{
		"AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR", "AWS_XRAY_DAEMON_ADDRESS": segmentsAddr,
		"_AWS_XRAY_DAEMON_ADDRESS": segmentsHost, "_AWS_XRAY_DAEMON_PORT": segmentsPort,
	}
}

// segmentPackets are the addresses of the daemon's UDP half.
func segmentPackets(cfg Config) []string {
	if cfg.Segments == nil {
		return nil
	}
	return []string{segmentsAddr}
}

// segmentListeners are those of its TCP half.
func segmentListeners(cfg Config) []string { return segmentPackets(cfg) }

// receiveSegments reads segments until conn is closed.
func (p *process) receiveSegments(env *environment, conn net.PacketConn) {
	sys, ok := conn.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := sys.SyscallConn()
	if err != nil {
		return
	}
	begin, n := p.clock.Now(), 0
	for {
		var document []byte
		// The error is that of a closed connection. A buffer is taken only when there is something to read.
		if raw.Read(func(fd uintptr) (done bool) {
			document, done = readSegment(int(fd))
			return done
		}) != nil {
			return
		}
		if document != nil {
			env.e.cfg.Segments(env.Environment, document)
		}
		if now := p.clock.Now(); now.Sub(begin) >= datagramTime {
			begin, n = now, 0
		}
		if n++; n < maxDatagrams {
			continue
		}
		if clock.Sleep(p.ctx, p.clock, datagramTime) != nil {
			return
		}
	}
}

// readSegment reads one datagram. It is not done when there is none; document is nil when there is no segment in it.
func readSegment(fd int) (document []byte, done bool) {
	buf := datagrams.Get().(*[maxDatagram]byte)
	defer datagrams.Put(buf)
	for {
		n, _, err := syscall.Recvfrom(fd, buf[:], syscall.MSG_DONTWAIT)
		switch {
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EAGAIN):
			return nil, false
		case err != nil:
			return nil, true
		default:
			return segmentIn(buf[:n]), true
		}
	}
}

// segmentIn returns a copy of the segment document in a datagram: a header in a line of its own, then a JSON object. Nil when it is none.
func segmentIn(datagram []byte) []byte {
	head, body, ok := bytes.Cut(datagram, []byte{'\n'})
	if !ok || len(head) > 256 {
		return nil
	}
	var h struct {
		Format  string `json:"format"`
		Version int    `json:"version"`
	}
	if json.Unmarshal(head, &h) != nil || h.Format != "json" || h.Version != 1 {
		return nil
	}
	body = bytes.TrimSpace(body)
	if len(body) == 0 || body[0] != '{' || !json.Valid(body) {
		return nil
	}
	return bytes.Clone(body)
}

// samplingHandler answers what SDKs ask the daemon over TCP: there are no rules, and they go on with their own.
func samplingHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		operation := strings.TrimPrefix(r.URL.Path, "/")
		if operation == "SamplingTargets" {
			operation = "GetSamplingTargets"
		}
		body, err := json.Marshal(map[string]string{
			"__type": "NotImplemented", "message": "croft does not implement X-Ray's " + operation[:min(len(operation), 64)] + ". SDKs sample by their own rules.",
		})
		if err != nil {
			body = nil // of strings it is always possible
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Amzn-Errortype", "NotImplemented")
		w.WriteHeader(http.StatusNotImplemented)
		_, _ = w.Write(body) // whoever has gone needs no answer
	})
}

// serveSegments serves both halves of the daemon, and returns the listeners that are left.
func (p *process) serveSegments(env *environment, listeners []net.Listener) []net.Listener {
	if env.e.cfg.Segments == nil {
		return listeners
	}
	if len(p.packets) > 0 {
		p.serving.Go(func() { p.receiveSegments(env, p.packets[0]) })
	}
	if env.e.relay == nil {
		return listeners // reduced isolation: the free port for UDP is not that for TCP
	}
	p.serve(listeners[0], endpointServer(samplingHandler()))
	return listeners[1:]
}
