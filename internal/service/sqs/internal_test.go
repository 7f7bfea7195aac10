package sqs

import (
	"context"
	"fmt"
	"reflect"
	"testing"
	"time"

	"croft/internal/awsapi/sqs"
	"croft/internal/kv"
	"croft/internal/service"
	"croft/internal/service/servicetest"
	"croft/internal/wire"
)

// rows counts what lies under the first byte given in the service's space.
func rows(t *testing.T, env *servicetest.Env, first byte) (n int) {
	t.Helper()
	err := env.Deps.Space(env.Context(), "sqs").View(env.Context(), func(_ context.Context, r kv.Reader) error {
		for _, err := range r.Scan(kv.PrefixRange([]byte{first}), kv.ScanOptions{}) {
			if err != nil {
				return err
			}
			n++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// What nobody receives is removed by the queue's timer, however much it is, and the name of a deleted queue is forgotten.
func TestSweep(t *testing.T) {
	env := servicetest.New(t, func(deps service.Deps) service.Descriptor { return New(deps).Descriptor() })
	client := sqs.NewClient(env.Dispatcher)
	made, err := client.CreateQueue(env.Context(), &sqs.CreateQueueInput{QueueName: "q", Attributes: map[string]string{"MessageRetentionPeriod": "120"}})
	if err != nil {
		t.Fatal(err)
	}
	url := *made.QueueUrl
	for i := range sweepBatch + 20 {
		if _, err := client.SendMessage(env.Context(), &sqs.SendMessageInput{QueueUrl: url, MessageBody: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	in := &sqs.ReceiveMessageInput{QueueUrl: url, MaxNumberOfMessages: wire.Ptr[int32](10)}
	if _, err := client.ReceiveMessage(env.Context(), in); err != nil {
		t.Fatal(err)
	}
	if n := rows(t, env, 'f'); n != 10 {
		t.Fatalf("%d messages are in flight", n)
	}
	env.Advance(time.Minute)
	if n := rows(t, env, 'm'); n != sweepBatch+20 {
		t.Errorf("%d rows after a minute", n)
	}
	env.Advance(3 * time.Minute)
	if m, f := rows(t, env, 'm'), rows(t, env, 'f'); m+f != 0 {
		t.Errorf("%d rows and %d flights after the retention period", m, f)
	}
	if _, err := client.DeleteQueue(env.Context(), &sqs.DeleteQueueInput{QueueUrl: url}); err != nil {
		t.Fatal(err)
	}
	if n := rows(t, env, 'd'); n != 1 {
		t.Errorf("%d tombstones", n)
	}
	env.Advance(cooldown)
	if n := rows(t, env, 'd'); n != 0 {
		t.Errorf("%d tombstones after a minute", n)
	}
}

func TestAttributesMD5(t *testing.T) {
	// Digests as recorded on AWS.
	for want, in := range map[string][]attribute{
		"ae7155c6026991b6d54b11589678bf9c": {{name: "Foo", dataType: "String", value: "Bar"}},
		"1f07082409022a373fa2a2601f82b3cb": {{name: "attr1", dataType: "Number", value: "19.12"}},
		"9b720b3af309c1c4b0d395c53b08c502": {{name: "attr1", dataType: "Number", value: "99.12"}, {name: "attr2", dataType: "Number", value: "109.12"}},
		"a45daa70926828a2f0a1db3418e6feb4": {{name: "k", dataType: "String", value: "x"}},
	} {
		if got := attributesMD5(in); got != want {
			t.Errorf("%v: got %s, want %s", in, got, want)
		}
	}
}

func TestRecord(t *testing.T) {
	in := &record{
		id: newMessageID(), sent: time.UnixMilli(1767323045678), sender: "AROA:session", trace: "Root=1", body: "body\x00",
		attributes: []attribute{{"a", "String.x", false, "1"}, {"b", "Binary", true, "\xff\x00"}},
	}
	out, err := decodeRecord(in.encode())
	if err != nil || !reflect.DeepEqual(in, out) {
		t.Fatalf("%v\ngot  %+v\nwant %+v", err, out, in)
	}
	f := flight{visible: time.Unix(1, 2), nonce: 1 << 63, receives: 3, first: time.UnixMilli(4), last: time.UnixMilli(5)}
	got, rest, err := splitFlight(f.with(in.encode()))
	if err != nil || !reflect.DeepEqual(got, f) || string(rest) != string(in.encode()) {
		t.Fatalf("%v: %+v", err, got)
	}
}

func FuzzRecord(f *testing.F) {
	f.Add((&record{body: "x", attributes: []attribute{{"a", "String", false, "1"}}}).encode())
	f.Add((&record{body: "x", group: "g", dedup: "d", sequence: 1 << 63, source: "arn"}).encode())
	f.Add((&flight{nonce: 1}).with([]byte{1}))
	f.Fuzz(func(t *testing.T, row []byte) {
		if r, err := decodeRecord(row); err == nil {
			again, err := decodeRecord(r.encode())
			if err != nil || !reflect.DeepEqual(r, again) {
				t.Fatalf("%v: %+v and %+v", err, r, again)
			}
		}
		if fl, rest, err := splitFlight(row); err == nil && string(fl.with(rest)) != string(row) {
			t.Fatal("the flight row changed")
		}
	})
}

func FuzzHandle(f *testing.F) {
	f.Add(handle{queue: 1, nonce: 2}.String(), uint64(1))
	f.Fuzz(func(t *testing.T, s string, queue uint64) {
		h, err := parseHandle(s, queue)
		if err != nil {
			return
		}
		if again, err := parseHandle(h.String(), queue); err != nil || again != h {
			t.Fatalf("%v: %+v and %+v", err, h, again)
		}
	})
}

func TestValidText(t *testing.T) {
	for text, want := range map[string]bool{
		"plain\t\n\r": true, "é😀\ufffd": true, "\x00": false, "\x1f": false, "\ufffe": false, "\xff": false, "ok\xc3": false, "\ud7ff\ue000": true, "": true,
	} {
		if got := validText(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}
