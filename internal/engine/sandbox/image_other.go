//go:build !linux

package sandbox

import "errors"

// Image is a program in memory. There are none on this system, and sandboxes need none.
type Image struct{}

// NewImage fails.
func NewImage([]byte) (*Image, error) {
	return nil, errors.New("sandbox: there are no programs in memory on this system")
}

// Close does nothing.
func (*Image) Close() error { return nil }
