package lambda

import "sync"

// maxDecoded bounds the functions that are remembered, and maxDecodedBytes what is remembered of one.
const (
	maxDecoded      = 1024
	maxDecodedBytes = 16 << 10
)

// decoded remembers functions by the very bytes that are stored of them: to read them again costs an invocation more than to find the function. What it
// returns is shared and not changed. It is safe for concurrent use.
type decoded struct {
	mu    sync.Mutex
	known map[string]*function
}

func (d *decoded) decode(value []byte) (*function, error) {
	d.mu.Lock()
	f := d.known[string(value)]
	d.mu.Unlock()
	if f != nil {
		return f, nil
	}
	f, err := decodeFunction(value)
	if err != nil || len(value) > maxDecodedBytes {
		return f, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.known == nil || len(d.known) >= maxDecoded {
		d.known = map[string]*function{}
	}
	d.known[string(value)] = f
	return f, nil
}
