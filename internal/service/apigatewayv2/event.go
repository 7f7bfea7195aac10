package apigatewayv2

import (
	"croft/internal/cloud"
	"croft/internal/httpevent"
)

// request returns the request as events know it.
func (x *exchange) request() *httpevent.Request {
	return &httpevent.Request{
		Request: x.r, ID: x.id, Path: x.path, Body: x.body, SourceIP: cloud.CallOf(x.r.Context()).SourceIP, Now: x.now,
	}
}

// event returns the payload that the route's function is invoked with.
func (x *exchange) event() ([]byte, error) {
	if x.route.integration.Format == format1 {
		return httpevent.Encode(x.event1())
	}
	e := x.request().Event(x.account, x.api.row.ID, x.route.row.Key, x.stage.Name)
	e.PathParameters, e.StageVariables = x.pathValues, x.stage.Variables
	return httpevent.Encode(e)
}
