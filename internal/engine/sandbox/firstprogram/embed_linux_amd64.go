//go:build first

package firstprogram

import _ "embed"

//go:embed croft-first-amd64
var program string
