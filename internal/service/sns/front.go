package sns

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"net/http"
	"strings"

	"croft/internal/awsapi/sns"
	"croft/internal/cloud"
)

const (
	// frontLabel is the label of the front door under which the addresses in messages lie, and frontPath begins their paths.
	frontLabel = "sns"
	frontPath  = "/_aws/" + frontLabel + "/"
	// certificates is the id under which the signing certificate lies. Any other id is a region, a dot and an account.
	certificates = "cert"
	// messages is the path, below an account and region, at which the messages that were not sent are shown.
	messages  = "messages"
	namespace = "http://sns.amazonaws.com/doc/2010-03-31/"
)

// serve answers at the addresses that stand in messages: whoever got the message may follow them, without credentials.
func (s *Service) serve(w http.ResponseWriter, r *http.Request, id string) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "this address can only be read", http.StatusMethodNotAllowed)
		return
	}
	if id == certificates {
		s.serveCertificate(w, r)
		return
	}
	region, account, ok := strings.Cut(id, ".")
	if !ok || region == "" || !cloud.IsAccount(account) {
		http.NotFound(w, r)
		return
	}
	ctx, query := cloud.In(r.Context(), account, region), r.URL.Query()
	if strings.Trim(r.URL.Path, "/") == messages {
		s.serveKept(ctx, w)
		return
	}
	var err error
	arn, action := "", query.Get("Action")
	switch action {
	case "ConfirmSubscription":
		var out *sns.ConfirmSubscriptionOutput
		out, err = s.ConfirmSubscription(ctx, &sns.ConfirmSubscriptionInput{TopicArn: query.Get("TopicArn"), Token: query.Get("Token")})
		if err == nil {
			arn = *out.SubscriptionArn
		}
	case "Unsubscribe":
		_, err = s.Unsubscribe(ctx, &sns.UnsubscribeInput{SubscriptionArn: query.Get("SubscriptionArn")})
	default:
		err = cloud.Errorf("InvalidAction", "The action %s is not valid for this endpoint.", action)
	}
	if err != nil {
		s.writeError(ctx, w, err)
		return
	}
	result := ""
	if arn != "" {
		result = "<ConfirmSubscriptionResult><SubscriptionArn>" + escape(arn) + "</SubscriptionArn></ConfirmSubscriptionResult>"
	}
	writeXML(w, http.StatusOK, `<`+action+`Response xmlns="`+namespace+`">`+result+requestID(ctx, "ResponseMetadata")+`</`+action+`Response>`)
}

func (s *Service) serveCertificate(w http.ResponseWriter, r *http.Request) {
	key, err := s.signer(r.Context())
	if err != nil {
		s.writeError(r.Context(), w, err)
		return
	}
	if strings.Trim(r.URL.Path, "/") != key.file() {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/x-pem-file")
	// An error means that whoever asked has gone.
	_, _ = w.Write(key.pem())
}

func (s *Service) writeError(ctx context.Context, w http.ResponseWriter, err error) {
	var refused *cloud.Error
	if !errors.As(err, &refused) {
		s.deps.Log.Error("an address of a message cannot be served", "err", err)
		refused = cloud.Errorf("InternalError", "The request could not be served.").WithStatus(http.StatusInternalServerError)
	}
	writeXML(w, refused.HTTPStatus(), `<ErrorResponse xmlns="`+namespace+`"><Error><Type>Sender</Type><Code>`+escape(cloud.Code(refused))+
		`</Code><Message>`+escape(refused.Message)+`</Message></Error>`+requestID(ctx, "")+`</ErrorResponse>`)
}

func requestID(ctx context.Context, inside string) string {
	id := "<RequestId>" + escape(cloud.CallOf(ctx).RequestID) + "</RequestId>"
	if inside == "" {
		return id
	}
	return "<" + inside + ">" + id + "</" + inside + ">"
}

func writeXML(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	// An error means that whoever asked has gone.
	_, _ = w.Write([]byte(body))
}

func escape(s string) string {
	var b bytes.Buffer
	// A buffer takes everything.
	_ = xml.EscapeText(&b, []byte(s))
	return b.String()
}
