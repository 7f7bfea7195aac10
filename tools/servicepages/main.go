// Command servicepages writes the pages below docs/services. It is run from the repository's root, after apigen.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"croft/internal/app"
	"croft/internal/service"
	"croft/internal/service/lambda"
	"croft/tools/apigen/pages"
)

func main() {
	if err := pages.Write(filepath.Join("docs", "services"), app.Services(service.Deps{}, nil, nil, lambda.Limits{})); err != nil {
		fmt.Fprintln(os.Stderr, "servicepages:", err)
		os.Exit(1)
	}
}
