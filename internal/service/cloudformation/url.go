package cloudformation

import (
	"context"
	"errors"
	"io"
	"net/url"
	"strings"

	"croft/internal/awsapi/s3"
	"croft/internal/cfn/template"
	"croft/internal/cloud"
	"croft/internal/wire"
)

// fetch returns the template at a TemplateURL: an object of this cloud, read as the caller may read it. Nothing is ever fetched over a network.
func (s *Service) fetch(ctx context.Context, address string) (string, error) {
	bucket, key, err := s.objectAt(ctx, address)
	if err != nil {
		return "", err
	}
	client := s3.NewClient(s.deps.Caller)
	// The bucket may lie in any region.
	where, err := client.GetBucketLocation(ctx, &s3.GetBucketLocationInput{Bucket: bucket})
	if err != nil {
		return "", s3Failed(err)
	}
	out, err := client.GetObject(cloud.In(ctx, cloud.CallOf(ctx).Account, regionOf(where)), &s3.GetObjectInput{Bucket: bucket, Key: key})
	if err != nil {
		return "", s3Failed(err)
	}
	text, err := io.ReadAll(io.LimitReader(out.Body, template.MaxSize+1))
	if err = errors.Join(err, out.Body.Close()); err != nil {
		return "", err
	}
	if len(text) > template.MaxSize {
		return "", validation("Template may not exceed %d bytes in size.", template.MaxSize)
	}
	return string(text), nil
}

func regionOf(where *s3.GetBucketLocationOutput) string {
	switch c := wire.Value(where.LocationConstraint); c {
	case "":
		return "us-east-1"
	case s3.BucketLocationConstraintEU:
		return "eu-west-1"
	default:
		return c
	}
}

// s3Failed is how CloudFormation passes on what S3 says.
func s3Failed(err error) error {
	var e *cloud.Error
	if !errors.As(err, &e) {
		return err
	}
	return validation("S3 error: %s\nFor more information check http://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html", e.Message)
}

// objectAt returns the object that a URL names: at one of S3's own addresses, or at this cloud's. Source: S3 User Guide, "Virtual hosting of
// buckets".
func (s *Service) objectAt(ctx context.Context, address string) (bucket, key string, err error) {
	unsupported := validation("TemplateURL must be a supported URL.")
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.User != nil {
		return "", "", unsupported
	}
	host := strings.ToLower(u.Hostname())
	bucket, named := wire.BucketOfHost(s3.Service(), host)
	switch label, _, _ := strings.Cut(host, "."); {
	case strings.HasSuffix(host, ".amazonaws.com"):
		if !named && label != "s3" && !strings.HasPrefix(label, "s3-") {
			return "", "", unsupported
		}
	case !s.isHere(ctx, u, host):
		return "", "", unsupported
	}
	if u.Query().Has("versionId") {
		return "", "", validation("The parameter versionId of TemplateURL is not supported by croft: its buckets have no versions.")
	}
	path := strings.TrimPrefix(u.EscapedPath(), "/")
	if !named {
		bucket, path, _ = strings.Cut(path, "/")
	}
	if key, err = url.PathUnescape(path); err != nil || bucket == "" || key == "" {
		return "", "", unsupported
	}
	return bucket, key, nil
}

// isHere reports whether a URL's host is this cloud's own address, or a name below localhost at its port.
func (s *Service) isHere(ctx context.Context, u *url.URL, host string) bool {
	for _, own := range [...]string{s.deps.BaseURL, s.deps.Endpoint(ctx)} {
		o, err := url.Parse(own)
		if err != nil || o.Host == "" {
			continue
		}
		if strings.EqualFold(u.Host, o.Host) || u.Port() == o.Port() && (host == "127.0.0.1" || host == "localhost" || strings.HasSuffix(host, ".localhost")) {
			return true
		}
	}
	return false
}
