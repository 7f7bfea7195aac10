package cloud

import "testing"

func TestIsAWSHost(t *testing.T) {
	for host, want := range map[string]bool{
		"sqs.us-east-1.amazonaws.com": true, "SQS.US-EAST-1.AmazonAWS.com.": true, "amazonaws.com": true,
		"my.bucket.s3.cn-north-1.amazonaws.com.cn": true, "lambda.us-east-1.api.aws": true, "x.lambda-url.us-east-1.on.aws": true,
		"notamazonaws.com": false, "amazonaws.com.evil.example": false, "amazonaws.com.": true, "aws": false, "": false,
		"d1.cloudfront.net": false, "example.com": false, "127.0.0.1": false,
	} {
		if IsAWSHost(host) != want {
			t.Errorf("%q: %v", host, !want)
		}
	}
}

func TestIsProxiedName(t *testing.T) {
	for host, want := range map[string]bool{
		"croft.internal": true, "sync-croft.internal": true, "bucket.croft.internal": true, "Croft.Internal.": true,
		"notcroft.internal": false, "croft.internal.example.com": false, "internal": false,
	} {
		if IsProxiedName(host) != want {
			t.Errorf("%q: %v", host, !want)
		}
	}
}
