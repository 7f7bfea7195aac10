// Command bootstrap is a function in Go, on AWS's own library.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

func handle(ctx context.Context, event json.RawMessage) (any, error) {
	var told struct{ Fail, Large bool }
	_ = json.Unmarshal(event, &told)
	if told.Fail {
		return nil, errors.New("as told")
	}
	if told.Large {
		return strings.Repeat("x", 7<<20), nil
	}
	lc, _ := lambdacontext.FromContext(ctx)
	deadline, _ := ctx.Deadline()
	return map[string]any{
		"event": event, "id": lc.AwsRequestID, "arn": lc.InvokedFunctionArn, "custom": lc.ClientContext.Custom["k"],
		"me": lc.Identity.CognitoIdentityID, "left": time.Until(deadline).Milliseconds(),
	}, nil
}

func stream(_ context.Context, event struct{ Fail bool }) (io.Reader, error) {
	if event.Fail {
		return io.MultiReader(strings.NewReader("one "), failing{}), nil
	}
	return strings.NewReader("one two"), nil
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("as told") }

func main() {
	if os.Getenv("MODE") == "stream" {
		lambda.Start(stream)
	}
	lambda.Start(handle)
}
