package wire

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// discard is a ResponseWriter that keeps nothing.
type discard struct{ h http.Header }

func (d discard) Header() http.Header         { return d.h }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

// BenchmarkEvents writes a stream of a thousand events.
func BenchmarkEvents(b *testing.B) {
	x := talkExchange(b, talkService(AWSJSON), nil)
	list := everything()
	for len(list) < 1000 {
		list = append(list, list[0])
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := x.Encode(discard{http.Header{}}, "id", &talk{Stream: eventsOf(list, nil)}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEcho decodes, validates and encodes the same value of some four hundred bytes in the protocols whose bodies are documents.
func BenchmarkEcho(b *testing.B) {
	for _, c := range []struct {
		p    Protocol
		body []byte
	}{{AWSJSON, []byte(richThing)}, {RESTJSON, []byte(restNames(richThing))}, {RPCv2CBOR, richCBOR(b)}} {
		b.Run(c.p.String(), func(b *testing.B) {
			svc := thingService(c.p)
			r := httptest.NewRequest("POST", "/echo", nil)
			r.Header.Set("X-Amz-Target", "Things.Echo")
			if c.p == RPCv2CBOR {
				r = httptest.NewRequest("POST", "/service/Things/operation/Echo", nil)
				r.Header.Set("Smithy-Protocol", cborProtocol)
				r.Header.Set("Content-Type", cborType)
			}
			b.ReportAllocs()
			for b.Loop() {
				x, err := Match(svc, r, c.body)
				if err != nil {
					b.Fatal(err)
				}
				in, err := x.Decode()
				if err != nil {
					b.Fatal(err)
				}
				if err := x.Encode(discard{http.Header{}}, "id", in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
