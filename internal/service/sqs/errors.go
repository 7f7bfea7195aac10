package sqs

import (
	"croft/internal/awsapi/sqs"
	"croft/internal/cloud"
)

func queueDoesNotExist() *cloud.Error {
	return sqs.NewQueueDoesNotExist("The specified queue does not exist.")
}

// invalidParameter is the service's common error, which its model does not have.
func invalidParameter(format string, args ...any) *cloud.Error {
	e := cloud.Errorf("InvalidParameterValueException", format, args...)
	e.QueryCode = "InvalidParameterValue"
	return e
}

// invalidValue says what is wrong with the value of a parameter.
func invalidValue(value any, parameter, reason string) *cloud.Error {
	return invalidParameter("Value %v for parameter %s is invalid. Reason: %s", value, parameter, reason)
}

// notForType refuses a parameter that belongs to the other type of queue.
func notForType(value, parameter string) *cloud.Error {
	return invalidValue(value, parameter, "The request include parameter that is not valid for this queue type.")
}

func missingParameter(name string) *cloud.Error {
	e := cloud.Errorf("MissingRequiredParameterException", "The request must contain the parameter %s.", name)
	e.QueryCode = "MissingParameter"
	return e
}

func unknownAttribute(name string) *cloud.Error {
	return sqs.NewInvalidAttributeName("Unknown Attribute %s.", name)
}

// accessDenied refuses what belongs to another account: queue policies, which could allow it, have no effect yet.
func accessDenied(what string) *cloud.Error {
	e := cloud.Errorf("AccessDeniedException", "Access to the resource %s is denied.", what).WithStatus(403)
	e.QueryCode = "AccessDenied"
	return e
}

// receiptHandleIsInvalid refuses what no queue has issued, and handles of other queues.
func receiptHandleIsInvalid(handle string) *cloud.Error {
	return sqs.NewReceiptHandleIsInvalid("The input receipt handle %q is not a valid receipt handle.", clip(handle))
}

// clip shortens what a client sent for an error message.
func clip(s string) string {
	const most = 1024
	if len(s) <= most {
		return s
	}
	return s[:most] + "..."
}
