package dynamodb_test

import (
	"fmt"
	"strconv"
	"testing"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/wire"
)

// BenchmarkPutItemIndexed puts items that move in every index of their table.
func BenchmarkPutItemIndexed(b *testing.B) {
	for _, indexes := range []int{0, 1, 3} {
		b.Run(fmt.Sprint(indexes), func(b *testing.B) {
			e, c := start(b)
			indexed(b, e, c, indexes, "ALL")
			ctx := e.Context()
			n := 0
			for b.Loop() {
				n++
				item := map[string]api.AttributeValue{"p": text(strconv.Itoa(n % 1000)), "total": number("12.5"), "status": text("PLACED")}
				for i := range indexes {
					item[fmt.Sprint("g", i)] = text(strconv.Itoa(n))
				}
				if _, err := c.PutItem(ctx, &api.PutItemInput{TableName: "aaa", Item: item}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkQueryIndex reads 100 items of an index in which 10,000 lie.
func BenchmarkQueryIndex(b *testing.B) {
	const items, each = 10_000, 100
	e, c := start(b)
	indexed(b, e, c, 1, "ALL")
	for from := 0; from < items; from += 25 {
		var requests []api.WriteRequest
		for i := from; i < from+25; i++ {
			requests = append(requests, api.WriteRequest{PutRequest: &api.PutRequest{Item: map[string]api.AttributeValue{
				"p": text(strconv.Itoa(i)), "g0": text(strconv.Itoa(i % (items / each))), "total": number("12.5"), "status": text("PLACED")}}})
		}
		if _, err := c.BatchWriteItem(e.Context(), &api.BatchWriteItemInput{RequestItems: map[string][]api.WriteRequest{"aaa": requests}}); err != nil {
			b.Fatal(err)
		}
	}
	in := &api.QueryInput{TableName: "aaa", IndexName: wire.Ptr("idx0"), KeyConditionExpression: wire.Ptr("g0 = :g"),
		ExpressionAttributeValues: map[string]api.AttributeValue{":g": text("7")}}
	for b.Loop() {
		out, err := c.Query(e.Context(), in)
		if err != nil || *out.Count != each {
			b.Fatal(out, err)
		}
	}
}
