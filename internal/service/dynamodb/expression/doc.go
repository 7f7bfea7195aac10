// Package expression is DynamoDB's expression language: condition, filter, projection, key condition and update expressions.
//
// A Set holds the names and values that one request gives to its expressions, parses them in the order in which DynamoDB does, and in the
// end knows which names and values none of them used. What comes out is immutable and safe for concurrent use. Evaluation works on the
// service's attribute values and never changes those it is given: an update returns a new item that shares what did not change.
//
// Every error is the ValidationException of DynamoDB, with its message. Limits: 4096 bytes an expression, 300 operators and functions,
// 100 operands of IN, 32 elements of a document path. Source of grammar and limits: DynamoDB Developer Guide, "Using expressions in
// DynamoDB" and "Constraints in Amazon DynamoDB".
package expression
