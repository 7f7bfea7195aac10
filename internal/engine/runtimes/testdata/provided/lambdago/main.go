// A function as the vendor's library for Go makes them.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

func main() {
	lambda.Start(func(ctx context.Context, event map[string]string) (map[string]string, error) {
		fmt.Println("called with", event)
		lc, _ := lambdacontext.FromContext(ctx)
		deadline, _ := ctx.Deadline()
		if event["fail"] != "" {
			return nil, errors.New("Error: some_error_msg")
		}
		return map[string]string{
			"id": lc.AwsRequestID, "arn": lc.InvokedFunctionArn, "function": lambdacontext.FunctionName, "handler": os.Getenv("_HANDLER"),
			"execution": os.Getenv("AWS_EXECUTION_ENV"), "deadline": fmt.Sprint(!deadline.IsZero()), "trace": os.Getenv("_X_AMZN_TRACE_ID"),
		}, nil
	})
}
