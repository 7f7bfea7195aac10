//go:build !first || !linux

package firstprogram

const program = ""
