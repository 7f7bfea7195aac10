package wire

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"croft/internal/clock"
	"croft/internal/cloud"
)

// talk is an input and output with a stream, in which every kind of event occurs.
type talk struct {
	Name   string
	Stream Events[said]
}

type said struct {
	Plain *plainEvent
	Full  *fullEvent
	Raw   *rawEvent
	Text  *textEvent
	Doc   *docEvent
	Empty *struct{}
}

type plainEvent struct {
	Word  string
	Count *int32
}

type fullEvent struct {
	Flag  *bool
	Small *int32
	Large *int64
	Bytes []byte
	Text  *string
	When  *time.Time
	Body  *string
}

type rawEvent struct {
	Kind    *string
	Payload []byte
}

type textEvent struct{ Payload *string }

type docEvent struct{ Payload *plainEvent }

func talkService(p Protocol) *Service {
	schema := &Schema{Validation: Validation{Code: "ValidationException"}, Shapes: []Shape{{},
		{Name: "Talk", Kind: Structure, Events: 2, Members: []Member{{Name: "Name", Wire: "name", Shape: 9, Required: true}, {Name: "Stream", Wire: "stream", Shape: 2}}},
		{Name: "Said", Kind: EventStream, Members: []Member{{Name: "Plain", Wire: "plain", Shape: 3}, {Name: "Full", Wire: "full", Shape: 4},
			{Name: "Raw", Wire: "raw", Shape: 5}, {Name: "Text", Wire: "text", Shape: 6}, {Name: "Doc", Wire: "doc", Shape: 7}, {Name: "Empty", Wire: "empty", Shape: 8}},
			Exceptions: []Member{{Name: "Enough", Wire: "enough", Shape: 16}}},
		{Name: "PlainEvent", Kind: Structure, Checked: true, Members: []Member{{Name: "Word", Wire: "word", Shape: 9, Required: true}, {Name: "Count", Wire: "count", Shape: 10}}},
		{Name: "FullEvent", Kind: Structure, Members: []Member{{Name: "Flag", Wire: "flag", Shape: 11, In: InEventHeader}, {Name: "Small", Wire: "small", Shape: 10, In: InEventHeader},
			{Name: "Large", Wire: "large", Shape: 12, In: InEventHeader}, {Name: "Bytes", Wire: "bytes", Shape: 13, In: InEventHeader},
			{Name: "Text", Wire: "text", Shape: 14, In: InEventHeader}, {Name: "When", Wire: "when", Shape: 15, In: InEventHeader}, {Name: "Body", Wire: "body", Shape: 14}}},
		{Name: "RawEvent", Kind: Structure, Payload: 2, Members: []Member{{Name: "Kind", Wire: "kind", Shape: 14, In: InEventHeader}, {Name: "Payload", Wire: "payload", Shape: 13}}},
		{Name: "TextEvent", Kind: Structure, Payload: 1, Members: []Member{{Name: "Payload", Wire: "payload", Shape: 14}}},
		{Name: "DocEvent", Kind: Structure, Payload: 1, Members: []Member{{Name: "Payload", Wire: "payload", Shape: 3}}},
		{Name: "Empty", Kind: Structure},
		{Name: "Word", Kind: String, Checked: true, Limits: &Limits{Max: 10, HasMax: true}}, {Name: "Integer", Kind: Integer}, {Name: "Boolean", Kind: Boolean}, {Name: "Long", Kind: Long},
		{Name: "Blob", Kind: Blob}, {Name: "String", Kind: String}, {Name: "Timestamp", Kind: Timestamp},
		{Name: "Enough", Kind: Structure, Error: &ErrorTrait{Code: "EnoughException"}, Members: []Member{{Name: "message", Wire: "message", Shape: 14}, {Name: "after", Wire: "after", Shape: 10}}},
	}}
	if p == RESTJSON || p == RESTXML {
		schema.Shapes[1].Payload = 2
		schema.Shapes[1].Members[0].In = InHeader
	}
	op := &Operation{Name: "Talk", Status: 200, Input: 1, Output: 1, Schema: schema, New: func() any { return new(talk) }, Route: Route{Method: "POST", Segments: []string{"talk"}}}
	return &Service{Name: "talks", TargetPrefix: "Talks", JSONVersion: "1.1", Protocols: []Protocol{p}, Schema: schema, Operations: []*Operation{op}, Errors: []Ref{16}}
}

// talkExchange returns the exchange of a request with the given body.
func talkExchange(t testing.TB, svc *Service, body []byte) *Exchange {
	t.Helper()
	r := httptest.NewRequest("POST", "/talk", nil)
	r.Header.Set("X-Amz-Target", "Talks.Talk")
	r.Header.Set("Content-Type", eventStreamType)
	r.Header.Set("name", "n")
	if svc.Protocols[0] == RPCv2CBOR {
		r.Header.Set("Smithy-Protocol", "rpc-v2-cbor")
		r.URL.Path = "/service/Talks/operation/Talk"
	}
	x, err := Match(svc, r, body)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func everything() []*said {
	return []*said{
		{Plain: &plainEvent{Word: "a<b", Count: Ptr(int32(3))}},
		{Full: &fullEvent{Flag: Ptr(false), Small: Ptr(int32(-5)), Large: Ptr(int64(1 << 40)), Bytes: []byte{0, 255}, Text: Ptr("ä"), When: Ptr(time.UnixMilli(1767323045678).UTC()), Body: Ptr("b")}},
		{Full: &fullEvent{Flag: Ptr(true), Body: Ptr("")}},
		{Raw: &rawEvent{Kind: Ptr("k"), Payload: []byte{1, 2, 3}}},
		{Text: &textEvent{Payload: Ptr("text ä")}},
		{Doc: &docEvent{Payload: &plainEvent{Word: "w"}}},
		{Empty: &struct{}{}},
	}
}

func eventsOf(list []*said, last error) Events[said] {
	return func(yield func(*said, error) bool) {
		for _, e := range list {
			if !yield(e, nil) {
				return
			}
		}
		if last != nil {
			yield(nil, last)
		}
	}
}

// TestEventStreams writes every event in every protocol, and reads the answer as if it were a request.
func TestEventStreams(t *testing.T) {
	for _, p := range []Protocol{AWSJSON, RESTJSON, RESTXML, RPCv2CBOR} {
		svc := talkService(p)
		x := talkExchange(t, svc, nil)
		w := httptest.NewRecorder()
		if err := x.Encode(w, "the-id", &talk{Name: "n", Stream: eventsOf(everything(), nil)}); err != nil {
			t.Fatal(p, err)
		}
		if w.Code != 200 || w.Header().Get("Content-Type") != eventStreamType || w.Header().Get("x-amzn-RequestId") != "the-id" || !w.Flushed {
			t.Errorf("%s: %d %v", p, w.Code, w.Header())
		}
		body := w.Body.Bytes()
		if isRPC(p) {
			first, rest, err := readEvent(body)
			if err != nil || first.text(":event-type") != "initial-response" {
				t.Fatal(p, first, err)
			}
			first.headers[1].value = "initial-request"
			if body, err = first.appendTo(nil); err != nil {
				t.Fatal(err)
			}
			body = append(body, rest...)
		}
		x = talkExchange(t, svc, body)
		in, err := x.Decode()
		if err != nil {
			t.Fatal(p, err)
		}
		got := in.(*talk)
		var list []*said
		for e, err := range got.Stream {
			if err != nil {
				t.Fatal(p, err)
			}
			list = append(list, e)
		}
		if got.Name != "n" || !reflect.DeepEqual(list, everything()) {
			t.Errorf("%s: %s", p, describeEvents(list))
		}
	}
}

func describeEvents(list []*said) string {
	var b strings.Builder
	for _, e := range list {
		fmt.Fprintf(&b, "%+v %+v %+v %+v %+v %+v\n", e.Plain, e.Full, e.Raw, e.Text, e.Doc, e.Empty)
	}
	return b.String()
}

// lastMessage returns the last message of an answer that ends with err.
func lastMessage(t *testing.T, p Protocol, err error) (eventMessage, error) {
	t.Helper()
	w := httptest.NewRecorder()
	failed := talkExchange(t, talkService(p), nil).Encode(w, "the-id", &talk{Name: "n", Stream: eventsOf(everything()[:1], err)})
	var m eventMessage
	for rest := w.Body.Bytes(); len(rest) > 0; {
		var bad error
		if m, rest, bad = readEvent(rest); bad != nil {
			t.Fatal(bad)
		}
	}
	return m, failed
}

func TestEventStreamsThatFail(t *testing.T) {
	enough := &cloud.Error{Code: "EnoughException", Message: "that's it", Fields: map[string]any{"after": int32(7)}}
	for p, want := range map[Protocol]string{
		AWSJSON: `{"message":"that's it","after":7}`, RESTJSON: `{"message":"that's it","after":7}`,
		RESTXML: `<Enough><message>that's it</message><after>7</after></Enough>`, RPCv2CBOR: "\xbfgmessageithat's iteafter\x07\xff",
	} {
		m, err := lastMessage(t, p, enough)
		if err != nil || m.text(":message-type") != "exception" || m.text(":exception-type") != "enough" || string(m.payload) != want {
			t.Errorf("%s: %v %v %q", p, err, m.headers, m.payload)
		}
	}
	m, err := lastMessage(t, AWSJSON, cloud.Errorf("Other", "%s", strings.Repeat("x", 40_000)))
	if err != nil || m.text(":message-type") != "error" || m.text(":error-code") != "Other" || len(m.text(":error-message")) != maxEventValue {
		t.Error(err, m.text(":error-code"))
	}
	secret := errors.New("secret")
	if m, err = lastMessage(t, AWSJSON, secret); !errors.Is(err, secret) || m.text(":error-code") != "InternalFailure" || strings.Contains(fmt.Sprint(m), "secret") {
		t.Error(err, m)
	}
	w := httptest.NewRecorder()
	err = talkExchange(t, talkService(AWSJSON), nil).Encode(w, "id", &talk{Stream: func(yield func(*said, error) bool) { panic("secret") }})
	if err == nil || !strings.Contains(err.Error(), "panicked: secret") || !strings.Contains(w.Body.String(), "InternalFailure") || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("a stream that panics: %v %q", err, w.Body)
	}
	w = httptest.NewRecorder()
	if err := talkExchange(t, talkService(AWSJSON), nil).Encode(w, "id", &talk{}); err == nil || w.Code != 500 {
		t.Errorf("an answer without a stream: %v %d", err, w.Code)
	}
	w = httptest.NewRecorder()
	if err := talkExchange(t, talkService(AWSJSON), nil).Encode(w, "id", &talk{Stream: eventsOf([]*said{{}}, nil)}); err == nil || !strings.Contains(w.Body.String(), "InternalFailure") {
		t.Errorf("an event without a member: %v", err)
	}
}

// brokenWriter fails at its nth write.
type brokenWriter struct {
	http.ResponseWriter
	left int
}

func (b *brokenWriter) Write(p []byte) (int, error) {
	if b.left--; b.left < 0 {
		return 0, errors.New("gone")
	}
	return len(p), nil
}

func TestEventStreamsStop(t *testing.T) {
	sent := 0
	endless := func(yield func(*said, error) bool) {
		for yield(everything()[0], nil) {
			sent++
		}
	}
	x := talkExchange(t, talkService(AWSJSON), nil)
	if err := x.Encode(&brokenWriter{httptest.NewRecorder(), 3}, "id", &talk{Stream: endless}); err == nil || sent != 2 {
		t.Errorf("a client that went away: %v after %d", err, sent)
	}
	ctx, cancel := context.WithCancel(t.Context())
	x.request = x.request.WithContext(ctx)
	sent = 0
	err := x.Encode(httptest.NewRecorder(), "id", &talk{Stream: func(yield func(*said, error) bool) {
		for yield(everything()[0], nil) {
			if sent++; sent == 5 {
				cancel()
			}
		}
	}})
	if err != nil || sent != 5 {
		t.Errorf("a request that ended: %v after %d", err, sent)
	}
}

func TestEventInputRefused(t *testing.T) {
	message := func(m eventMessage) []byte {
		b, err := m.appendTo(nil)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	event := func(name, payload string, more ...eventHeader) eventMessage {
		return eventMessage{headers: append(eventHeaders(name, jsonType), more...), payload: []byte(payload)}
	}
	signed := eventMessage{headers: []eventHeader{{":date", time.Unix(1, 0)}, {":chunk-signature", []byte{1}}}, payload: message(event("text", "x"))}
	damaged := message(event("plain", `{"word":"w"}`))
	damaged[20]++
	for _, c := range []struct {
		name string
		body []byte
		want string
	}{
		{"cut off", message(event("plain", `{"word":"w"}`))[:30], "the message is cut off"},
		{"damaged", damaged, "checksum is wrong"},
		{"unknown", message(event("other", "{}")), "it has no event 'other'"},
		{"no JSON", message(event("plain", "{")), "not valid JSON"},
		{"missing", message(event("plain", "{}")), "Member must not be null"},
		{"too long", message(event("plain", `{"word":"12345678901"}`)), "length less than or equal to 10"},
		{"header of another type", message(event("full", "{}", eventHeader{"small", "text"})), "its header 'small' is of another type"},
		{"header too large", message(event("full", "{}", eventHeader{"small", int64(1 << 40)})), "its header 'small' is of another type"},
		{"signed", message(signed), "does not verify the signatures"},
	} {
		x := talkExchange(t, talkService(RESTJSON), c.body)
		in, err := x.Decode()
		if err != nil {
			t.Fatal(c.name, err)
		}
		var last error
		for _, err := range in.(*talk).Stream {
			last = err
		}
		if last == nil || !strings.Contains(last.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.name, last, c.want)
		}
	}
	x := talkExchange(t, talkService(RESTJSON), append(message(signed), message(eventMessage{headers: signed.headers})...))
	x.CheckEvent = func(date time.Time, signature, payload []byte) error {
		if !date.Equal(time.Unix(1, 0)) || !bytes.Equal(signature, []byte{1}) {
			return errors.New("bad signature")
		}
		return nil
	}
	in, err := x.Decode()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for e, err := range in.(*talk).Stream {
		if n++; err != nil || e.Text == nil || *e.Text.Payload != "x" {
			t.Errorf("%+v, %v", e, err)
		}
	}
	if n != 1 {
		t.Errorf("%d events", n)
	}
	if _, err := talkExchange(t, talkService(AWSJSON), message(event("plain", "{}"))).Decode(); err == nil || !strings.Contains(err.Error(), "the first message is not the initial request") {
		t.Error(err)
	}
	if _, err := talkExchange(t, talkService(AWSJSON), message(event("initial-request", `{"Name":"a","Stream":{"x":1}}`))).Decode(); err != nil {
		t.Errorf("a stream in the document is not a member: %v", err)
	}
}

func allHeaders() []eventHeader {
	return []eventHeader{{"t", true}, {"f", false}, {"b", int8(-1)}, {"s", int16(-2)}, {"i", int32(-3)}, {"l", int64(-4)},
		{"y", []byte{5}}, {"x", "six"}, {"d", time.UnixMilli(-7).UTC()}, {"u", uuid{8}}}
}

func TestEventFrames(t *testing.T) {
	m := eventMessage{headers: allHeaders(), payload: []byte("payload")}
	b, err := m.appendTo([]byte("before"))
	if err != nil {
		t.Fatal(err)
	}
	got, rest, err := readEvent(append(b[6:], "behind"...))
	if err != nil || string(rest) != "behind" || !reflect.DeepEqual(got, m) {
		t.Errorf("%v %q %+v", err, rest, got)
	}
	for name, m := range map[string]eventMessage{
		"no name":       {headers: []eventHeader{{"", true}}},
		"long name":     {headers: []eventHeader{{strings.Repeat("x", 256), true}}},
		"long value":    {headers: []eventHeader{{"x", make([]byte, 1<<15)}}},
		"other type":    {headers: []eventHeader{{"x", 1}}},
		"large headers": {headers: slices.Repeat([]eventHeader{{"x", make([]byte, 1<<15-1)}}, 5)},
		"large payload": {payload: make([]byte, maxEventPayload+1)},
	} {
		if b, err := m.appendTo(nil); err == nil || len(b) != 0 {
			t.Errorf("%s is written", name)
		}
	}
	twice := eventMessage{headers: []eventHeader{{"x", true}, {"x", false}}}
	if b, err = twice.appendTo(nil); err != nil {
		t.Fatal(err)
	}
	if _, _, err := readEvent(b); !errors.Is(err, errEventHeader) {
		t.Errorf("a header given twice: %v", err)
	}
}

func FuzzEvent(f *testing.F) {
	for _, m := range []eventMessage{{}, {headers: allHeaders(), payload: []byte("p")}} {
		b, err := m.appendTo(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, true)
	}
	f.Fuzz(func(t *testing.T, b []byte, fix bool) {
		if fix {
			b = fixChecksums(b)
		}
		m, rest, err := readEvent(b)
		if err != nil {
			return
		}
		again, err := m.appendTo(nil)
		if err != nil || !bytes.Equal(append(again, rest...), b) {
			t.Fatalf("%v\n%x\n%x", err, b, again)
		}
	})
}

// fixChecksums makes a message of what the fuzzer made of one, so that it comes further than the checksums.
func fixChecksums(b []byte) []byte {
	if len(b) < eventOverhead {
		return b
	}
	m := eventMessage{payload: b[eventPrelude : len(b)-4]}
	out, err := m.appendTo(nil)
	if err != nil {
		return b
	}
	headers := int(b[7]) % (len(out) - eventOverhead + 1)
	out[7] = byte(headers)
	return reseal(out)
}

func reseal(b []byte) []byte {
	binary.BigEndian.PutUint32(b[8:], crc32.ChecksumIEEE(b[:8]))
	binary.BigEndian.PutUint32(b[len(b)-4:], crc32.ChecksumIEEE(b[:len(b)-4]))
	return b
}

// deadlineWriter is a connection that notes its deadlines.
type deadlineWriter struct {
	*httptest.ResponseRecorder
	set []time.Time
}

func (d *deadlineWriter) SetWriteDeadline(t time.Time) error {
	d.set = append(d.set, t)
	return nil
}

// TestEventStreamsGiveUp has each message under a deadline of its own, and none on the connection afterwards.
func TestEventStreamsGiveUp(t *testing.T) {
	w := &deadlineWriter{ResponseRecorder: httptest.NewRecorder()}
	if err := talkExchange(t, talkService(AWSJSON), nil).Encode(w, "id", &talk{Name: "n", Stream: eventsOf(everything(), nil)}); err != nil {
		t.Fatal(err)
	}
	if n := len(everything()); len(w.set) != 1+n+1 || !w.set[n+1].IsZero() || w.set[0].Sub(clock.Real().Now()) > eventPatience || w.set[n].Before(w.set[0]) {
		t.Errorf("%v", w.set)
	}
}

// FuzzEventInput decodes whatever a client may send as the payload and the headers of an event.
func FuzzEventInput(f *testing.F) {
	names := [...]string{"plain", "full", "raw", "text", "doc", "empty", initialRequest}
	for i := range names {
		f.Add(uint8(i), "small", "x", []byte(`{"word":"w","count":1}`))
		f.Add(uint8(i), "text", "x", []byte("<PlainEvent><word>w</word></PlainEvent>"))
		f.Add(uint8(i), "text", "x", []byte("\xa1dWordaw"))
	}
	f.Fuzz(func(t *testing.T, name uint8, header, value string, payload []byte) {
		m := eventMessage{headers: append(eventHeaders(names[int(name)%len(names)], jsonType), eventHeader{header, value}), payload: payload}
		body, err := m.appendTo(nil)
		if err != nil {
			return
		}
		for _, p := range []Protocol{AWSJSON, RESTJSON, RESTXML, RPCv2CBOR} {
			in, err := talkExchange(t, talkService(p), slices.Concat(body, body)).Decode()
			if err != nil {
				checkError(t, err)
				continue
			}
			for _, err := range in.(*talk).Stream {
				if err != nil {
					checkError(t, err)
				}
			}
		}
	})
}
