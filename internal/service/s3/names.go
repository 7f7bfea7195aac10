package s3

import (
	"net/netip"
	"strings"
)

// validName reports whether a new bucket may bear a name. Source: S3 User Guide, "General purpose bucket naming rules".
func validName(name string) bool {
	if len(name) < 3 || len(name) > 63 || !isAlnum(name[0]) || !isAlnum(name[len(name)-1]) || strings.Contains(name, "..") {
		return false
	}
	for i := range len(name) {
		if c := name[i]; !isAlnum(c) && c != '-' && c != '.' {
			return false
		}
	}
	if _, err := netip.ParseAddr(name); err == nil || looksLikeAddress(name) {
		return false
	}
	for _, prefix := range [...]string{"xn--", "sthree-", "amzn-s3-demo-"} {
		if strings.HasPrefix(name, prefix) {
			return false
		}
	}
	for _, suffix := range [...]string{"-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"} {
		if strings.HasSuffix(name, suffix) {
			return false
		}
	}
	return true
}

func isAlnum(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }

// looksLikeAddress reports whether a name has four parts of digits, in range or not.
func looksLikeAddress(name string) bool {
	parts := strings.Split(name, ".")
	for _, p := range parts {
		if p == "" || strings.Trim(p, "0123456789") != "" {
			return false
		}
	}
	return len(parts) == 4
}

// askableName reports whether there could ever have been a bucket of that name: rules were looser once.
func askableName(name string) bool {
	if name == "" || len(name) > 255 {
		return false
	}
	for i := range len(name) {
		if c := name[i] | 0x20; !isAlnum(c) && !isAlnum(name[i]) && !strings.ContainsRune("-._", rune(name[i])) {
			return false
		}
	}
	return true
}
