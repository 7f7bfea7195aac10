package blob

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// ErrForeign is returned when opening a place for bodies that belongs to another cloud. Two clouds in one place would each sweep away the
// other's bodies, whose names they do not know.
var ErrForeign = errors.New("blob: the bodies belong to another cloud")

const (
	// OwnerName is what the file or object is called that says whose the bodies are.
	OwnerName = "owner"
	// MaxOwner bounds what it holds, in bytes.
	MaxOwner = 256
)

// CheckOwner compares what a place says with who asks.
func CheckOwner(place, says, owner string) error {
	if says == owner {
		return nil
	}
	return fmt.Errorf("%w: %s names the cloud %.64q, this is %.64q. Choose another place for bodies, or start with the store that goes with this one; "+
		"if that is lost for good, remove %s, and this cloud will clear the place of everything that it does not name", ErrForeign, place, says, owner, place)
}

// claim makes the folder the owner's, or finds that it is somebody else's. A file that a crash left empty says nothing.
func (d *Dir) claim(owner string) error {
	path := filepath.Join(d.path, OwnerName)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	says, err := io.ReadAll(io.LimitReader(f, MaxOwner))
	if err != nil {
		return err
	}
	if len(says) > 0 {
		return CheckOwner(path, string(says), owner)
	}
	if _, err := f.WriteString(owner); err != nil {
		return err
	}
	return errors.Join(d.ops.sync(f), d.ops.syncDir(d.path))
}
