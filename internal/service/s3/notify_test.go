package s3_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	api "croft/internal/awsapi/s3"
	snsapi "croft/internal/awsapi/sns"
	sqsapi "croft/internal/awsapi/sqs"
	"croft/internal/cfn"
	"croft/internal/cloud"
	"croft/internal/service"
	"croft/internal/service/servicetest"
	"croft/internal/service/sns"
	"croft/internal/service/sqs"
	"croft/internal/wire"
)

// told is a cloud with a bucket that tells a queue.
type told struct {
	*servicetest.Env
	t     *testing.T
	s3    api.Client
	sqs   sqsapi.Client
	queue string
}

func queues(d service.Deps) service.Descriptor { return sqs.New(d).Descriptor() }
func topics(d service.Deps) service.Descriptor { return sns.New(d).Descriptor() }

const queueARN = "arn:aws:sqs:us-east-1:000000000000:events"

func newTold(t *testing.T) *told {
	e := servicetest.New(t, descriptor, queues, topics)
	n := &told{Env: e, t: t, s3: api.NewClient(e.Dispatcher), sqs: sqsapi.NewClient(e.Dispatcher)}
	out, err := n.sqs.CreateQueue(e.Context(), &sqsapi.CreateQueueInput{QueueName: "events"})
	n.must(err)
	n.queue = *out.QueueUrl
	_, err = n.s3.CreateBucket(e.Context(), &api.CreateBucketInput{Bucket: "telling"})
	n.must(err)
	return n
}

func (n *told) must(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}

func (n *told) configure(c *api.NotificationConfiguration) error {
	_, err := n.s3.PutBucketNotificationConfiguration(n.Context(), &api.PutBucketNotificationConfigurationInput{Bucket: "telling", NotificationConfiguration: c})
	return err
}

func toQueue(events []string, rules ...api.FilterRule) *api.NotificationConfiguration {
	q := api.QueueConfiguration{Id: wire.Ptr("it"), QueueArn: queueARN, Events: events}
	if rules != nil {
		q.Filter = &api.NotificationConfigurationFilter{Key: &api.S3KeyFilter{FilterRules: rules}}
	}
	return &api.NotificationConfiguration{QueueConfigurations: []api.QueueConfiguration{q}}
}

// received takes what lies in the queue.
func (n *told) received() (out []string) {
	n.t.Helper()
	n.Settle()
	for {
		r, err := n.sqs.ReceiveMessage(n.Context(), &sqsapi.ReceiveMessageInput{QueueUrl: n.queue, MaxNumberOfMessages: wire.Ptr(int32(10))})
		n.must(err)
		if len(r.Messages) == 0 {
			return out
		}
		for _, m := range r.Messages {
			out = append(out, *m.Body)
			_, err := n.sqs.DeleteMessage(n.Context(), &sqsapi.DeleteMessageInput{QueueUrl: n.queue, ReceiptHandle: *m.ReceiptHandle})
			n.must(err)
		}
	}
}

// events are the names, keys and versions of what was told.
func (n *told) events() (out []string) {
	n.t.Helper()
	for _, text := range n.received() {
		var m struct {
			Event   string
			Records []struct {
				EventName string
				S3        struct {
					Object struct{ Key, VersionID string }
				}
			}
		}
		n.must(json.Unmarshal([]byte(text), &m))
		if m.Event != "" {
			out = append(out, m.Event)
		}
		for _, r := range m.Records {
			out = append(out, strings.TrimSpace(r.EventName+" "+r.S3.Object.Key+" "+r.S3.Object.VersionID))
		}
	}
	slices.Sort(out)
	return out
}

func (n *told) expect(want ...string) {
	n.t.Helper()
	slices.Sort(want)
	if got := n.events(); !slices.Equal(got, want) {
		n.t.Errorf("told of %q, want %q", got, want)
	}
}

func (n *told) put(key string) string {
	n.t.Helper()
	out, err := n.s3.PutObject(n.Context(), &api.PutObjectInput{Bucket: "telling", Key: key, Body: wire.NewStream(strings.NewReader("body"), 4)})
	n.must(err)
	return wire.Value(out.VersionId)
}

func TestRecordHasTheFormOfS3(t *testing.T) {
	n := newTold(t)
	n.must(n.configure(toQueue([]string{"s3:ObjectCreated:*"})))
	if test := n.received(); len(test) != 1 || !strings.Contains(test[0], `"Service":"Amazon S3","Event":"s3:TestEvent","Time":"2026-01-02T03:04:05.000Z","Bucket":"telling"`) {
		t.Fatalf("%q", test)
	}
	n.put("a b/c+")
	got := n.received()
	if len(got) != 1 {
		t.Fatalf("%q", got)
	}
	for _, want := range []string{
		`"eventVersion":"2.1","eventSource":"aws:s3","awsRegion":"us-east-1","eventTime":"2026-01-02T03:04:05.000Z","eventName":"ObjectCreated:Put"`,
		`"userIdentity":{"principalId":"AWS:000000000000"},"requestParameters":{"sourceIPAddress":"127.0.0.1"},"responseElements":{"x-amz-request-id":`,
		`"s3":{"s3SchemaVersion":"1.0","configurationId":"it","bucket":{"name":"telling","ownerIdentity":{"principalId":"A`,
		`"arn":"arn:aws:s3:::telling"},"object":{"key":"a+b/c%2B","size":4,"eTag":"841a2d689ad86bd1611447453c22c6fc","sequencer":"00`,
	} {
		if !strings.Contains(got[0], want) {
			t.Errorf("%s\nhas no %s", got[0], want)
		}
	}
}

func TestEventsOfEveryChange(t *testing.T) {
	n := newTold(t)
	n.must(n.configure(toQueue([]string{"s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:ObjectTagging:*"})))
	n.put("a")
	_, err := n.s3.CopyObject(n.Context(), &api.CopyObjectInput{Bucket: "telling", Key: "b", CopySource: "telling/a"})
	n.must(err)
	tags := &api.Tagging{TagSet: []api.Tag{{Key: "k", Value: "v"}}}
	_, err = n.s3.PutObjectTagging(n.Context(), &api.PutObjectTaggingInput{Bucket: "telling", Key: "a", Tagging: tags})
	n.must(err)
	_, err = n.s3.DeleteObjectTagging(n.Context(), &api.DeleteObjectTaggingInput{Bucket: "telling", Key: "a"})
	n.must(err)
	_, err = n.s3.DeleteObjects(n.Context(), &api.DeleteObjectsInput{Bucket: "telling", Delete: &api.Delete{Objects: []api.ObjectIdentifier{{Key: "a"}, {Key: "none"}}}})
	n.must(err)
	n.expect("s3:TestEvent", "ObjectCreated:Put a", "ObjectCreated:Copy b", "ObjectTagging:Put a", "ObjectTagging:Delete a", "ObjectRemoved:Delete a")
	status := api.BucketVersioningStatusEnabled
	_, err = n.s3.PutBucketVersioning(n.Context(), &api.PutBucketVersioningInput{Bucket: "telling", VersioningConfiguration: &api.VersioningConfiguration{Status: &status}})
	n.must(err)
	id := n.put("v")
	marker, err := n.s3.DeleteObject(n.Context(), &api.DeleteObjectInput{Bucket: "telling", Key: "v"})
	n.must(err)
	_, err = n.s3.DeleteObject(n.Context(), &api.DeleteObjectInput{Bucket: "telling", Key: "v", VersionId: &id})
	n.must(err)
	n.expect("ObjectCreated:Put v "+id, "ObjectRemoved:DeleteMarkerCreated v "+*marker.VersionId, "ObjectRemoved:Delete v "+id)
	upload, err := n.s3.CreateMultipartUpload(n.Context(), &api.CreateMultipartUploadInput{Bucket: "telling", Key: "parts"})
	n.must(err)
	part, err := n.s3.UploadPart(n.Context(), &api.UploadPartInput{Bucket: "telling", Key: "parts", UploadId: *upload.UploadId, PartNumber: 1, Body: wire.NewStream(strings.NewReader("p"), 1)})
	n.must(err)
	n.expect()
	done, err := n.s3.CompleteMultipartUpload(n.Context(), &api.CompleteMultipartUploadInput{Bucket: "telling", Key: "parts", UploadId: *upload.UploadId,
		MultipartUpload: &api.CompletedMultipartUpload{Parts: []api.CompletedPart{{PartNumber: wire.Ptr(int32(1)), ETag: part.ETag}}}})
	n.must(err)
	n.expect("ObjectCreated:CompleteMultipartUpload parts " + *done.VersionId)
}

func TestFiltersAndTopics(t *testing.T) {
	n := newTold(t)
	topic, err := snsapi.NewClient(n.Dispatcher).CreateTopic(n.Context(), &snsapi.CreateTopicInput{Name: "news"})
	n.must(err)
	_, err = snsapi.NewClient(n.Dispatcher).Subscribe(n.Context(), &snsapi.SubscribeInput{TopicArn: *topic.TopicArn, Protocol: "sqs", Endpoint: wire.Ptr(queueARN)})
	n.must(err)
	c := toQueue([]string{"s3:ObjectCreated:Put"}, api.FilterRule{Name: wire.Ptr("prefix"), Value: wire.Ptr("in/")}, api.FilterRule{Name: wire.Ptr("SUFFIX"), Value: wire.Ptr(".jpg")})
	c.TopicConfigurations = []api.TopicConfiguration{{TopicArn: *topic.TopicArn, Events: []string{"s3:ObjectRemoved:Delete"}}}
	n.must(n.configure(c))
	if all := n.received(); len(all) != 2 {
		t.Errorf("%q", all)
	}
	for _, key := range []string{"in/a.jpg", "in/a.png", "out/a.jpg"} {
		n.put(key)
	}
	n.expect("ObjectCreated:Put in/a.jpg")
	got, err := n.s3.GetBucketNotificationConfiguration(n.Context(), &api.GetBucketNotificationConfigurationInput{Bucket: "telling"})
	n.must(err)
	if r := got.QueueConfigurations[0].Filter.Key.FilterRules; len(r) != 2 || *r[0].Name != "Prefix" || *r[1].Name != "Suffix" || len(*got.TopicConfigurations[0].Id) == 0 {
		t.Errorf("%+v", got)
	}
	_, err = n.s3.DeleteObject(n.Context(), &api.DeleteObjectInput{Bucket: "telling", Key: "in/a.png"})
	n.must(err)
	if all := n.received(); len(all) != 1 || !strings.Contains(all[0], `"Subject" : "Amazon S3 Notification"`) || !strings.Contains(all[0], `ObjectRemoved:Delete`) {
		t.Errorf("%q", all)
	}
	n.must(n.configure(new(api.NotificationConfiguration)))
	n.put("in/b.jpg")
	n.expect()
}

// TestNotificationsThatAreRefused: nothing is told, not even a test event, when a part of a configuration is wrong.
func TestNotificationsThatAreRefused(t *testing.T) {
	n := newTold(t)
	gone := toQueue([]string{"s3:ObjectCreated:*"})
	gone.QueueConfigurations = append(gone.QueueConfigurations, api.QueueConfiguration{QueueArn: queueARN + "-none", Events: []string{"s3:ObjectRemoved:*"}})
	both := toQueue([]string{"s3:ObjectCreated:*"})
	both.QueueConfigurations = append(both.QueueConfigurations, api.QueueConfiguration{QueueArn: queueARN, Events: []string{"s3:ObjectCreated:Put"}})
	suffixes := toQueue([]string{"s3:ObjectCreated:*"}, api.FilterRule{Name: wire.Ptr("suffix"), Value: wire.Ptr("g")})
	suffixes.QueueConfigurations = append(suffixes.QueueConfigurations, api.QueueConfiguration{QueueArn: queueARN, Events: []string{"s3:ObjectCreated:*"},
		Filter: &api.NotificationConfigurationFilter{Key: &api.S3KeyFilter{FilterRules: []api.FilterRule{{Name: wire.Ptr("suffix"), Value: wire.Ptr("jpg")}}}}})
	far := toQueue([]string{"s3:ObjectCreated:*"})
	far.QueueConfigurations[0].QueueArn = "arn:aws:sqs:eu-west-1:000000000000:events"
	for _, c := range []struct {
		given *api.NotificationConfiguration
		want  string
	}{
		{gone, "InvalidArgument: Unable to validate the following destination configurations"},
		{both, "InvalidArgument: Configurations overlap."},
		{suffixes, "InvalidArgument: Configuration is ambiguously defined."},
		{far, "InvalidArgument: The notification destination service region is not valid"},
		{toQueue([]string{"s3:Made"}), "InvalidArgument: The event is not supported for notifications"},
		{toQueue([]string{"s3:ObjectRestore:Post"}), "NotImplemented: croft does not implement Event"},
		{toQueue([]string{"s3:ObjectCreated:*"}, api.FilterRule{Name: wire.Ptr("middle"), Value: wire.Ptr("x")}), "InvalidArgument: filter rule name must be either prefix or suffix"},
		{toQueue([]string{"s3:ObjectCreated:*"}, api.FilterRule{Name: wire.Ptr("prefix")}), "MalformedXML"},
		{&api.NotificationConfiguration{EventBridgeConfiguration: &api.EventBridgeConfiguration{}}, "NotImplemented: croft does not implement EventBridgeConfiguration"},
	} {
		if err := n.configure(c.given); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
	n.put("a")
	n.expect()
}

// TestBucketsOfTemplatesTellAndKeep deploys a bucket with versions and notifications, and takes both away again.
func TestBucketsOfTemplatesTellAndKeep(t *testing.T) {
	n := newTold(t)
	with := map[string]any{"BucketName": "made", "VersioningConfiguration": map[string]any{"Status": "Enabled"}, "NotificationConfiguration": map[string]any{
		"QueueConfigurations": []any{map[string]any{"Event": "s3:ObjectCreated:*", "Queue": queueARN, "Filter": map[string]any{
			"S3Key": map[string]any{"Rules": []any{map[string]any{"Name": "prefix", "Value": "x"}}}}}}}}
	without := map[string]any{"BucketName": "made"}
	bucket, r := n.Resource("AWS::S3::Bucket"), &cfn.Request{PhysicalID: "made"}
	n.must(n.Update(func(ctx context.Context) error { _, err := bucket.Create(ctx, r, with); return err }))
	n.Advance(time.Second)
	n.expect("s3:TestEvent")
	_, err := n.s3.PutObject(n.Context(), &api.PutObjectInput{Bucket: "made", Key: "xy"})
	n.must(err)
	if got := n.events(); len(got) != 1 || !strings.HasPrefix(got[0], "ObjectCreated:Put xy ") {
		t.Errorf("%q", got)
	}
	n.must(n.Update(func(ctx context.Context) error { _, err := bucket.Update(ctx, r, with, without); return err }))
	_, err = n.s3.PutObject(n.Context(), &api.PutObjectInput{Bucket: "made", Key: "xy"})
	n.must(err)
	n.expect()
	v, err := n.s3.GetBucketVersioning(n.Context(), &api.GetBucketVersioningInput{Bucket: "made"})
	if err != nil || wire.Value(v.Status) != api.BucketVersioningStatusSuspended {
		t.Errorf("%v %+v", err, v)
	}
	bad := map[string]any{"BucketName": "other", "NotificationConfiguration": map[string]any{"EventBridgeConfiguration": map[string]any{}}}
	if err := bucket.Check(bad); err == nil || cloud.Code(err) == "" && !strings.Contains(err.Error(), "EventBridgeConfiguration") {
		t.Errorf("got %v", err)
	}
}
