package crash

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"croft/internal/blob"
	"croft/internal/blobref"
	"croft/internal/clock"
	"croft/internal/kv/all"
	"croft/internal/outbox"
	"croft/internal/timer"
	"croft/test/harness"
)

const (
	bucket = "crash-data"
	// partSize is the least that a part may have which is not the last.
	partSize = 5 << 20
	lastPart = 100_000
)

// bodySizes are those of objects: in the row, and in the place for bodies.
func bodySizes() []int { return []int{0, 100, 70_000, 400_000} }

// bodyOf is the content of the object of that key: the key, over and over.
func bodyOf(key string, size int) []byte {
	return bytes.Repeat([]byte(key+"\n"), size/(len(key)+1)+1)[:size]
}

// objects puts objects, and deletes every fourth of them again.
type objects struct {
	cloud       *harness.Cloud
	puts, drops *diary
	// whole are the objects whose bodies have been compared after a kill: they are compared once more in the end, not after each.
	whole map[string]bool
}

func newObjects(c *harness.Cloud, told chan struct{}) *objects {
	return &objects{c, newDiary(told), newDiary(told), map[string]bool{}}
}

// must makes a call that has to succeed with a status below 300.
func must(c *harness.Cloud, method, path string, body []byte) (harness.Answer, error) {
	a, err := c.Object(method, path, nil, body)
	if err == nil && a.Status >= 300 {
		err = fmt.Errorf("%s %s: %d %.300s", method, path, a.Status, a.Body)
	}
	return a, err
}

func (o *objects) prepare(t *testing.T) {
	if _, err := must(o.cloud, http.MethodPut, bucket, nil); err != nil {
		t.Fatal(err)
	}
}

func sizeOf(n int) int { return bodySizes()[n%len(bodySizes())] }

// keyOf says in the key how large the body is.
func keyOf(n int) string { return fmt.Sprintf("o-%d-%d", n, sizeOf(n)) }

func (o *objects) work(n int) error {
	key := keyOf(n)
	err := o.puts.note(key, func() error {
		_, err := must(o.cloud, http.MethodPut, bucket+"/"+key, bodyOf(key, sizeOf(n)))
		return err
	})
	if err != nil || n < 5 || n%4 != 0 {
		return err
	}
	// One that has a body outside its row, every second time.
	gone := keyOf(n - 1 - n/4%2)
	return o.drops.note(gone, func() error {
		_, err := must(o.cloud, http.MethodDelete, bucket+"/"+gone, nil)
		return err
	})
}

// listing is an answer of ListObjectsV2.
type listing struct {
	Contents []struct {
		Key  string
		Size int
	}
	IsTruncated bool
}

func list(c *harness.Cloud) (out map[string]int, err error) {
	out = map[string]int{}
	for query := ""; ; {
		a, err := must(c, http.MethodGet, bucket+"?list-type=2"+query, nil)
		if err != nil {
			return nil, err
		}
		var page listing
		if err := xml.Unmarshal(a.Body, &page); err != nil {
			return nil, err
		}
		for _, e := range page.Contents {
			out[e.Key] = e.Size
		}
		if !page.IsTruncated {
			return out, nil
		}
		query = "&start-after=" + page.Contents[len(page.Contents)-1].Key
	}
}

// check finds every acknowledged object, and of every object that is listed the whole body.
func (o *objects) check(t *testing.T) {
	t.Helper()
	there, err := list(o.cloud)
	if err != nil {
		t.Fatal(err)
	}
	for key := range o.puts.acked {
		_, found := there[key]
		if deleted, doubted := o.drops.acked[key], o.drops.doubt[key]; !found && !deleted && !doubted {
			t.Errorf("object %s was acknowledged and is not there", key)
		} else if found && deleted {
			t.Errorf("object %s is there, and its deletion was acknowledged", key)
		}
	}
	for key := range there {
		if !strings.HasPrefix(key, "o-") {
			continue
		}
		var n, size int
		if _, err := fmt.Sscanf(key, "o-%d-%d", &n, &size); err != nil {
			t.Fatal(err)
		}
		o.checkBody(t, key, bodyOf(key, size))
	}
}

func (o *objects) checkBody(t *testing.T, key string, want []byte) {
	t.Helper()
	if o.whole[key] {
		return
	}
	o.whole[key] = true
	a, err := must(o.cloud, http.MethodGet, bucket+"/"+key, nil)
	if err != nil || !bytes.Equal(a.Body, want) {
		t.Errorf("object %s is listed, and its body of %d bytes is %d bytes, or others (%v)", key, len(want), len(a.Body), err)
	}
}

func (o *objects) finish(*testing.T) {}

// uploads makes multipart uploads of two parts.
type uploads struct {
	objects
	done *diary
}

func newUploads(c *harness.Cloud, told chan struct{}) *uploads {
	return &uploads{objects{cloud: c, whole: map[string]bool{}}, newDiary(told)}
}

func (u *uploads) prepare(*testing.T) {}

func (u *uploads) work(n int) error {
	key := fmt.Sprintf("m-%d", n)
	path := bucket + "/" + key
	a, err := must(u.cloud, http.MethodPost, path+"?uploads", nil)
	if err != nil {
		return err
	}
	var begun struct{ UploadId string }
	if err := xml.Unmarshal(a.Body, &begun); err != nil {
		return err
	}
	whole := bodyOf(key, partSize+lastPart)
	order := "<CompleteMultipartUpload>"
	for i, part := range [][]byte{whole[:partSize], whole[partSize:]} {
		a, err := must(u.cloud, http.MethodPut, fmt.Sprintf("%s?partNumber=%d&uploadId=%s", path, i+1, begun.UploadId), part)
		if err != nil {
			return err
		}
		order += fmt.Sprintf("<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>", i+1, a.Header.Get("ETag"))
	}
	return u.done.note(key, func() error {
		a, err := must(u.cloud, http.MethodPost, path+"?uploadId="+begun.UploadId, []byte(order+"</CompleteMultipartUpload>"))
		if err == nil && !bytes.Contains(a.Body, []byte("CompleteMultipartUploadResult")) {
			err = fmt.Errorf("%s", a.Body)
		}
		return err
	})
}

// check finds every upload whose end was acknowledged, and no other but those whose end was not answered.
func (u *uploads) check(t *testing.T) {
	t.Helper()
	there, err := list(u.cloud)
	if err != nil {
		t.Fatal(err)
	}
	for key := range u.done.acked {
		if _, found := there[key]; !found {
			t.Errorf("upload %s was completed and is not there", key)
		}
	}
	for key := range there {
		if !strings.HasPrefix(key, "m-") {
			continue
		}
		if !u.done.acked[key] && !u.done.doubt[key] {
			t.Errorf("upload %s is there, and nobody has completed it", key)
		}
		u.checkBody(t, key, bodyOf(key, partSize+lastPart))
	}
}

// checkSwept has the sweep run as it does hours later, and looks for bodies that it should have left; then it deletes everything and looks for
// bodies that are left over.
func checkSwept(t *testing.T, c *harness.Cloud, o *objects, u *uploads) {
	t.Helper()
	sweep(t, c)
	c.Start()
	clear(o.whole)
	clear(u.whole)
	o.check(t)
	u.check(t)
	there, err := list(c)
	if err != nil {
		t.Fatal(err)
	}
	for key := range there {
		if _, err := must(c, http.MethodDelete, bucket+"/"+key, nil); err != nil {
			t.Fatal(err)
		}
	}
	a, err := must(c, http.MethodGet, bucket+"?uploads", nil)
	if err != nil {
		t.Fatal(err)
	}
	var open struct {
		Upload []struct{ Key, UploadId string }
	}
	if err := xml.Unmarshal(a.Body, &open); err != nil {
		t.Fatal(err)
	}
	for _, u := range open.Upload {
		if _, err := must(c, http.MethodDelete, bucket+"/"+u.Key+"?uploadId="+u.UploadId, nil); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d objects and %d unfinished uploads were there in the end", len(there), len(open.Upload))
	if left := sweep(t, c); len(left) != 0 {
		t.Errorf("nothing is stored any more, and %d files are left: %.5q", len(left), left)
	}
}

// sweep stops the cloud and runs the sweep on its data as it would run a day and a half later. It returns the files that are then left.
func sweep(t *testing.T, c *harness.Cloud) (left []string) {
	t.Helper()
	c.Kill()
	folder := filepath.Join(c.Data(), "blobs")
	late := clock.NewManual(clock.Real().Now().Add(36 * time.Hour))
	store, err := all.Open("pebble:"+filepath.Join(c.Data(), "store"), all.Options{})
	if err != nil {
		t.Fatal(err)
	}
	bodies, err := blob.OpenDir(folder, blob.DirOptions{Clock: late})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	timers := timer.New(store, late, log)
	refs := blobref.New(store, bodies, outbox.New(store, timers, late, log), timers, late, log)
	removed, err := refs.Sweep(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if err := bodies.Close(); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && d.Name() != "lock" {
			left = append(left, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the sweep has removed %d bodies, %d are left", removed, len(left))
	return left
}
