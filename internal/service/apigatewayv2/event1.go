package apigatewayv2

import (
	"net/http"

	"croft/internal/httpevent"
)

// event1 is the event of payload format 1.0 as HTTP APIs send it. Source: API Gateway Developer Guide, "Create AWS Lambda proxy integrations
// for HTTP APIs".
type event1 struct {
	Version                         string              `json:"version"`
	Resource                        string              `json:"resource"`
	Path                            string              `json:"path"`
	HTTPMethod                      string              `json:"httpMethod"`
	Headers                         map[string]string   `json:"headers"`
	MultiValueHeaders               map[string][]string `json:"multiValueHeaders"`
	QueryStringParameters           map[string]string   `json:"queryStringParameters"`
	MultiValueQueryStringParameters map[string][]string `json:"multiValueQueryStringParameters"`
	RequestContext                  context1            `json:"requestContext"`
	PathParameters                  map[string]string   `json:"pathParameters"`
	StageVariables                  map[string]string   `json:"stageVariables"`
	Body                            *string             `json:"body"`
	IsBase64Encoded                 bool                `json:"isBase64Encoded"`
}

type context1 struct {
	AccountID         string    `json:"accountId"`
	APIID             string    `json:"apiId"`
	DomainName        string    `json:"domainName"`
	DomainPrefix      string    `json:"domainPrefix"`
	ExtendedRequestID string    `json:"extendedRequestId"`
	HTTPMethod        string    `json:"httpMethod"`
	Identity          identity1 `json:"identity"`
	Path              string    `json:"path"`
	Protocol          string    `json:"protocol"`
	RequestID         string    `json:"requestId"`
	RequestTime       string    `json:"requestTime"`
	RequestTimeEpoch  int64     `json:"requestTimeEpoch"`
	ResourceID        *string   `json:"resourceId"`
	ResourcePath      string    `json:"resourcePath"`
	Stage             string    `json:"stage"`
}

// identity1 has the members that format 1.0 always carries; those of callers that have been authorised stay null.
type identity1 struct {
	AccessKey                     *string `json:"accessKey"`
	AccountID                     *string `json:"accountId"`
	Caller                        *string `json:"caller"`
	CognitoAuthenticationProvider *string `json:"cognitoAuthenticationProvider"`
	CognitoAuthenticationType     *string `json:"cognitoAuthenticationType"`
	CognitoIdentityID             *string `json:"cognitoIdentityId"`
	CognitoIdentityPoolID         *string `json:"cognitoIdentityPoolId"`
	PrincipalOrgID                *string `json:"principalOrgId"`
	SourceIP                      string  `json:"sourceIp"`
	User                          *string `json:"user"`
	UserAgent                     string  `json:"userAgent"`
	UserARN                       *string `json:"userArn"`
}

func (x *exchange) event1() *event1 {
	r := x.request()
	resource := x.route.path
	if x.route.method == "" {
		resource = routeDefault
	}
	e := &event1{
		Version: format1, Resource: resource, Path: x.path, HTTPMethod: x.r.Method,
		Headers: map[string]string{}, MultiValueHeaders: map[string][]string{},
		MultiValueQueryStringParameters: r.Query(), PathParameters: x.pathValues, StageVariables: x.stage.Variables,
		RequestContext: context1{
			AccountID: x.account, APIID: x.api.row.ID, DomainName: r.Domain(), DomainPrefix: x.api.row.ID,
			ExtendedRequestID: x.id, HTTPMethod: x.r.Method, Path: x.path, Protocol: x.r.Proto, RequestID: x.id,
			Identity:    identity1{SourceIP: r.SourceIP, UserAgent: x.r.UserAgent()},
			RequestTime: x.now.UTC().Format(httpevent.TimeForm), RequestTimeEpoch: x.now.UnixMilli(), ResourcePath: resource, Stage: x.stage.Name,
		},
	}
	for _, h := range r.Headers() {
		// Those that API Gateway sets keep the form with capitals that REST APIs gave them.
		if h.Own {
			h.Name = http.CanonicalHeaderKey(h.Name)
		}
		e.Headers[h.Name], e.MultiValueHeaders[h.Name] = h.Values[len(h.Values)-1], h.Values
	}
	if q := e.MultiValueQueryStringParameters; q != nil {
		e.QueryStringParameters = make(map[string]string, len(q))
		for name, values := range q {
			e.QueryStringParameters[name] = values[len(values)-1]
		}
	}
	if body, encoded := r.Text(); len(x.body) > 0 {
		e.Body, e.IsBase64Encoded = &body, encoded
	}
	return e
}
