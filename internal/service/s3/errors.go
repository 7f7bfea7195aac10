package s3

import (
	"net/http"

	api "croft/internal/awsapi/s3"
	"croft/internal/cloud"
)

// with gives e further elements, by name and value; names that begin with x-amz- are headers.
func with(e *cloud.Error, pairs ...string) *cloud.Error {
	e.Fields = make(map[string]any, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		e.Fields[pairs[i]] = pairs[i+1]
	}
	return e
}

func invalidBucketName(name string) *cloud.Error {
	return with(cloud.Errorf("InvalidBucketName", "The specified bucket is not valid."), "BucketName", name)
}

func noSuchBucket(name string) *cloud.Error {
	return with(api.NewNoSuchBucket("The specified bucket does not exist"), "BucketName", name)
}

func invalidArgument(name, value, format string, args ...any) *cloud.Error {
	return with(cloud.Errorf("InvalidArgument", format, args...), "ArgumentName", name, "ArgumentValue", value)
}

func accessDenied() *cloud.Error {
	return cloud.Errorf("AccessDenied", "Access Denied").WithStatus(http.StatusForbidden)
}

// notImplemented refuses a parameter that would have an effect which is not there.
func notImplemented(operation, parameter, value string) *cloud.Error {
	e := cloud.Errorf("NotImplemented", "croft does not implement %s of %s:%s with the value %q.", parameter, serviceName, operation, value)
	return with(e.WithStatus(http.StatusNotImplemented), "Header", parameter)
}
