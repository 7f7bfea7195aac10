package s3blob

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// Scheme begins the locations of this kind of store.
const Scheme = "s3://"

const (
	// tries bounds how often a request is sent; the pauses in between grow from 200 ms.
	tries = 4
	// connectTime bounds how long a connection may take to come about, answerTime how long an answer may take to begin and the other side
	// may then, or while it is sent something, do nothing.
	connectTime = 10 * time.Second
	answerTime  = 30 * time.Second
	// metadataTime bounds the wait for the credentials of a machine in AWS: elsewhere, nothing answers.
	metadataTime = 3 * time.Second
)

// location is a parsed location.
type location struct {
	bucket, prefix, host, region string
	secure                       bool
	lookup                       minio.BucketLookupType
}

const form = "s3://BUCKET/PREFIX?endpoint=https://HOST:PORT&region=REGION&path-style=true"

func parse(text string) (location, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "s3" || u.Host == "" || u.Port() != "" || u.Fragment != "" {
		return location{}, fmt.Errorf("the location of bodies is not of the form %s", form)
	}
	if u.User != nil {
		return location{}, errors.New("the location of bodies holds credentials, which others could see: give them as AWS_ACCESS_KEY_ID and " +
			"AWS_SECRET_ACCESS_KEY, or name a profile of ~/.aws/credentials with AWS_PROFILE")
	}
	l := location{bucket: u.Host, host: "s3.amazonaws.com", secure: true}
	if l.prefix = strings.Trim(u.Path, "/"); l.prefix != "" {
		l.prefix += "/"
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return location{}, fmt.Errorf("the location of bodies is not of the form %s", form)
	}
	for name, values := range query {
		if err := l.set(name, values[len(values)-1]); err != nil {
			return location{}, err
		}
	}
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION"} {
		if l.region == "" {
			l.region = os.Getenv(name)
		}
	}
	if l.region == "" && query.Has("endpoint") {
		l.region = "us-east-1" // what servers other than AWS's expect unless told otherwise
	}
	return l, nil
}

func (l *location) set(name, value string) error {
	switch name {
	case "endpoint":
		u, err := url.Parse(value)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
			return errors.New("the endpoint of the location of bodies is not an address such as https://minio.example:9000")
		}
		l.host, l.secure = u.Host, u.Scheme == "https"
	case "region":
		l.region = value
	case "path-style":
		path, err := strconv.ParseBool(value)
		if err != nil {
			return fmt.Errorf("path-style in the location of bodies is %q, neither true nor false", value)
		}
		if l.lookup = minio.BucketLookupDNS; path {
			l.lookup = minio.BucketLookupPath
		}
	default:
		return fmt.Errorf("the location of bodies has %q, which is not known: its form is %s", name, form)
	}
	return nil
}

// connect returns a client, and what closes its idle connections. It checks that there is a bucket and that it can be asked.
func (l location) connect(ctx context.Context) (_ minio.Core, idle func(), err error) {
	transport, err := minio.DefaultTransport(l.secure)
	if err != nil {
		return minio.Core{}, nil, err
	}
	transport.DialContext = dialSteady(answerTime)
	transport.ResponseHeaderTimeout = answerTime
	creds, err := findCredentials()
	if err != nil {
		return minio.Core{}, nil, err
	}
	client, err := minio.New(l.host, &minio.Options{
		Creds: creds, Secure: l.secure, Transport: transport, Region: l.region, BucketLookup: l.lookup, MaxRetries: tries,
	})
	if err != nil {
		return minio.Core{}, nil, fmt.Errorf("the location of bodies: %w", err)
	}
	there, err := client.BucketExists(ctx, l.bucket)
	if err != nil {
		return minio.Core{}, nil, fmt.Errorf("the bucket %s for bodies cannot be reached at %s: %w", l.bucket, l.host, err)
	}
	if !there {
		return minio.Core{}, nil, fmt.Errorf("there is no bucket %s for bodies at %s: make it first, or name another", l.bucket, l.host)
	}
	return minio.Core{Client: client}, transport.CloseIdleConnections, nil
}

// findCredentials looks where AWS's tools look: the environment, the profile, and then what the machine or the container was given.
func findCredentials() (*credentials.Credentials, error) {
	short := &http.Client{Timeout: metadataTime}
	c := credentials.NewChainCredentials([]credentials.Provider{
		&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}, &credentials.IAM{Client: short},
	})
	v, err := c.GetWithContext(&credentials.CredContext{Client: short})
	if err != nil {
		return nil, fmt.Errorf("credentials for the bucket of bodies: %w", err)
	}
	if v.AccessKeyID == "" || v.SecretAccessKey == "" {
		return nil, errors.New("there are no credentials for the bucket of bodies: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, " +
			"or name a profile of ~/.aws/credentials with AWS_PROFILE")
	}
	return c, nil
}
