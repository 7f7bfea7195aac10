package wire

import (
	"regexp"
	"sync/atomic"
)

// Pattern is a regular expression that a whole string must match. It is compiled when first used: a server compiles few of the
// hundreds that its models hold.
type Pattern struct {
	// Source is the model's own text, for messages; Go is the same in Go's syntax, empty when it does not differ.
	Source string
	Go     string

	compiled atomic.Pointer[regexp.Regexp]
}

// Match reports whether the whole of s matches. The generator has checked that the expression compiles.
func (p *Pattern) Match(s string) bool {
	re := p.compiled.Load()
	if re == nil {
		source := p.Go
		if source == "" {
			source = p.Source
		}
		re = regexp.MustCompile(`\A(?:` + source + `)\z`)
		p.compiled.Store(re)
	}
	return re.MatchString(s)
}
