package dynamodb_test

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"sync"
	"testing"
	"time"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/cloud"
	"croft/internal/service/servicetest"
	"croft/internal/wire"
)

// later returns a context whose call is made at a time that the clock has not reached: what it sets in motion waits until then.
func later(e *servicetest.Env, d time.Duration) context.Context {
	call := *cloud.CallOf(e.Context())
	call.Now = call.Now.Add(d)
	return cloud.WithCall(e.Context(), &call)
}

// contents returns the items of a table: v by p.
func contents(t *testing.T, e *servicetest.Env, c api.Client, table string) map[string]string {
	t.Helper()
	out := map[string]string{}
	var from map[string]api.AttributeValue
	for {
		page, err := c.Scan(e.Context(), &api.ScanInput{TableName: table, ExclusiveStartKey: from})
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range page.Items {
			out[*item["p"].S] = *item["v"].N
		}
		if from = page.LastEvaluatedKey; from == nil {
			return out
		}
	}
}

func backUp(t *testing.T, ctx context.Context, c api.Client) string {
	t.Helper()
	out, err := c.CreateBackup(ctx, &api.CreateBackupInput{TableName: "aaa", BackupName: "backup"})
	if err != nil {
		t.Fatal(err)
	}
	return out.BackupDetails.BackupArn
}

func restore(t *testing.T, e *servicetest.Env, c api.Client, arn string) {
	t.Helper()
	if _, err := c.RestoreTableFromBackup(e.Context(), &api.RestoreTableFromBackupInput{TargetTableName: "bbb", BackupArn: arn}); err != nil {
		t.Fatal(err)
	}
	e.Settle()
}

// numbers puts n items called by their numbers, with the value 100.
func numbers(t *testing.T, e *servicetest.Env, c api.Client, n int) {
	t.Helper()
	for i := 0; i < n; i += 25 {
		var batch []api.WriteRequest
		for j := range 25 {
			batch = append(batch, api.WriteRequest{PutRequest: &api.PutRequest{Item: map[string]api.AttributeValue{
				"p": text(fmt.Sprint(i + j)), "v": number("100")}}})
		}
		if _, err := c.BatchWriteItem(e.Context(), &api.BatchWriteItemInput{RequestItems: map[string][]api.WriteRequest{"aaa": batch}}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestBackupIsOfItsMoment changes a table in every way between the call and the first copied item.
func TestBackupIsOfItsMoment(t *testing.T) {
	e, c := start(t)
	table(t, e, c, "p:S")
	numbers(t, e, c, 1500)
	want := contents(t, e, c, "aaa")
	arn := backUp(t, later(e, time.Hour), c)
	set := func(key, v string) {
		put(t, e, c, map[string]api.AttributeValue{"p": text(key), "v": number(v)})
	}
	remove := func(key string) {
		if _, err := c.DeleteItem(e.Context(), &api.DeleteItemInput{TableName: "aaa", Key: map[string]api.AttributeValue{"p": text(key)}}); err != nil {
			t.Fatal(err)
		}
	}
	set("1", "2")
	set("1", "3")
	remove("2")
	remove("3")
	set("3", "4")
	set("new", "5")
	set("new", "6")
	set("gone", "7")
	remove("gone")
	set("gone", "8")
	remove("gone")
	wantSecond := contents(t, e, c, "aaa")
	second := backUp(t, later(e, time.Hour), c)
	set("1", "9")
	remove("5")
	set("new", "9")
	set("new2", "9")
	if _, err := c.DeleteTable(e.Context(), &api.DeleteTableInput{TableName: "aaa"}); cloud.Code(err) != "ResourceInUseException" {
		t.Error(err)
	}
	if _, err := c.DeleteBackup(e.Context(), &api.DeleteBackupInput{BackupArn: arn}); cloud.Code(err) != "BackupInUseException" {
		t.Error(err)
	}
	if _, err := c.RestoreTableFromBackup(e.Context(), &api.RestoreTableFromBackupInput{TargetTableName: "bbb", BackupArn: arn}); cloud.Code(err) != "BackupInUseException" {
		t.Error(err)
	}
	e.Advance(time.Hour)
	restore(t, e, c, arn)
	if got := contents(t, e, c, "bbb"); !maps.Equal(got, want) {
		t.Errorf("the restored table has %d items, there were %d", len(got), len(want))
	}
	if got := contents(t, e, c, "aaa"); got["1"] != "9" || got["2"] != "" || got["3"] != "4" || got["new"] != "9" || got["gone"] != "" || len(got) != 1500 {
		t.Errorf("the table itself has %d items", len(got))
	}
	if _, err := c.DeleteTable(e.Context(), &api.DeleteTableInput{TableName: "bbb"}); err != nil {
		t.Fatal(err)
	}
	restore(t, e, c, second)
	if got := contents(t, e, c, "bbb"); !maps.Equal(got, wantSecond) {
		t.Errorf("the table restored from the second backup has %d items, there were %d", len(got), len(wantSecond))
	}
}

// TestBackupUnderLoad moves amounts between items while they are copied: the sum in the backup is that of every moment.
func TestBackupUnderLoad(t *testing.T) {
	e, c := start(t)
	table(t, e, c, "p:S")
	const items, workers, moves = 1500, 4, 150
	numbers(t, e, c, items)
	var running sync.WaitGroup
	begun := make(chan struct{}, workers*moves)
	for worker := range workers {
		running.Go(func() {
			for i := range moves {
				add := func(key int, by string) api.TransactWriteItem {
					return api.TransactWriteItem{Update: &api.Update{TableName: "aaa", Key: map[string]api.AttributeValue{"p": text(fmt.Sprint(key % items))},
						UpdateExpression: "ADD v :n", ExpressionAttributeValues: map[string]api.AttributeValue{":n": number(by)}}}
				}
				from := (worker*977 + i*331) % items
				_, err := c.TransactWriteItems(e.Context(), &api.TransactWriteItemsInput{TransactItems: []api.TransactWriteItem{
					add(from, "-1"), add(from+7, "1")}})
				if err != nil {
					t.Error(err)
				}
				begun <- struct{}{}
			}
		})
	}
	<-begun
	arn := backUp(t, e.Context(), c)
	running.Wait()
	e.Settle()
	restore(t, e, c, arn)
	got, sum := contents(t, e, c, "bbb"), 0
	for _, v := range got {
		n, err := strconv.Atoi(v)
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	if len(got) != items || sum != 100*items {
		t.Errorf("%d items with the sum %d", len(got), sum)
	}
}

// TestRestoringTable checks what a table refuses before it has its items.
func TestRestoringTable(t *testing.T) {
	e, c := start(t)
	table(t, e, c, "p:S")
	numbers(t, e, c, 25)
	arn := backUp(t, e.Context(), c)
	e.Settle()
	if _, err := c.RestoreTableFromBackup(later(e, time.Hour), &api.RestoreTableFromBackupInput{TargetTableName: "bbb", BackupArn: arn}); err != nil {
		t.Fatal(err)
	}
	_, scan := c.Scan(e.Context(), &api.ScanInput{TableName: "bbb"})
	_, write := c.PutItem(e.Context(), &api.PutItemInput{TableName: "bbb", Item: map[string]api.AttributeValue{"p": text("x")}})
	_, update := c.UpdateTable(e.Context(), &api.UpdateTableInput{TableName: "bbb", DeletionProtectionEnabled: wire.Ptr(true)})
	_, remove := c.DeleteTable(e.Context(), &api.DeleteTableInput{TableName: "bbb"})
	_, ttl := c.UpdateTimeToLive(e.Context(), &api.UpdateTimeToLiveInput{TableName: "bbb",
		TimeToLiveSpecification: &api.TimeToLiveSpecification{AttributeName: "end", Enabled: true}})
	_, describe := c.DescribeTimeToLive(e.Context(), &api.DescribeTimeToLiveInput{TableName: "bbb"})
	_, again := c.CreateBackup(e.Context(), &api.CreateBackupInput{TableName: "bbb", BackupName: "again"})
	_, twice := c.RestoreTableFromBackup(e.Context(), &api.RestoreTableFromBackupInput{TargetTableName: "ccc", BackupArn: arn})
	_, drop := c.DeleteBackup(e.Context(), &api.DeleteBackupInput{BackupArn: arn})
	for i, c := range []struct {
		err  error
		want string
	}{
		{scan, "ResourceNotFoundException"}, {write, "ResourceNotFoundException"}, {update, "ResourceInUseException"},
		{remove, "ResourceInUseException"}, {ttl, "ResourceInUseException"}, {describe, "ValidationException"}, {again, "TableNotFoundException"}, {twice, "BackupInUseException"}, {drop, "BackupInUseException"},
	} {
		if cloud.Code(c.err) != c.want {
			t.Errorf("%d: %v, want %s", i, c.err, c.want)
		}
	}
	d, err := c.DescribeTable(e.Context(), &api.DescribeTableInput{TableName: "bbb"})
	if err != nil || *d.Table.TableStatus != "CREATING" {
		t.Errorf("%+v (%v)", d, err)
	}
	e.Advance(time.Hour)
	if got := contents(t, e, c, "bbb"); len(got) != 25 {
		t.Errorf("%d items", len(got))
	}
	if _, err := c.DeleteBackup(e.Context(), &api.DeleteBackupInput{BackupArn: arn}); err != nil {
		t.Error(err)
	}
}
