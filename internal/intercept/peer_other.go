//go:build !linux

package intercept

// ownConnection reports whether the connection from client to us was opened by the user that we run as. This system does not say.
func ownConnection(_, _ string) bool { return false }
