package s3

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	api "croft/internal/awsapi/s3"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/outbox"
)

const notifyHandler = "s3.notify"

// record is what is told of an event. Source: S3 User Guide, "Event message structure".
type record struct {
	EventVersion      string         `json:"eventVersion"`
	EventSource       string         `json:"eventSource"`
	AwsRegion         string         `json:"awsRegion"`
	EventTime         string         `json:"eventTime"`
	EventName         string         `json:"eventName"`
	UserIdentity      identity       `json:"userIdentity"`
	RequestParameters requestParams  `json:"requestParameters"`
	ResponseElements  responseParams `json:"responseElements"`
	S3                subject        `json:"s3"`
}

type identity struct {
	PrincipalID string `json:"principalId"`
}

type requestParams struct {
	SourceIPAddress string `json:"sourceIPAddress"`
}

type responseParams struct {
	RequestID string `json:"x-amz-request-id"`
	HostID    string `json:"x-amz-id-2"`
}

type subject struct {
	SchemaVersion   string        `json:"s3SchemaVersion"`
	ConfigurationID string        `json:"configurationId"`
	Bucket          toldBucket    `json:"bucket"`
	Object          subjectObject `json:"object"`
}

type toldBucket struct {
	Name          string   `json:"name"`
	OwnerIdentity identity `json:"ownerIdentity"`
	ARN           string   `json:"arn"`
}

type subjectObject struct {
	Key       string `json:"key"`
	Size      *int64 `json:"size,omitempty"`
	ETag      string `json:"eTag,omitempty"`
	VersionID string `json:"versionId,omitempty"`
	Sequencer string `json:"sequencer,omitempty"`
}

// telling is the body of an outbox message.
type telling struct {
	Bucket string          `json:"b"`
	To     string          `json:"t"`
	Trace  string          `json:"x,omitempty"`
	Text   json.RawMessage `json:"m"`
}

func eventTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// hostID is the second name of a request, which is opaque to clients.
func hostID(requestID string) string { return base64.StdEncoding.EncodeToString([]byte(requestID)) }

// emptyETag is that of a body of no bytes, which S3 says of delete markers.
const emptyETag = "d41d8cd98f00b204e9800998ecf8427e"

// emit tells the bucket's destinations of an event, in the transaction of the change. o is the version that it is about. A bucket without
// configurations pays nothing for it.
func (s *Service) emit(ctx context.Context, tx kv.Tx, b *bucket, at name, event string, o *object) error {
	if !b.Notifies {
		return nil
	}
	var rules []rule
	if _, err := readSetting(tx, at.bucket, notificationSetting, &rules); err != nil {
		return err
	}
	for i := range rules {
		if !rules[i].wants(event, at.key) {
			continue
		}
		if err := s.queueRecord(ctx, b, at, rules[i], newRecord(ctx, b, at, event, o)); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) queueRecord(ctx context.Context, b *bucket, at name, r rule, told record) error {
	told.S3.ConfigurationID = r.ID
	text, err := json.Marshal(map[string][]record{"Records": {told}})
	if err != nil {
		return err
	}
	body, err := json.Marshal(telling{at.bucket, r.ARN, cloud.CallOf(ctx).Trace, text})
	if err != nil {
		return err
	}
	return s.deps.Outbox.Put(ctx, outbox.Message{Handler: notifyHandler, Account: b.Account, Region: b.Region, Key: r.ARN, Body: body})
}

func newRecord(ctx context.Context, b *bucket, at name, event string, o *object) record {
	call := cloud.CallOf(ctx)
	about := subjectObject{Key: strings.ReplaceAll(url.QueryEscape(at.key), "%2F", "/"), VersionID: o.Version, Sequencer: fmt.Sprintf("00%016X", call.Now.UnixNano())}
	version := "2.1"
	switch event {
	case api.EventS3ObjectAclPut, api.EventS3ObjectTaggingPut, api.EventS3ObjectTaggingDelete:
		version, about.ETag, about.Sequencer = "2.3", o.ETag, ""
	case api.EventS3ObjectRemovedDeleteMarkerCreated:
		about.ETag = emptyETag
		about.VersionID = o.id()
	case api.EventS3ObjectRemovedDelete:
	default:
		about.Size, about.ETag = &o.Size, o.ETag
	}
	return record{
		EventVersion: version, EventSource: "aws:s3", AwsRegion: b.Region, EventTime: eventTime(call.Now), EventName: strings.TrimPrefix(event, "s3:"),
		UserIdentity:      identity{"AWS:" + cmp.Or(call.Principal.UserID, call.Principal.ARN)},
		RequestParameters: requestParams{call.SourceIP}, ResponseElements: responseParams{call.RequestID, hostID(call.RequestID)},
		S3: subject{
			SchemaVersion: "1.0", Object: about,
			Bucket: toldBucket{Name: at.bucket, OwnerIdentity: identity{"A" + strings.ToUpper(canonicalID(b.Account)[:13])}, ARN: arn(at.bucket)},
		},
	}
}

// notify hands a record to its destination, in the transaction that removes it from the outbox. One that is gone or refuses it is given up.
func (s *Service) notify(ctx context.Context, m outbox.Message) error {
	var t telling
	if err := json.Unmarshal(m.Body, &t); err != nil {
		return fmt.Errorf("s3: %w", err)
	}
	err := s.tell(cloud.WithTrace(ctx, t.Trace), t.Bucket, t.To, t.Text)
	var refused *cloud.Error
	if !errors.As(err, &refused) {
		return err
	}
	if status := refused.HTTPStatus(); status >= 500 && status != http.StatusNotImplemented || status == http.StatusTooManyRequests {
		return err
	}
	s.deps.Log.Warn("a notification of S3 cannot be delivered and is dropped", "bucket", t.Bucket, "destination", t.To, "err", err)
	return nil
}
