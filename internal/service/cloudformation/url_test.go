package cloudformation

import (
	"context"
	"strings"
	"testing"

	api "croft/internal/awsapi/cloudformation"
	"croft/internal/awsapi/s3"
	"croft/internal/cfn/template"
	"croft/internal/cloud"
	"croft/internal/service"
	"croft/internal/wire"
)

// buckets is an S3 with the bucket "templates" in a region of its own.
type buckets struct{ s3.Unimplemented }

func (buckets) descriptor(service.Deps) service.Descriptor {
	return service.Descriptor{API: s3.Service(), Impl: buckets{}}
}

func (buckets) GetBucketLocation(_ context.Context, in *s3.GetBucketLocationInput) (*s3.GetBucketLocationOutput, error) {
	if in.Bucket != "templates" {
		return nil, s3.NewNoSuchBucket("The specified bucket does not exist")
	}
	return &s3.GetBucketLocationOutput{LocationConstraint: wire.Ptr("EU")}, nil
}

func (buckets) GetObject(ctx context.Context, in *s3.GetObjectInput) (*s3.GetObjectOutput, error) {
	if c := cloud.CallOf(ctx); c.Region != "eu-west-1" || c.Principal.Kind != cloud.Root {
		return nil, cloud.Errorf("AccessDenied", "asked in %s by %s", c.Region, c.Principal.Kind)
	}
	text := map[string]string{
		"a b/c+d.json": `{"Description":"it","Resources":{"A":{"Type":"Test::Thing"}}}`, "large": strings.Repeat(" ", template.MaxSize+1),
	}[in.Key]
	if text == "" {
		return nil, s3.NewNoSuchKey("The specified key does not exist.")
	}
	return &s3.GetObjectOutput{Body: wire.NewStream(strings.NewReader(text), int64(len(text)))}, nil
}

func TestTemplateURL(t *testing.T) {
	b := newBench(t)
	for _, u := range []string{
		"https://s3.amazonaws.com/templates/a%20b/c+d.json", "https://s3.eu-west-1.amazonaws.com/templates/a%20b/c%2Bd.json",
		"https://s3-eu-west-1.amazonaws.com/templates/a%20b/c+d.json", "https://templates.s3.amazonaws.com/a%20b/c+d.json",
		"https://templates.s3.eu-west-1.amazonaws.com/a%20b%2Fc+d.json", "http://localhost:4566/templates/a%20b/c+d.json",
		"http://127.0.0.1:4566/templates/a%20b/c+d.json", "http://templates.s3.localhost:4566/a%20b/c+d.json",
	} {
		out, err := b.cfn.ValidateTemplate(b.Context(), &api.ValidateTemplateInput{TemplateURL: &u})
		if err != nil || wire.Value(out.Description) != "it" {
			t.Errorf("%s: %v %+v", u, err, out)
		}
	}
	const unsupported = "ValidationError: TemplateURL must be a supported URL."
	for u, want := range map[string]string{
		"https://example.com/templates/a":                  unsupported,
		"https://evil.com/s3.amazonaws.com/templates":      unsupported,
		"https://s3.amazonaws.com.evil.com/b/k":            unsupported,
		"https://sqs.us-east-1.amazonaws.com/b/k":          unsupported,
		"http://169.254.169.254/latest/meta-data":          unsupported,
		"http://127.0.0.1:80/templates/a":                  unsupported,
		"http://user@127.0.0.1:4566/templates/a":           unsupported,
		"file:///etc/passwd":                               unsupported,
		"s3://templates/a":                                 unsupported,
		"https://s3.amazonaws.com/templates":               unsupported,
		"https://s3.amazonaws.com/templates/":              unsupported,
		"https://s3.amazonaws.com/templates/%":             unsupported,
		"https://s3.amazonaws.com/templates/none":          "ValidationError: S3 error: The specified key does not exist.\nFor more",
		"https://s3.amazonaws.com/none/none":               "ValidationError: S3 error: The specified bucket does not exist\nFor more",
		"https://s3.amazonaws.com/templates/large":         "ValidationError: Template may not exceed 1000000 bytes in size.",
		"https://s3.amazonaws.com/templates/a?versionId=1": "ValidationError: The parameter versionId",
	} {
		_, err := b.cfn.GetTemplateSummary(b.Context(), &api.GetTemplateSummaryInput{TemplateURL: &u})
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", u, err, want)
		}
	}
	st := b.create(&api.CreateStackInput{StackName: "s", TemplateURL: wire.Ptr("https://s3.amazonaws.com/templates/a b/c+d.json")})
	if st.StackStatus != "CREATE_COMPLETE" {
		t.Errorf("%+v", st)
	}
}
