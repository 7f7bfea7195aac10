package wire

import (
	"encoding/binary"
	"hash/crc32"
	"testing"
)

// TestManyEventHeaders: as many headers as fit take time in proportion, and one twice is refused.
func TestManyEventHeaders(t *testing.T) {
	frame := func(last string) []byte {
		var h []byte
		for i := range 20_000 {
			h = append(h, 4, byte('a'+i%26), byte('a'+i/26%26), byte('a'+i/676%26), byte('a'+i/17576), eventTrue)
		}
		h = append(append(append(h, byte(len(last))), last...), eventTrue)
		b := binary.BigEndian.AppendUint32(nil, uint32(len(h)+eventOverhead))
		b = binary.BigEndian.AppendUint32(b, uint32(len(h)))
		b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
		b = append(b, h...)
		return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	}
	if m, _, err := readEvent(frame("last")); err != nil || len(m.headers) != 20_001 {
		t.Errorf("%d headers, %v", len(m.headers), err)
	}
	if _, _, err := readEvent(frame("aaaa")); err != errEventHeader {
		t.Errorf("one twice: %v", err)
	}
}
