package s3

import (
	"net"
	"net/url"
	"slices"
	"strings"

	api "croft/internal/awsapi/s3"
	"croft/internal/cloud"
	"croft/internal/wire"
)

// The region that has no location constraint, and the constraint that is older than regions' names.
const (
	firstRegion = "us-east-1"
	europe      = "EU"
	europeIs    = "eu-west-1"
)

// placed returns the region in which a bucket is made by a request for region with a location constraint, which may be empty.
// Requests for the first region may name any other, as on AWS, where it is the endpoint of them all.
func placed(region, constraint string) (string, error) {
	wanted := constraint
	if constraint == europe {
		wanted = europeIs
	}
	switch {
	case constraint == "" && region == firstRegion:
		return region, nil
	case constraint == "":
		return "", incompatible("unspecified")
	case region == firstRegion && !isConstraint(constraint):
		return "", with(cloud.Errorf("InvalidLocationConstraint", "The specified location-constraint is not valid"), "LocationConstraint", constraint)
	case region != firstRegion && region != wanted:
		return "", incompatible(constraint)
	}
	return wanted, nil
}

func incompatible(constraint string) *cloud.Error {
	return cloud.Errorf("IllegalLocationConstraintException", "The %s location constraint is incompatible for the region specific endpoint this request was sent to.", constraint)
}

// isConstraint reports whether the model lists s among the location constraints.
func isConstraint(s string) bool { return inModel("BucketLocationConstraint", s) }

// inModel reports whether the model lists s among the values of a shape.
func inModel(name, s string) bool {
	shapes := api.Service().Schema.Shapes
	i := slices.IndexFunc(shapes, func(shape wire.Shape) bool { return shape.Name == name })
	return i >= 0 && slices.Contains(shapes[i].Enum, s)
}

// isRegion reports whether s has the form of a region's name.
func isRegion(s string) bool {
	parts := strings.Split(s, "-")
	return len(s) <= 32 && len(parts) >= 3 && !slices.Contains(parts, "") && strings.Trim(parts[len(parts)-1], "0123456789") == "" &&
		strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// host returns the host at which a bucket in a region has its own name, reached as the endpoint was.
func host(endpoint, bucket, region string) string {
	name, port := "localhost", ""
	if u, err := url.Parse(endpoint); err == nil {
		name, port = u.Hostname(), u.Port()
	}
	switch {
	case strings.HasSuffix(name, ".amazonaws.com"):
		name = region + ".amazonaws.com"
	case net.ParseIP(name) != nil || name == "" || name == "localhost" || strings.HasSuffix(name, ".localhost"):
		name = region + ".localhost"
	}
	// A name of the operator's own: what follows the service's label, if the client used that.
	if i := strings.LastIndex("."+name, ".s3."); i >= 0 {
		name = name[i+len("s3."):]
	}
	name = bucket + ".s3." + name
	if port != "" {
		name += ":" + port
	}
	return name
}
