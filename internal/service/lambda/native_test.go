package lambda

import (
	"archive/zip"
	"bytes"
	"debug/elf"
	"encoding/binary"
	"testing"
)

func TestBuiltFor(t *testing.T) {
	native := func(m elf.Machine) []byte {
		head := make([]byte, 64)
		copy(head, elf.ELFMAG)
		head[elf.EI_DATA] = byte(elf.ELFDATA2LSB)
		binary.LittleEndian.PutUint16(head[18:], uint16(m))
		return head
	}
	for _, c := range []struct {
		file  string
		body  []byte
		want  elf.Machine
		found bool
	}{
		{"bootstrap", native(elf.EM_AARCH64), elf.EM_AARCH64, true},
		{"bootstrap", native(elf.EM_X86_64), elf.EM_X86_64, true},
		{"bootstrap", []byte("#!/bin/sh\nexec ./more than twenty bytes\n"), 0, false},
		{"bootstrap", []byte("\x7fELF"), 0, false},
		{"other", native(elf.EM_AARCH64), 0, false},
	} {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		w, err := z.Create(c.file)
		if err == nil {
			_, err = w.Write(c.body)
		}
		if err != nil || z.Close() != nil {
			t.Fatal(err)
		}
		if got, found := builtFor(bytes.NewReader(b.Bytes()), int64(b.Len())); got != c.want || found != c.found {
			t.Errorf("%s: %v, %v", c.file, got, found)
		}
	}
	if _, found := builtFor(bytes.NewReader([]byte("PK")), 2); found {
		t.Error("a program in what is no package")
	}
}
