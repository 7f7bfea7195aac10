package kv

// Sharing is implemented by stores that several processes may use at the same time. A store that does not implement it belongs to one
// process alone.
type Sharing interface {
	// Shared reports whether other processes may be using the store too.
	Shared() bool
}

// Failing is implemented by stores that can come to an end by themselves.
type Failing interface {
	// Failed is closed once the store can no longer be written, for good.
	Failed() <-chan struct{}
	// Err returns why; nil before.
	Err() error
}

// IsShared reports whether other processes may be using s.
func IsShared(s Store) bool {
	sharing, ok := s.(Sharing)
	return ok && sharing.Shared()
}
