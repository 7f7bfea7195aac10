package httpevent

import "strings"

// Format2 is the version that events of payload format 2.0 name.
const Format2 = "2.0"

// Event is the event of payload format 2.0. Sources: API Gateway Developer Guide, "Create AWS Lambda proxy integrations for HTTP APIs"; Lambda
// Developer Guide, "Invoking Lambda function URLs".
type Event struct {
	Version               string            `json:"version"`
	RouteKey              string            `json:"routeKey"`
	RawPath               string            `json:"rawPath"`
	RawQueryString        string            `json:"rawQueryString"`
	Cookies               []string          `json:"cookies,omitempty"`
	Headers               map[string]string `json:"headers"`
	QueryStringParameters map[string]string `json:"queryStringParameters,omitempty"`
	RequestContext        Context           `json:"requestContext"`
	Body                  string            `json:"body,omitempty"`
	PathParameters        map[string]string `json:"pathParameters,omitempty"`
	IsBase64Encoded       bool              `json:"isBase64Encoded"`
	StageVariables        map[string]string `json:"stageVariables,omitempty"`
}

// Context is an event's requestContext.
type Context struct {
	AccountID    string      `json:"accountId"`
	APIID        string      `json:"apiId"`
	Authorizer   *Authorizer `json:"authorizer,omitempty"`
	DomainName   string      `json:"domainName"`
	DomainPrefix string      `json:"domainPrefix"`
	HTTP         HTTP        `json:"http"`
	RequestID    string      `json:"requestId"`
	RouteKey     string      `json:"routeKey"`
	Stage        string      `json:"stage"`
	Time         string      `json:"time"`
	TimeEpoch    int64       `json:"timeEpoch"`
}

// Authorizer says who was let in.
type Authorizer struct {
	IAM *IAM `json:"iam,omitempty"`
}

// IAM is a caller who signed the request.
type IAM struct {
	AccessKey       string  `json:"accessKey"`
	AccountID       string  `json:"accountId"`
	CallerID        string  `json:"callerId"`
	CognitoIdentity *string `json:"cognitoIdentity"`
	PrincipalOrgID  *string `json:"principalOrgId"`
	UserARN         string  `json:"userArn"`
	UserID          string  `json:"userId"`
}

// HTTP is what a requestContext says of the request itself.
type HTTP struct {
	Method    string `json:"method"`
	Path      string `json:"path"`
	Protocol  string `json:"protocol"`
	SourceIP  string `json:"sourceIp"`
	UserAgent string `json:"userAgent"`
}

// Event returns the request as an event. account, id, route and stage are the front door's own.
func (r *Request) Event(account, id, route, stage string) *Event {
	e := &Event{
		Version: Format2, RouteKey: route, RawPath: r.Path, RawQueryString: r.URL.RawQuery, Cookies: r.Cookies(), Headers: map[string]string{},
		RequestContext: Context{
			AccountID: account, APIID: id, DomainName: r.Domain(), DomainPrefix: id,
			HTTP:      HTTP{Method: r.Method, Path: r.Path, Protocol: r.Proto, SourceIP: r.SourceIP, UserAgent: r.UserAgent()},
			RequestID: r.ID, RouteKey: route, Stage: stage, Time: r.Now.UTC().Format(TimeForm), TimeEpoch: r.Now.UnixMilli(),
		},
	}
	for _, h := range r.Headers() {
		if h.Name != "cookie" {
			e.Headers[h.Name] = strings.Join(h.Values, ",")
		}
	}
	if q := r.Query(); q != nil {
		e.QueryStringParameters = make(map[string]string, len(q))
		for name, values := range q {
			e.QueryStringParameters[name] = strings.Join(values, ",")
		}
	}
	e.Body, e.IsBase64Encoded = r.Text()
	return e
}
