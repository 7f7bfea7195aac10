package relay

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sync/singleflight"

	"croft/internal/clock"
)

const (
	dnsPort = 53
	// ttl is short, as a name's addresses may change with the host's, and little is asked of a resolver that is this near.
	ttl = 5
	// questionLimit bounds answering one question.
	questionLimit = 10 * time.Second
	// maxQuestion bounds a question's bytes: a name has at most 255.
	maxQuestion = 1024
	// What a client takes over UDP when it does not say, and what is believed when it does.
	plainAnswer = 512
	maxAnswer   = 4096
	// maxAddresses bounds the addresses in an answer.
	maxAddresses = 64
)

// names answers questions about names. It is safe for concurrent use.
type names struct {
	clock clock.Clock
	// own are the names behind which the server itself stands; it may be nil.
	own     func(name string) (netip.Addr, bool)
	host    lookup
	allow   *allowed
	route   func(netip.Addr) (route, error)
	servers func() []netip.AddrPort
	gateway netip.Addr
}

// question is one that can be answered.
type question struct {
	header dnsmessage.Header
	asked  dnsmessage.Question
	// extended says that the question had an EDNS record; limit is how large an answer may be.
	extended bool
	limit    int
}

// answer answers one message of a client's; nil when it deserves none. A limit of zero is that of UDP, which the client may raise.
func (n *names) answer(ctx context.Context, message []byte, limit int) []byte {
	q, code := parseQuestion(message, limit)
	if q == nil {
		return nil
	}
	if code != dnsmessage.RCodeSuccess {
		return q.reply(code, nil)
	}
	ctx, cancel := clock.WithTimeout(ctx, n.clock, questionLimit)
	defer cancel()
	name := strings.ToLower(strings.TrimSuffix(q.asked.Name.String(), "."))
	wanted := q.asked.Type == dnsmessage.TypeA || q.asked.Type == dnsmessage.TypeAAAA
	if n.own != nil {
		if addr, ok := n.own(name); ok {
			return q.reply(dnsmessage.RCodeSuccess, []netip.Addr{addr})
		}
	}
	if !wanted {
		return n.forward(ctx, q)
	}
	addrs, err := n.addresses(ctx, name)
	var failed *net.DNSError
	switch {
	case err == nil:
		return q.reply(dnsmessage.RCodeSuccess, addrs)
	case errors.As(err, &failed) && failed.IsNotFound:
		return q.reply(dnsmessage.RCodeNameError, nil)
	case ctx.Err() != nil:
		return nil
	}
	return q.reply(dnsmessage.RCodeServerFailure, nil)
}

// parseQuestion returns nil when there is nothing that could be answered, and a code other than success when the answer is no.
func parseQuestion(message []byte, limit int) (*question, dnsmessage.RCode) {
	if len(message) > maxQuestion {
		return nil, 0
	}
	var p dnsmessage.Parser
	h, err := p.Start(message)
	if err != nil || h.Response {
		return nil, 0
	}
	q := &question{header: h, limit: limit}
	if limit == 0 {
		q.limit = plainAnswer
	}
	if q.asked, err = p.Question(); err != nil {
		return q, dnsmessage.RCodeFormatError
	}
	if _, err := p.Question(); !errors.Is(err, dnsmessage.ErrSectionDone) {
		return q, dnsmessage.RCodeFormatError
	}
	if h.OpCode != 0 {
		return q, dnsmessage.RCodeNotImplemented
	}
	if q.extended, err = extension(&p, q, limit); err != nil {
		return q, dnsmessage.RCodeFormatError
	}
	switch q.asked.Type {
	case dnsmessage.TypeAXFR, dnsmessage.TypeALL, 251: // transfers, and what nobody answers any more
		return q, dnsmessage.RCodeNotImplemented
	}
	if q.asked.Class != dnsmessage.ClassINET {
		return q, dnsmessage.RCodeRefused
	}
	return q, dnsmessage.RCodeSuccess
}

// extension looks for the EDNS record, which may raise q's limit.
func extension(p *dnsmessage.Parser, q *question, limit int) (bool, error) {
	if err := p.SkipAllAnswers(); err != nil {
		return false, err
	}
	if err := p.SkipAllAuthorities(); err != nil {
		return false, err
	}
	for {
		h, err := p.AdditionalHeader()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if h.Type == dnsmessage.TypeOPT {
			if limit == 0 {
				q.limit = min(max(int(h.Class), plainAnswer), maxAnswer)
			}
			return true, nil
		}
		if err := p.SkipAdditional(); err != nil {
			return false, err
		}
	}
}

// reply makes the answer with those of addrs that are of the kind that was asked for. One that is too large is cut down to saying so.
func (q *question) reply(code dnsmessage.RCode, addrs []netip.Addr) []byte {
	b := q.message(code, addrs, false)
	if len(b) > q.limit {
		b = q.message(code, nil, true)
	}
	return b
}

func (q *question) message(code dnsmessage.RCode, addrs []netip.Addr, truncated bool) []byte {
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: q.header.ID, Response: true, OpCode: q.header.OpCode, Truncated: truncated,
		RecursionDesired: q.header.RecursionDesired, RecursionAvailable: true, RCode: code}}
	if q.asked.Name.Length > 0 {
		m.Questions = []dnsmessage.Question{q.asked}
	}
	h := dnsmessage.ResourceHeader{Name: q.asked.Name, Class: dnsmessage.ClassINET, TTL: ttl}
	for _, a := range addrs[:min(len(addrs), maxAddresses)] {
		switch {
		case a.Is4() && q.asked.Type == dnsmessage.TypeA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AResource{A: a.As4()}})
		case a.Is6() && q.asked.Type == dnsmessage.TypeAAAA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
		}
	}
	if q.extended {
		m.Additionals = []dnsmessage.Resource{optRecord()}
	}
	b, err := m.Pack()
	if err != nil {
		return nil // a name that could be read can be written
	}
	return b
}

func optRecord() dnsmessage.Resource {
	var h dnsmessage.ResourceHeader
	// Without flags for the answer's code, setting it cannot fail.
	_ = h.SetEDNS0(maxAnswer, dnsmessage.RCodeSuccess, false)
	return dnsmessage.Resource{Header: h, Body: &dnsmessage.OPTResource{}}
}

// addresses resolves a name as the host does. A name without a dot is looked for in the host's own domains, others are not: the function asks for them as
// they are.
func (n *names) addresses(ctx context.Context, name string) ([]netip.Addr, error) {
	search := name
	if strings.Contains(name, ".") {
		search += "."
	}
	addrs, err := n.host(ctx, search)
	if err != nil {
		return nil, err
	}
	hidden := n.allow.named(name)
	out := make([]netip.Addr, 0, len(addrs))
	for _, a := range addrs {
		if hidden && a.IsLoopback() {
			a = n.gateway // on the function's side the loopback is its own: see allowed.hidden
		}
		if a.Is6() && !a.IsLoopback() && !n.reachable(a) {
			continue // a host without IPv6: programs that try it first would lose time
		}
		out = append(out, a)
	}
	return out, nil
}

func (n *names) reachable(a netip.Addr) bool {
	r, err := n.route(a)
	return err != nil || r != routeNone
}

// hostNames resolves as programs of the host do, with its hosts file. It is safe for concurrent use.
type hostNames struct {
	ctx      context.Context
	clock    clock.Clock
	resolver net.Resolver
	// asked makes one question of the two that a program asks about each name, one for each kind of address.
	asked singleflight.Group
}

func (h *hostNames) lookup(ctx context.Context, name string) ([]netip.Addr, error) {
	answer := h.asked.DoChan(name, func() (any, error) {
		// Not ctx: one caller's end must not be the other's.
		all, cancel := clock.WithTimeout(h.ctx, h.clock, questionLimit)
		defer cancel()
		addrs, err := h.resolver.LookupNetIP(all, "ip", name)
		for i := range addrs {
			addrs[i] = addrs[i].Unmap().WithZone("")
		}
		return addrs, err
	})
	select {
	case r := <-answer:
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Val.([]netip.Addr), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

const (
	resolvConf = "/etc/resolv.conf"
	maxServers = 3
)

// hostServers reads which name servers the host asks, as it may ask others by now.
func hostServers() []netip.AddrPort {
	f, err := os.Open(resolvConf)
	if err != nil {
		return nil
	}
	defer f.Close()
	return parseServers(io.LimitReader(f, 64<<10))
}

func parseServers(r io.Reader) []netip.AddrPort {
	var out []netip.AddrPort
	for lines := bufio.NewScanner(r); lines.Scan() && len(out) < maxServers; {
		words := strings.Fields(lines.Text())
		if len(words) < 2 || words[0] != "nameserver" {
			continue
		}
		if a, err := netip.ParseAddr(words[1]); err == nil {
			out = append(out, netip.AddrPortFrom(a, dnsPort))
		}
	}
	return out
}
