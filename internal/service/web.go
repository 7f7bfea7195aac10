package service

import (
	"context"
	"net/http"

	"croft/internal/cloud"
	"croft/internal/sigv4"
)

// Web is what a service lets web pages do, which the server refuses unless one says otherwise for the very request. Its functions are safe
// for concurrent use.
type Web struct {
	// Grant says whether the page that r comes from, by its one Origin header, may make the request. r is such a request itself, or the browser's
	// question before it (OPTIONS), which nobody signs. The headers are those of the answer by which the browser learns of it; nil with a nil error says
	// that the request is for nothing that could be shared. An error is the answer to a browser's question; requests themselves are then
	// refused as if nobody had been asked. It decides alone who may ask, never who may do: requests are authenticated as all others are.
	Grant func(ctx context.Context, r *http.Request) (http.Header, *cloud.Error)
	// Links says that pages may link to and show what a presigned URL reads.
	Links bool
	// Post answers an HTML form that is posted (multipart/form-data without a signature around it). What it returns is the error to answer; nil when it
	// has answered.
	Post func(w http.ResponseWriter, r *http.Request, caller FormCaller) error
}

// FormCaller returns the call of whoever signed a form. The error is a *cloud.Error.
type FormCaller func(form *sigv4.Form) (*cloud.Call, error)
