//go:build first

package firstprogram

import _ "embed"

//go:embed croft-first-arm64
var program string
