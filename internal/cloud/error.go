package cloud

import (
	"errors"
	"fmt"
)

// Error is what a service answers when it does not do what was asked. The protocols turn it into their own shape; anything else
// that an operation returns becomes InternalFailure with a request id, and its text stays in the server's log.
type Error struct {
	// Code is the error's name as the service's model has it: "QueueDoesNotExist", "ValidationException".
	Code string
	// QueryCode is the code that older clients know, for services that carry one ("AWS.SimpleQueueService.NonExistentQueue").
	QueryCode string
	Message   string
	// Status is the HTTP status; zero means 400.
	Status int
	// Fields are further members of the error's shape, by wire name.
	Fields map[string]any
	// Cause is for the server's log alone; it never reaches a client.
	Cause error
}

// Error returns "Code: Message".
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// HTTPStatus returns Status, or 400 when it is not set.
func (e *Error) HTTPStatus() int {
	if e.Status == 0 {
		return 400
	}
	return e.Status
}

// Errorf returns an Error of HTTP status 400.
func Errorf(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// WithStatus returns a copy of e with another HTTP status.
func (e *Error) WithStatus(status int) *Error {
	c := *e
	c.Status = status
	return &c
}

// Code returns the code of the Error in err's chain, or "".
func Code(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}
