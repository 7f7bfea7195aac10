package outbox

import (
	"reflect"
	"testing"
)

func TestCodec(t *testing.T) {
	in := Message{Handler: "a.b", Account: "000000000000", Region: "us-east-1", Key: "k\x00", Body: []byte{0, 1}, Attempt: 300, ID: "id"}
	out, err := decode(encode(in))
	if err != nil || !reflect.DeepEqual(in, out) {
		t.Errorf("%v\ngot  %+v\nwant %+v", err, out, in)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(encode(Message{Handler: "a.b", Body: []byte("x"), ID: "id"}))
	f.Add([]byte{formatV1, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, row []byte) {
		m, err := decode(row)
		if err != nil {
			return
		}
		again, err := decode(encode(m))
		if err != nil || !reflect.DeepEqual(m, again) {
			t.Fatalf("%v: %+v and %+v", err, m, again)
		}
	})
}
