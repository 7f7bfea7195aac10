// Package bundle handles deployment packages: it checks and unpacks zip files that may be hostile, keeps what is unpacked, and makes a
// zip file of a local folder.
//
// What a zip file says of itself is not believed. Sizes are counted while writing; the directory is read up to a bound; a name that
// leaves its folder, a device, a link that points outside make the whole package invalid, and nothing of an invalid package stays.
package bundle

import (
	"archive/zip"
	"io"
	"io/fs"
	"path"
	"strings"

	"croft/internal/cloud"
)

// Limits of a deployment package.
const (
	// MaxUnzipped is Lambda's quota for a package's files, in bytes: "250 MB", which is 250 MiB.
	MaxUnzipped = 262144000
	// MaxFiles bounds the entries. Lambda documents no such bound.
	MaxFiles = 100_000
	// maxDirectory bounds the bytes of the zip file's own directory, which is held in memory.
	maxDirectory = 32 << 20
	// maxDepth bounds how deep folders nest.
	maxDepth = 64
	// maxLink bounds a symbolic link's text.
	maxLink = 4096
)

func invalid(format string, args ...any) *cloud.Error {
	return cloud.Errorf("InvalidParameterValueException", format, args...)
}

func errTooLarge() *cloud.Error {
	return invalid("Unzipped size must be smaller than %d bytes", MaxUnzipped)
}

// Check reports what is wrong with the zip file in r, as far as that shows without unpacking it: a *cloud.Error with the code
// InvalidParameterValueException. It returns the size of the unpacked files as the zip file states it.
func Check(r io.ReaderAt, size int64) (int64, error) {
	_, total, err := open(r, size)
	return total, err
}

// entry is one member of a package whose name and kind are in order.
type entry struct {
	file *zip.File
	name string
	kind fs.FileMode
}

// open reads the directory of the zip file and checks every entry, and the sizes that they state: what states too much is refused even
// if it turns out to be less.
func open(r io.ReaderAt, size int64) (entries []entry, total int64, err error) {
	limited := &limitedReaderAt{r: r, left: maxDirectory}
	z, err := zip.NewReader(limited, size)
	if err != nil {
		return nil, 0, &cloud.Error{
			Code:    "InvalidParameterValueException",
			Message: "Could not unzip uploaded file. Please check your file, then try to upload again.",
			Cause:   err,
		}
	}
	limited.left = -1
	if len(z.File) > MaxFiles {
		return nil, 0, invalid("The deployment package has more than %d files", MaxFiles)
	}
	entries = make([]entry, 0, len(z.File))
	for _, f := range z.File {
		e, err := check(f)
		if err != nil {
			return nil, 0, err
		}
		if total += int64(min(f.UncompressedSize64, MaxUnzipped+1)); total > MaxUnzipped {
			return nil, 0, errTooLarge()
		}
		if e.name != "." {
			entries = append(entries, e)
		}
	}
	return entries, total, nil
}

func check(f *zip.File) (entry, error) {
	e := entry{file: f, kind: f.Mode().Type()}
	if strings.HasPrefix(f.Name, "/") || strings.ContainsRune(f.Name, 0) || hasDotDot(f.Name) {
		return e, invalid("The deployment package has an entry that lies outside of it: %.200q", f.Name)
	}
	e.name = path.Clean(f.Name)
	if len(e.name) > 4096 || strings.Count(e.name, "/") > maxDepth {
		return e, invalid("The deployment package has an entry with too long a name: %.200q", f.Name)
	}
	if e.kind != 0 && e.kind != fs.ModeDir && e.kind != fs.ModeSymlink {
		return e, invalid("The deployment package has an entry that is neither file nor folder nor link: %.200q", f.Name)
	}
	const encrypted = 1
	if f.Flags&encrypted != 0 {
		return e, invalid("The deployment package has an encrypted entry: %.200q", f.Name)
	}
	return e, nil
}

func hasDotDot(name string) bool {
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return true
		}
	}
	return false
}

// checkLink reports whether a link at name with the text target stays inside. Only steps up at the beginning are allowed: they start at a
// real folder, while a step up behind a name may start wherever that name, itself a link, leads.
func checkLink(name, target string) error {
	depth := strings.Count(name, "/")
	up := 0
	rest := target
	for {
		after, ok := strings.CutPrefix(rest, "../")
		if !ok {
			break
		}
		rest, up = after, up+1
	}
	if rest == ".." {
		rest, up = "", up+1
	}
	if target == "" || len(target) > maxLink || path.IsAbs(target) || strings.ContainsRune(target, 0) || hasDotDot(rest) || up > depth {
		return invalid("The deployment package has a link that points outside of it: %.200q -> %.200q", name, target)
	}
	return nil
}

// limitedReaderAt fails after left bytes; a negative left means no limit.
type limitedReaderAt struct {
	r    io.ReaderAt
	left int64
}

func (l *limitedReaderAt) ReadAt(p []byte, off int64) (int, error) {
	if l.left < 0 {
		return l.r.ReadAt(p, off)
	}
	if int64(len(p)) > l.left {
		return 0, zip.ErrFormat
	}
	n, err := l.r.ReadAt(p, off)
	l.left = max(l.left-int64(n), 0)
	return n, err
}
