package apigatewayv2

import (
	"strings"

	"croft/internal/cloud"
)

// event2 is the event of payload format 2.0. Source: API Gateway Developer Guide, "Create AWS Lambda proxy integrations for HTTP APIs".
type event2 struct {
	Version               string            `json:"version"`
	RouteKey              string            `json:"routeKey"`
	RawPath               string            `json:"rawPath"`
	RawQueryString        string            `json:"rawQueryString"`
	Cookies               []string          `json:"cookies,omitempty"`
	Headers               map[string]string `json:"headers"`
	QueryStringParameters map[string]string `json:"queryStringParameters,omitempty"`
	RequestContext        context2          `json:"requestContext"`
	Body                  string            `json:"body,omitempty"`
	PathParameters        map[string]string `json:"pathParameters,omitempty"`
	IsBase64Encoded       bool              `json:"isBase64Encoded"`
	StageVariables        map[string]string `json:"stageVariables,omitempty"`
}

type context2 struct {
	AccountID    string `json:"accountId"`
	APIID        string `json:"apiId"`
	DomainName   string `json:"domainName"`
	DomainPrefix string `json:"domainPrefix"`
	HTTP         http2  `json:"http"`
	RequestID    string `json:"requestId"`
	RouteKey     string `json:"routeKey"`
	Stage        string `json:"stage"`
	Time         string `json:"time"`
	TimeEpoch    int64  `json:"timeEpoch"`
}

type http2 struct {
	Method    string `json:"method"`
	Path      string `json:"path"`
	Protocol  string `json:"protocol"`
	SourceIP  string `json:"sourceIp"`
	UserAgent string `json:"userAgent"`
}

func (x *exchange) event2() *event2 {
	e := &event2{
		Version: format2, RouteKey: x.route.row.Key, RawPath: x.path, RawQueryString: x.r.URL.RawQuery, Cookies: cookies(x.r),
		Headers: map[string]string{}, PathParameters: x.pathValues, StageVariables: x.stage.Variables,
		RequestContext: context2{
			AccountID: x.account, APIID: x.api.row.ID, DomainName: x.domain(), DomainPrefix: x.api.row.ID,
			HTTP: http2{
				Method: x.r.Method, Path: x.path, Protocol: x.r.Proto,
				SourceIP: cloud.CallOf(x.r.Context()).SourceIP, UserAgent: x.r.UserAgent(),
			},
			RequestID: x.id, RouteKey: x.route.row.Key, Stage: x.stage.Name,
			Time: x.now.UTC().Format(timeForm), TimeEpoch: x.now.UnixMilli(),
		},
	}
	for _, h := range x.headers() {
		if h.name != "cookie" {
			e.Headers[h.name] = strings.Join(h.values, ",")
		}
	}
	if q := query(x.r.URL.RawQuery); q != nil {
		e.QueryStringParameters = make(map[string]string, len(q))
		for name, values := range q {
			e.QueryStringParameters[name] = strings.Join(values, ",")
		}
	}
	e.Body, e.IsBase64Encoded = x.text()
	return e
}
