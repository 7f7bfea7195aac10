package lambda

import (
	"archive/zip"
	"context"
	"debug/elf"
	"errors"
	"io"
	"runtime"
	"strings"

	"croft/internal/blob"
)

// machines are the processors of native programs that this machine's Go port runs on, by the names of GOARCH.
func machines() map[string]elf.Machine {
	return map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}
}

// bootstrapFile is the program that a package for an OS-only runtime brings.
const bootstrapFile = "bootstrap"

// checkNative refuses the package of an OS-only runtime whose program was built for another processor than this machine's. What is not
// a native program, a script for example, is not looked into.
func (s *Service) checkNative(ctx context.Context, runtimeName string, ref blob.Ref) (err error) {
	own, known := machines()[runtime.GOARCH]
	if !strings.HasPrefix(runtimeName, "provided") || !known {
		return nil
	}
	body, size, err := s.deps.Blobs.Open(ctx, ref.ID)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	built, found := builtFor(body, size)
	if found && built != own {
		return invalid("The function's bootstrap was built for %s, and this machine runs programs for %s.", machineName(built), machineName(own))
	}
	return nil
}

func machineName(m elf.Machine) string {
	switch m {
	case elf.EM_X86_64:
		return "x86_64"
	case elf.EM_AARCH64:
		return "arm64"
	}
	return m.String()
}

// builtFor returns the processor for which a package's bootstrap was built, if it is a native program.
func builtFor(pkg io.ReaderAt, size int64) (elf.Machine, bool) {
	z, err := zip.NewReader(pkg, size)
	if err != nil {
		return 0, false
	}
	for _, f := range z.File {
		if f.Name != bootstrapFile {
			continue
		}
		r, err := f.Open()
		if err != nil {
			return 0, false
		}
		var head [20]byte
		_, err = io.ReadFull(r, head[:])
		if err = errors.Join(err, r.Close()); err != nil || string(head[:4]) != elf.ELFMAG || head[elf.EI_DATA] != byte(elf.ELFDATA2LSB) {
			return 0, false
		}
		return elf.Machine(uint16(head[18]) | uint16(head[19])<<8), true
	}
	return 0, false
}
