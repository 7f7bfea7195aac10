package apigatewayv2

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"time"

	"croft/internal/awsapi/lambda"
	"croft/internal/clock"
	"croft/internal/cloud"
	"croft/internal/httpevent"
	"croft/internal/kv"
	"croft/internal/wire"
)

// Quotas of requests in bytes. Source: API Gateway Developer Guide, "Quotas for configuring and running an HTTP API".
const (
	maxBody    = 10 << 20
	maxHeaders = 10240
)

// exchange is one request on its way through an API.
type exchange struct {
	r  *http.Request
	id string
	// account and region are the API's.
	account, region string
	now             time.Time
	api             *liveAPI
	stage           *stageRow
	route           *liveRoute
	pathValues      map[string]string
	// path is the decoded path with the stage, as functions see it.
	path string
	body []byte
}

// serve answers a request to the API called id.
func (s *Service) serve(w http.ResponseWriter, r *http.Request, id string) {
	x := &exchange{r: r, id: newExchangeID(), now: s.deps.Clock.Now(), path: r.URL.Path}
	w.Header().Set("Apigw-Requestid", x.id)
	at, live, err := s.find(r.Context(), id)
	switch {
	case err != nil && !errors.Is(err, kv.ErrNotFound):
		message(w, http.StatusServiceUnavailable, "Service Unavailable")
		return
	case err != nil || live.row.Disabled:
		message(w, http.StatusNotFound, "Not Found")
		return
	}
	x.api, x.account, x.region = live, at.Account, at.Region
	cors, origin := live.row.CORS, r.Header.Get("Origin")
	if cors != nil && httpevent.IsPreflight(r) {
		cors.Preflight(w.Header(), origin)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	answer := s.answer(x)
	h := w.Header()
	for name, values := range answer.Header {
		h[name] = values
	}
	cors.Set(h, origin)
	w.WriteHeader(answer.Status)
	if _, err := w.Write(answer.Body); err != nil && !errors.Is(err, http.ErrBodyNotAllowed) {
		s.log.DebugContext(r.Context(), "the client of an API went away", "api", id, "error", err)
	}
}

// answer finds the route, calls its function and reads its answer.
func (s *Service) answer(x *exchange) *httpevent.Response {
	if headerSize(x.r) > maxHeaders {
		return messageResponse(http.StatusRequestHeaderFieldsTooLarge, "Request Header Fields Too Large")
	}
	stage, path := x.api.stageOf(x.path)
	if stage == nil || !stage.AutoDeploy {
		return messageResponse(http.StatusNotFound, "Not Found")
	}
	x.stage = stage
	x.route, x.pathValues = x.api.route(x.r.Method, path)
	if x.route == nil {
		return messageResponse(http.StatusNotFound, "Not Found")
	}
	if x.route.integration == nil {
		s.log.WarnContext(x.r.Context(), "a route has no integration", "api", x.api.row.ID, "route", x.route.row.Key)
		return messageResponse(http.StatusInternalServerError, "Internal Server Error")
	}
	var err error
	x.body, err = io.ReadAll(io.LimitReader(x.r.Body, maxBody+1))
	if err != nil {
		return messageResponse(http.StatusBadRequest, "Bad Request")
	}
	if len(x.body) > maxBody {
		return messageResponse(http.StatusRequestEntityTooLarge, "Request Entity Too Large")
	}
	payload, failed := s.invoke(x)
	if failed != nil {
		return failed
	}
	var out *httpevent.Response
	if x.route.integration.Format == format1 {
		out, err = httpevent.Parse1(payload)
	} else {
		out, err = httpevent.Parse2(payload)
	}
	if err != nil {
		s.warn(x, "a function's answer is not of the form that its integration's payload format demands", err)
		return messageResponse(http.StatusInternalServerError, "Internal Server Error")
	}
	return out
}

// invoke calls the route's function and returns its payload, or the answer that stands for its failure.
func (s *Service) invoke(x *exchange) ([]byte, *httpevent.Response) {
	payload, err := x.event()
	if err != nil {
		s.warn(x, "a request cannot be written as an event", err)
		return nil, messageResponse(http.StatusInternalServerError, "Internal Server Error")
	}
	// As on AWS, the function goes on when the client leaves: the integration's time alone bounds it.
	ctx := context.WithoutCancel(x.r.Context())
	call := *cloud.CallOf(ctx)
	call.Account, call.Region, call.Now = x.account, x.region, x.now
	ctx = cloud.AsServiceFor(cloud.WithCall(ctx, &call), principal, x.sourceARN())
	ctx, cancel := clock.WithTimeout(ctx, s.deps.Clock, time.Duration(x.route.integration.Timeout)*time.Millisecond)
	defer cancel()
	out, err := s.functions.Invoke(ctx, &lambda.InvokeInput{FunctionName: x.route.function, Payload: payload})
	switch {
	case err != nil && errors.Is(context.Cause(ctx), clock.ErrTimeout):
		return nil, messageResponse(http.StatusServiceUnavailable, "Service Unavailable")
	case cloud.Code(err) == "TooManyRequestsException":
		return nil, messageResponse(http.StatusServiceUnavailable, "Service Unavailable")
	case cloud.Code(err) == "RequestEntityTooLargeException":
		return nil, messageResponse(http.StatusRequestEntityTooLarge, "Request Entity Too Large")
	case err != nil:
		s.warn(x, "a function could not be invoked", err)
		return nil, messageResponse(http.StatusInternalServerError, "Internal Server Error")
	case out.FunctionError != nil:
		s.warn(x, "a function failed", errors.New(wire.Value(out.FunctionError)))
		return nil, messageResponse(http.StatusInternalServerError, "Internal Server Error")
	}
	return out.Payload, nil
}

func (s *Service) warn(x *exchange, what string, err error) {
	s.log.WarnContext(x.r.Context(), what, "api", x.api.row.ID, "route", x.route.row.Key, "function", x.route.function, "error", err)
}

// sourceARN names the route to the function's resource policy.
func (x *exchange) sourceARN() string {
	resource := x.api.row.ID + "/" + x.stage.Name + "/" + routeDefault
	if x.route.method != "" {
		resource = x.api.row.ID + "/" + x.stage.Name + "/" + x.r.Method + x.route.path
	}
	return cloud.ARN{
		Partition: cloud.Partition, Service: frontLabel, Region: x.region, Account: x.account, Resource: resource,
	}.String()
}

// newExchangeID returns an id of the form that API Gateway gives requests.
func newExchangeID() string {
	var b [11]byte
	rand.Read(b[:])
	return base64.StdEncoding.EncodeToString(b[:])
}

func headerSize(r *http.Request) int {
	n := len(r.Method) + len(r.RequestURI)
	for name, values := range r.Header {
		for _, v := range values {
			n += len(name) + len(v)
		}
	}
	return n
}
