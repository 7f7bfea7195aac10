// Package s3 is Amazon S3 as far as buckets go: made, listed, asked for and deleted.
//
// What is not here: objects, and every operation that the API interface does not have; they answer NotImplemented with their name. A
// parameter of an operation that is here and has no effect is refused by name.
//
// Invariants:
//
//   - A bucket's name is unique in the whole cloud. A bucket belongs to one account and lies in one region, forever.
//   - The index of an account's buckets and its count change in the transaction that makes or deletes a bucket.
//   - A bucket is used from its own region alone; requests signed for another are sent there, as on AWS.
//
// Key layout, in the service's shared space:
//
//	'b' name (raw)             a bucket, JSON
//	'o' account · name (raw)   empty: the account's buckets in the order of their names
//	'c' account (raw)          how many buckets the account has
package s3
