package lambda

import (
	"context"
	"net/http"
	"strings"

	"croft/internal/awsapi/lambda"
	"croft/internal/cloud"
)

// user marks an error as the caller's: the service's own errors say so in a member of their body, those of its validation do not.
func user(e *cloud.Error) *cloud.Error {
	e.Fields = map[string]any{"Type": "User"}
	return e
}

func invalid(format string, args ...any) *cloud.Error {
	return user(lambda.NewInvalidParameterValueException(format, args...))
}

func notFound(format string, args ...any) *cloud.Error {
	return user(lambda.NewResourceNotFoundException(format, args...))
}

func conflict(format string, args ...any) *cloud.Error {
	return user(lambda.NewResourceConflictException(format, args...))
}

func precondition(format string, args ...any) *cloud.Error {
	return user(lambda.NewPreconditionFailedException(format, args...))
}

// validation is the error of the checks that AWS makes before the service's own.
func validation(format string, args ...any) *cloud.Error {
	return cloud.Errorf("ValidationException", "1 validation error detected: "+format, args...)
}

// entityTooLarge is the error that answers bodies over a limit. The model does not have it.
func entityTooLarge(format string, args ...any) *cloud.Error {
	return cloud.Errorf("RequestEntityTooLargeException", format, args...).WithStatus(http.StatusRequestEntityTooLarge)
}

// refused names a parameter that croft does not honour.
func refused(parameter, why string) *cloud.Error {
	return invalid("croft does not support the parameter %s: %s.", parameter, why)
}

func denied(ctx context.Context, action, resource string) *cloud.Error {
	return cloud.Errorf("AccessDeniedException",
		"User: %s is not authorized to perform: %s on resource: %s because no resource-based policy allows the %s action",
		cloud.CallOf(ctx).Principal.ARN, action, resource, action).WithStatus(http.StatusForbidden)
}

func errRevision() *cloud.Error {
	return precondition("The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id")
}

func errPolicyRevision() *cloud.Error {
	return precondition("The Revision Id provided does not match the latest Revision Id. Call the GetPolicy API to retrieve the latest Revision Id")
}

// manyProblems is validation for what AWS's checks before the service's own find wrong, all at once; nil when that is nothing.
func manyProblems(problems []string) error {
	switch len(problems) {
	case 0:
		return nil
	case 1:
		return validation("%s", problems[0])
	}
	return cloud.Errorf("ValidationException", "%d validation errors detected: %s", len(problems), strings.Join(problems, "; "))
}
