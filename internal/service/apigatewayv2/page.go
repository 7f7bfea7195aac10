package apigatewayv2

import (
	"encoding/base64"
	"strconv"
)

// Sizes of pages.
const (
	defaultPage = 100
	maxPage     = 1000
)

// page returns after which id a page begins and how many elements it has at most.
func page(given, maxResults *string) (after string, limit int, err error) {
	limit = defaultPage
	if maxResults != nil {
		limit, err = strconv.Atoi(*maxResults)
		if err != nil || limit < 1 || limit > maxPage {
			return "", 0, badRequest("Invalid maxResults value %q: it must be a number from 1 to %d", *maxResults, maxPage)
		}
	}
	if given == nil {
		return "", limit, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(*given)
	if err != nil {
		return "", 0, badRequest("Invalid next token specified")
	}
	return string(raw), limit, nil
}

// token returns the NextToken of a page that begins after id.
func token(id string) *string {
	t := base64.RawURLEncoding.EncodeToString([]byte(id))
	return &t
}

// slicePage cuts a page out of items, which are in the order of their creation, and returns the next one's token. A page whose
// predecessor's last element is gone is empty.
func slicePage[T any](items []T, id func(*T) string, given, maxResults *string) (out []T, next *string, err error) {
	after, limit, err := page(given, maxResults)
	if err != nil {
		return nil, nil, err
	}
	skipping := after != ""
	for i := range items {
		switch {
		case skipping:
			skipping = id(&items[i]) != after
		case len(out) == limit:
			return out, token(id(&out[limit-1])), nil
		default:
			out = append(out, items[i])
		}
	}
	return out, nil, nil
}
