//go:build !linux

package relay

import (
	"errors"
	"net/netip"
)

func askRoute(netip.Addr) (route, error) {
	return 0, errors.New("relay: this system's routing cannot be asked")
}
