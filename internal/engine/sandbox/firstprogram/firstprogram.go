// Package firstprogram holds the program cmd/croft-first for the machine that croft is built for. It is there in what `make build` builds, with the tag "first";
// elsewhere sandboxes execute the program that they are part of.
package firstprogram

// Bytes returns the program; nil when it is not built in.
func Bytes() []byte { return []byte(program) }
