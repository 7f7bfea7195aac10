// Package partiql reads DynamoDB's dialect of PartiQL: SELECT, INSERT, UPDATE and DELETE of items of one table, and EXISTS.
//
// Parse returns a statement whose conditions, changes and columns are made of the terms of package expression, so that they mean, and are
// refused for, what those of expressions are. What the table's key is, and so what a condition on it comes to, is the service's to say. A
// statement is immutable and safe for concurrent use. Errors are the ValidationException of DynamoDB.
//
// Limits: 8192 characters a statement, which the service's model enforces, nesting of 64 levels, 300 operators and functions.
// Sources: DynamoDB Developer Guide, "PartiQL - a SQL-compatible query language for Amazon DynamoDB"; messages as published in the tests of
// other implementations.
package partiql
