package iam

import (
	"encoding/base64"
	"sort"

	"croft/internal/wire"
)

// defaultPage is how many elements a list operation answers unless told otherwise. Source: API reference, MaxItems.
const defaultPage = 100

// page returns after which name a page begins and how many elements it has at most.
func page(given *string, maxItems *int32) (after string, limit int, err error) {
	limit = defaultPage
	if maxItems != nil {
		limit = int(*maxItems)
	}
	if given == nil {
		return "", limit, nil
	}
	raw, err := base64.StdEncoding.DecodeString(*given)
	if err != nil || len(raw) == 0 {
		return "", 0, validation("Invalid Marker: %s", *given)
	}
	return string(raw), limit, nil
}

// marker returns the Marker that begins a page after name.
func marker(name string) *string {
	return wire.Ptr(base64.StdEncoding.EncodeToString([]byte(name)))
}

// slicePage cuts the page out of sorted names, and returns the marker of the next one.
func slicePage(names []string, after string, limit int) (out []string, next *string) {
	start := 0
	if after != "" {
		start = sort.SearchStrings(names, after)
		if start < len(names) && names[start] == after {
			start++
		}
	}
	out = names[start:]
	if len(out) > limit {
		out = out[:limit]
		next = marker(out[limit-1])
	}
	return out, next
}
