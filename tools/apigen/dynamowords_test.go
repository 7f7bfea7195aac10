package main

import (
	"strings"
	"testing"
)

// TestDynamoDBWords has inputs of which DynamoDB's answers are published in the tests of other implementations.
func TestDynamoDBWords(t *testing.T) {
	const (
		map1    = `Unrecognized collection type java.util.Map<java.lang.String, com.amazonaws.dynamodb.v20120810.AttributeValue>`
		keyRule = `Map keys must satisfy constraint: [Member must have length less than or equal to 255, Member must have length greater than or equal to 3, Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+]`
		length  = `"TableName must be at least 3 characters long and at most 255 characters long"`
	)
	for _, c := range []struct{ op, body, want string }{
		{"GetItem", `{"Key":[]}`, map1},
		{"GetItem", `{"Key":"x"}`, "Unexpected field type"},
		{"GetItem", `{"Key":{"a":1}}`, "Unexpected value type in payload"},
		{"GetItem", `{"Key":{"a":[]}}`, "Unrecognized collection type class com.amazonaws.dynamodb.v20120810.AttributeValue"},
		{"GetItem", `{"Key":{"a":{"B":[]}}}`, "Unrecognized collection type class java.nio.ByteBuffer"},
		{"GetItem", `{"Key":{"a":{"B":"+/+="}}}`, "Invalid last non-pad Base64 character dectected"},
		{"GetItem", `{"Key":{"a":{"B":"=+/="}}}`, "Invalid last non-pad Base64 character dectected"},
		{"GetItem", `{"Key":{"a":{"B":"a*AA"}}}`, "Invalid Base64 character: '*'"},
		{"GetItem", `{"Key":{"a":{"BOOL":"23"}}}`, "Unexpected token received from parser"},
		{"GetItem", `{"TableName":"tab","Key":{"a":{"NULL":"no"}}}`, `'NULL':false`},
		{"GetItem", `{"TableName":"tab","Key":{"a":{"BOOL":"1"}}}`, `'BOOL':true`},
		{"GetItem", `{"ExpressionAttributeNames":[]}`, "Unrecognized collection type java.util.Map<java.lang.String, java.lang.String>"},
		{"GetItem", `{"AttributesToGet":[[]]}`, "Unrecognized collection type class java.lang.String"},
		{"BatchGetItem", `{"RequestItems":{"a":{"Keys":[1]}}}`, "ParameterizedTypeImpl cannot be cast"},
		{"BatchGetItem", `{"RequestItems":{"a":{"Keys":[[]]}}}`, map1},
		{"BatchWriteItem", `{"RequestItems":[]}`, "java.util.Map<java.lang.String, java.util.List<com.amazonaws.dynamodb.v20120810.WriteRequest>>"},
		{"BatchWriteItem", `{"RequestItems":{"a":1}}`, "ParameterizedTypeImpl cannot be cast"},
		{"BatchWriteItem", `{"RequestItems":{"a":[]}}`, "2 validation errors detected: Value '{a=[]}' at 'requestItems' failed to satisfy constraint: " + keyRule +
			"; Value '{a=[]}' at 'requestItems' failed to satisfy constraint: Map value must satisfy constraint: " +
			"[Member must have length less than or equal to 25, Member must have length greater than or equal to 1]"},
		{"GetItem", `{"TableName":"a;"}`, "3 validation errors detected: Value 'a;' at 'tableName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+; " +
			"Value 'a;' at 'tableName' failed to satisfy constraint: Member must have length greater than or equal to 3; Value null at 'key' failed"},
		{"GetItem", `{"TableName":"arn:aws:dynamodb:us-east-1:000000000000:table/tab","Key":{}}`, `'Key':{}`},
		{"DescribeTable", `{}`, "The parameter 'TableName' is required but was not present in the request"},
		{"DescribeTable", `{"TableName":""}`, length},
		{"DescribeTable", `{"TableName":"a;"}`, length},
		{"DescribeTable", `{"TableName":"` + strings.Repeat("a", 256) + `"}`, length},
		{"DescribeTable", `{"TableName":"ab;"}`, "1 validation error detected: Value 'ab;' at 'tableName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"},
		{"DescribeTable", `{"TableName":"arn:aws:dynamodb:us-east-1:000000000000:table/tab"}`, `table/tab`},
		{"CreateTable", `{"TableName":"tab","LocalSecondaryIndexes":[{},{}]}`, "Value null at 'localSecondaryIndexes.1.member.indexName' failed to satisfy constraint: Member must not be null; " +
			"Value null at 'localSecondaryIndexes.1.member.keySchema'"},
	} {
		t.Run(c.op+" "+c.body, func(t *testing.T) {
			r := request{svc: ddbAPI, op: c.op, body: c.body}
			if got := r.answer(t); !strings.Contains(got, c.want) {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}
