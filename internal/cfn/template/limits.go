package template

// Bounds on what is read and computed. MaxSize is CloudFormation's own limit on a template in S3.
const (
	// MaxSize is the largest template text that Parse accepts, in bytes.
	MaxSize = 1_000_000

	maxDepth     = 200
	maxNodes     = 600_000
	maxEvaluated = 4 << 20
)

// CloudFormation's quotas.
const (
	maxResources  = 500
	maxParameters = 200
	maxOutputs    = 200
	maxMappings   = 200 // mappings, and the entries of one
)

func errTooDeep(p Pos) error {
	return errorAt(p, "Template format error: the template is nested more than %d levels deep", maxDepth)
}

func errTooManyNodes(p Pos) error {
	return errorAt(p, "Template format error: the template expands to more than %d values", maxNodes)
}

func errDuplicateKey(p Pos, key string) error {
	return errorAt(p, "Template format error: duplicate key %q (line %d, column %d)", clip(key), p.Line, p.Column)
}

// clip shortens what a message quotes from the template.
func clip(s string) string {
	const most = 256
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}

// keySet finds duplicate keys.
type keySet map[string]struct{}

// add reports whether key was new.
func (s keySet) add(key string) bool {
	if _, ok := s[key]; ok {
		return false
	}
	s[key] = struct{}{}
	return true
}
