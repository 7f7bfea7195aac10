// Package crofttest gives each Go test a cloud of its own, or an account of its own in a cloud that tests share.
//
//	func TestMain(m *testing.M) { croft.Main(); os.Exit(m.Run()) }
//
//	func TestOrders(t *testing.T) {
//		cloud := crofttest.New(t)
//		queues := sqs.NewFromConfig(cloud.Config())
//		…
package crofttest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"math/big"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"croft"
)

// Cloud is a cloud as one test sees it: with an account.
type Cloud struct {
	*croft.Cloud
	// Credentials are those of the account's root user.
	Credentials croft.Credentials
	t           testing.TB
}

// New starts a cloud in memory. It is gone when the test ends.
func New(t testing.TB) *Cloud {
	t.Helper()
	c, err := croft.New(t.Context(), croft.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return see(t, c)
}

// In gives the test a new account in a cloud that it shares with others, for example one that TestMain started. What is in the account stays
// until the cloud is closed or reset; bucket names are common to all accounts.
func In(t testing.TB, c *croft.Cloud) *Cloud {
	t.Helper()
	n, err := rand.Int(rand.Reader, big.NewInt(999_999_999_999))
	if err != nil {
		t.Fatal(err)
	}
	return see(t, c.In(fmt.Sprintf("%012d", n.Int64()+1)))
}

func see(t testing.TB, c *croft.Cloud) *Cloud {
	t.Helper()
	creds, err := c.Credentials(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return &Cloud{Cloud: c, Credentials: creds, t: t}
}

// Config returns what the AWS SDK for Go's NewFromConfig takes.
func (c *Cloud) Config() aws.Config {
	return aws.Config{
		Region: c.Region(), BaseEndpoint: aws.String(c.Endpoint()),
		Credentials: credentials.NewStaticCredentialsProvider(c.Credentials.AccessKeyID, c.Credentials.SecretAccessKey, ""),
	}
}

// Deploy deploys an app as croft.Cloud does, and ends the test when that fails.
func (c *Cloud) Deploy(path, stack string, parameters map[string]string) map[string]string {
	c.t.Helper()
	out, err := c.Cloud.Deploy(c.t.Context(), path, stack, parameters)
	if err != nil {
		c.t.Fatal(err)
	}
	return out
}

// Invoke runs a function with event as JSON and returns its answer, decoded from JSON. The test ends when the function fails.
func (c *Cloud) Invoke(function string, event any) any {
	c.t.Helper()
	in, err := json.Marshal(event)
	if err != nil {
		c.t.Fatal(err)
	}
	text, err := c.Cloud.Invoke(context.WithoutCancel(c.t.Context()), function, in)
	if err != nil {
		c.t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(text, &out); err != nil {
		c.t.Fatalf("%s answered %q: %v", function, text, err)
	}
	return out
}
