package template

import (
	"errors"
	"fmt"
	"strconv"

	"croft/internal/cloud"
)

// Pos is a place in the template's text. Lines and columns count from one; a zero Line means that the place is not known.
type Pos struct {
	Line, Column int
}

// Error says what is wrong with a template or with the parameters given for it. Its text is what CloudFormation answers; Pos
// is what a person at an editor needs beside it.
type Error struct {
	Message string
	Pos     Pos
	// Detail is what a person can use beyond CloudFormation's words; only At shows it.
	Detail string
}

// Error returns the message alone, as CloudFormation sends it.
func (e *Error) Error() string { return e.Message }

// Unwrap returns the error as the CloudFormation API answers it: a ValidationError.
func (e *Error) Unwrap() error {
	return &cloud.Error{Code: "ValidationError", Message: e.Message}
}

// At returns the message with its place in the named file in front: "template.yaml:12:5: Template error: …".
func (e *Error) At(file string) string {
	text := ": " + e.Message
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	if e.Pos.Line == 0 {
		return file + text
	}
	return file + ":" + strconv.Itoa(e.Pos.Line) + ":" + strconv.Itoa(e.Pos.Column) + text
}

// Located returns err's text with its place in the named file in front when err is a template's error, and its plain text
// otherwise.
func Located(file string, err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.At(file)
	}
	return err.Error()
}

func errorAt(p Pos, format string, args ...any) *Error {
	return &Error{Message: fmt.Sprintf(format, args...), Pos: p}
}

// Unsupported returns the error for something that CloudFormation has and croft has not. what names it.
func Unsupported(p Pos, what string) *Error {
	return errorAt(p, "%s is not supported by croft", what)
}
