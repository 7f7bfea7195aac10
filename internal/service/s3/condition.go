package s3

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	api "croft/internal/awsapi/s3"
	"croft/internal/cloud"
)

// sameETag reports whether one of the ETags in a condition is etag. A star is any.
func sameETag(condition, etag string) bool {
	for c := range strings.SplitSeq(condition, ",") {
		c = strings.TrimPrefix(strings.TrimSpace(c), "W/")
		if c == "*" || strings.Trim(c, `"`) == etag {
			return true
		}
	}
	return false
}

func preconditionFailed(condition string) *cloud.Error {
	e := cloud.Errorf("PreconditionFailed", "At least one of the pre-conditions you specified did not hold").WithStatus(http.StatusPreconditionFailed)
	return with(e, "Condition", condition)
}

// writeCondition is what must be true of an object for it to be written or deleted. Source: S3 User Guide, "Add preconditions to S3 operations
// with conditional requests".
type writeCondition struct {
	match, noneMatch *string
	// deletes says that nothing is written: any object will do then, if there is one.
	deletes bool
}

func (c writeCondition) given() bool { return c.match != nil || c.noneMatch != nil }

// check compares the condition with the object that is there, or nil.
func (c writeCondition) check(key string, old *object) error {
	switch {
	case c.match != nil && c.noneMatch != nil:
		return notImplementedHeader("If-Match,If-None-Match", "Multiple conditional request headers present in the request")
	case c.noneMatch != nil && *c.noneMatch != "*":
		return notImplementedHeader("If-None-Match", "We don't accept the provided value of If-None-Match header for this API")
	case c.match != nil && *c.match == "*" && !c.deletes:
		return notImplementedHeader("If-Match", "We don't accept the provided value of If-Match header for this API")
	case c.noneMatch != nil && old != nil:
		return preconditionFailed("If-None-Match")
	case c.match != nil && old == nil:
		return noSuchKey(key)
	case c.match != nil && !sameETag(*c.match, old.ETag):
		return preconditionFailed("If-Match")
	}
	return nil
}

// notImplementedHeader is S3's own answer to a header that it does not have for an operation.
func notImplementedHeader(header, more string) *cloud.Error {
	e := cloud.Errorf("NotImplemented", "A header you provided implies functionality that is not implemented").WithStatus(http.StatusNotImplemented)
	return with(e, "Header", header, "additionalMessage", more)
}

// readCondition is what must be true of an object for it to be read or copied.
type readCondition struct {
	match, noneMatch         *string
	modified, unmodified     *time.Time
	matchName, noneMatchName string
}

// check returns nil, PreconditionFailed or NotModified. Source: RFC 9110, 13.2.2, and S3 API Reference, GetObject.
func (c readCondition) check(o *object) error {
	switch {
	case c.match != nil && !sameETag(*c.match, o.ETag):
		return preconditionFailed(c.matchName + "If-Match")
	case c.match == nil && c.unmodified != nil && o.Modified.After(*c.unmodified):
		return preconditionFailed(c.matchName + "If-Unmodified-Since")
	case c.noneMatch != nil && sameETag(*c.noneMatch, o.ETag):
		return notModified(o)
	case c.noneMatch == nil && c.modified != nil && !o.Modified.After(*c.modified):
		return notModified(o)
	}
	return nil
}

func notModified(o *object) *cloud.Error {
	e := cloud.Errorf("NotModified", "Not Modified").WithStatus(http.StatusNotModified)
	return with(e, "ETag", *quoted(o.ETag), "Last-Modified", o.Modified.Format(http.TimeFormat))
}

// parseRange returns the part of a body of size bytes that a Range header asks for. ok is false for a header that asks for all: one that
// is malformed, or has several ranges, which S3 does not serve. Source: RFC 9110, 14.1.2.
func parseRange(header string, size int64) (offset, n int64, ok bool, err error) {
	spec, isBytes := strings.CutPrefix(header, "bytes=")
	first, last, dash := strings.Cut(strings.TrimSpace(spec), "-")
	if !isBytes || !dash || strings.Contains(spec, ",") {
		return 0, size, false, nil
	}
	unsatisfiable := func() error {
		e := cloud.Errorf("InvalidRange", "The requested range is not satisfiable").WithStatus(http.StatusRequestedRangeNotSatisfiable)
		return with(e, "RangeRequested", header, "ActualObjectSize", strconv.FormatInt(size, 10))
	}
	if first == "" {
		n, valid := parseSize(last)
		switch {
		case !valid:
			return 0, size, false, nil
		case n == 0 || size == 0:
			return 0, 0, false, unsatisfiable()
		}
		n = min(n, size)
		return size - n, n, true, nil
	}
	from, valid := parseSize(first)
	to, validTo := size-1, true
	if last != "" {
		to, validTo = parseSize(last)
	}
	switch {
	case !valid || !validTo || last != "" && to < from:
		return 0, size, false, nil
	case from >= size:
		return 0, 0, false, unsatisfiable()
	}
	return from, min(to, size-1) - from + 1, true, nil
}

// parseSize reads a number of digits alone. One that is beyond all sizes is as good as the largest.
func parseSize(s string) (int64, bool) {
	if s == "" || len(s) > 100 || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 1<<63 - 1, true
	}
	return n, true
}

func noSuchKey(key string) *cloud.Error {
	return with(api.NewNoSuchKey("The specified key does not exist."), "Key", key)
}
