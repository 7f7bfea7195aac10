package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"croft/internal/awsapi/lambda"
	"croft/internal/cloud"
	"croft/internal/engine"
	"croft/internal/httpevent"
	"croft/internal/kv"
	"croft/internal/service"
	"croft/internal/sigv4"
)

// urlForbidden is what the service says to those whom it does not let in. Recorded.
const urlForbidden = "Forbidden. For troubleshooting Function URL authorization issues, see: https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"

const (
	headerErrorType = "X-Amzn-Errortype"
	headerRequest   = "X-Amzn-Requestid"
)

// urlVisit is one request to a URL.
type urlVisit struct {
	r     *http.Request
	call  *cloud.Call
	place urlPlace
	url   *urlRow
	// function is nil when the URL's alias, which it outlives, is gone.
	function *resolved
	policy   []statement
	body     []byte
}

func (s *Service) urlFront() *service.Front {
	return &service.Front{Label: urlLabel, Serve: s.serveURL, AllowOrigin: s.urlAllowsOrigin}
}

// urlAllowsOrigin reports whether pages of origin may call the URL with that id.
func (s *Service) urlAllowsOrigin(ctx context.Context, id, origin string) bool {
	v := &urlVisit{}
	return s.visit(ctx, id, v) == nil && v.url.CORS.Allow(origin) != ""
}

// visit finds the URL with that id and what it leads to, whatever account and region that lies in. No URL is kv.ErrNotFound.
func (s *Service) visit(ctx context.Context, id string, v *urlVisit) error {
	return s.shared().View(ctx, func(ctx context.Context, index kv.Reader) error {
		entry, err := index.Get(urlIndexKey(id))
		if err != nil {
			return err
		}
		if err := json.Unmarshal(entry, &v.place); err != nil {
			return fmt.Errorf("lambda: the index of URLs is damaged at %s: %w", id, err)
		}
		ref := reference{account: v.place.Account, region: v.place.Region, name: v.place.Function, qualifier: v.place.Qualifier}
		return s.space(cloud.In(ctx, ref.account, ref.region)).View(ctx, func(_ context.Context, r kv.Reader) error {
			if v.url, err = loadURL(r, ref); err != nil {
				return err
			}
			if v.url == nil {
				return kv.ErrNotFound
			}
			if v.function, err = s.route(r, ref); err != nil && cloud.Code(err) != codeNotFound {
				return err
			}
			v.policy, err = loadPolicy(r, ref.name, ref.policyQualifier())
			return err
		})
	})
}

// serveURL answers a request to the function URL with that id.
func (s *Service) serveURL(w http.ResponseWriter, r *http.Request, id string) {
	v := &urlVisit{r: r}
	caller := cloud.CallOf(r.Context())
	h := w.Header()
	h[headerRequest], h[cloud.TraceHeader] = []string{caller.RequestID}, []string{caller.Trace}
	if err := s.visit(r.Context(), id, v); err != nil {
		if !errors.Is(err, kv.ErrNotFound) {
			s.deps.Log.ErrorContext(r.Context(), "a function URL cannot be read", "url", id, "err", err)
			urlError(w, http.StatusServiceUnavailable, "ServiceException", wireMessage("Service Unavailable"))
			return
		}
		urlError(w, http.StatusForbidden, "AccessDeniedException", `{"Message":null}`)
		return
	}
	origin := r.Header.Get("Origin")
	if v.url.CORS != nil && httpevent.IsPreflight(r) {
		v.url.CORS.Preflight(h, origin)
		w.WriteHeader(http.StatusOK)
		return
	}
	v.url.CORS.Set(h, origin)
	if s.admit(w, v) {
		s.runURL(w, v)
	}
}

// admit reads the request and finds out whether it may call the function. Otherwise it answers.
func (s *Service) admit(w http.ResponseWriter, v *urlVisit) bool {
	limit := s.payloadLimit(lambda.InvocationTypeRequestResponse)
	var err error
	if v.body, err = io.ReadAll(io.LimitReader(v.r.Body, int64(limit)+1)); err != nil {
		urlError(w, http.StatusBadRequest, "InvalidRequestContentException", wireMessage("The request could not be read."))
		return false
	}
	if len(v.body) > limit {
		tooLarge(w, limit)
		return false
	}
	v.call = cloud.CallOf(v.r.Context())
	var who *cloud.Principal
	if v.url.AuthType == lambda.FunctionUrlAuthTypeAWSIAM {
		if v.call, err = service.Authenticate(v.r.Context(), v.body, "lambda"); err != nil {
			s.refuseURL(w, err)
			return false
		}
		who = &v.call.Principal
	}
	if v.function == nil || !urlAllows(v.policy, v.url.AuthType, v.place.Account, who) {
		urlError(w, http.StatusForbidden, "AccessDeniedException", wireMessage(urlForbidden))
		return false
	}
	return true
}

// refuseURL answers a request whose signature is missing or wrong.
func (s *Service) refuseURL(w http.ResponseWriter, err error) {
	var e *cloud.Error
	switch {
	case !errors.As(err, &e):
		s.deps.Log.Error("a signature could not be checked", "err", err)
		urlError(w, http.StatusInternalServerError, "ServiceException", wireMessage("Internal Server Error"))
	case e.Code == sigv4.MissingAuthenticationToken+"Exception":
		urlError(w, http.StatusForbidden, "AccessDeniedException", wireMessage(urlForbidden))
	default:
		urlError(w, http.StatusForbidden, e.Code, wireMessage(e.Message))
	}
}

// runURL invokes the function and answers with what it makes of the request.
func (s *Service) runURL(w http.ResponseWriter, v *urlVisit) {
	event, err := v.event()
	if limit := s.payloadLimit(lambda.InvocationTypeRequestResponse); err != nil || len(event) > limit {
		tooLarge(w, limit)
		return
	}
	call := *v.call
	call.Account, call.Region = v.place.Account, v.place.Region
	ctx := cloud.WithCall(v.r.Context(), &call)
	inv := engine.Invocation{RequestID: call.RequestID, Payload: event, TraceID: call.Trace}
	if v.url.streams() {
		s.streamURL(ctx, w, v, inv)
		return
	}
	result, err := s.execute(ctx, v.function, inv)
	if err != nil || result.FunctionError != "" {
		s.failURL(ctx, w, v, result, err)
		return
	}
	answer, err := httpevent.ParseURL(result.Payload)
	if err != nil {
		s.warnURL(ctx, v, "a function's answer is not of the form that URLs ask for", err)
		badGateway(w)
		return
	}
	v.head(w, answer)
	// A client that has gone away misses nothing.
	_, _ = w.Write(answer.Body)
}

// head writes an answer's status and headers.
func (v *urlVisit) head(w http.ResponseWriter, answer *httpevent.Response) {
	h := w.Header()
	for name, values := range answer.Header {
		h[name] = values
	}
	v.url.CORS.Set(h, v.r.Header.Get("Origin"))
	w.WriteHeader(answer.Status)
}

// event returns the request as the function sees it.
func (v *urlVisit) event() ([]byte, error) {
	request := httpevent.Request{
		Request: v.r, ID: v.call.RequestID, Path: v.r.URL.Path, Body: v.body, SourceIP: v.call.SourceIP, Now: v.call.Now, Trace: v.root(),
	}
	// Nobody is known who has not signed. Observed on AWS.
	e := request.Event("anonymous", v.url.ID, "$default", "$default")
	if v.url.AuthType == lambda.FunctionUrlAuthTypeAWSIAM {
		p := &v.call.Principal
		e.RequestContext.AccountID = p.Account
		e.RequestContext.Authorizer = &httpevent.Authorizer{IAM: &httpevent.IAM{
			AccessKey: p.AccessKeyID, AccountID: p.Account, CallerID: p.UserID, UserARN: p.ARN, UserID: p.UserID,
		}}
	}
	return httpevent.Encode(e)
}

// root returns the trace header that the function sees among the request's: the client's own, or the beginning of the trace that the request was given.
func (v *urlVisit) root() string {
	if given := v.r.Header.Get(cloud.TraceHeader); given != "" {
		return given
	}
	root, _, _ := strings.Cut(v.call.Trace, ";")
	return root
}

// failURL answers for a function that failed or could not be run.
func (s *Service) failURL(ctx context.Context, w http.ResponseWriter, v *urlVisit, result *engine.Result, err error) {
	var e *cloud.Error
	switch {
	case err != nil && ctx.Err() != nil: // nobody is there any more
	case err == nil:
		s.warnURL(ctx, v, "a function failed", fmt.Errorf("%s: %.1000s", result.FunctionError, result.Payload))
	case errors.As(err, &e) && e.HTTPStatus() == http.StatusTooManyRequests:
		urlError(w, http.StatusTooManyRequests, e.Code, throttleBody(e))
		return
	default:
		s.warnURL(ctx, v, "a function could not be invoked", err)
	}
	badGateway(w)
}

func throttleBody(e *cloud.Error) string {
	body, err := json.Marshal(struct {
		Reason  any `json:",omitempty"`
		Type    string
		Message string `json:"message"`
	}{e.Fields["Reason"], "User", e.Message})
	if err != nil {
		return wireMessage(e.Message)
	}
	return string(body)
}

// badGateway answers for a function whose own answer is none. Observed on AWS: the text under the type of JSON.
func badGateway(w http.ResponseWriter) {
	urlError(w, http.StatusBadGateway, "InternalServerErrorException", "Internal Server Error")
}

func tooLarge(w http.ResponseWriter, limit int) {
	urlError(w, http.StatusRequestEntityTooLarge, "RequestEntityTooLargeException",
		wireMessage(fmt.Sprintf("Request must be smaller than %d bytes for the InvokeFunction operation", limit)))
}

func (s *Service) warnURL(ctx context.Context, v *urlVisit, what string, err error) {
	s.deps.Log.WarnContext(ctx, what, "url", v.url.ID, "function", v.function.ref.qualified(), "err", err)
}

func wireMessage(text string) string {
	body, _ := json.Marshal(map[string]string{"Message": text}) // strings can always be written
	return string(body)
}

func urlError(w http.ResponseWriter, status int, kind, body string) {
	h := w.Header()
	h["Content-Type"], h[headerErrorType] = []string{"application/json"}, []string{kind}
	w.WriteHeader(status)
	// A client that has gone away misses nothing.
	_, _ = io.WriteString(w, body)
}
