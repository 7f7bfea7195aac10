// Package s3 is Amazon S3: buckets and their objects, uploads in parts, tags, and the settings of buckets that deployment tools ask for.
//
// What is not here: access control lists, encryption with keys of the key management service or of the client's own, object lock,
// storage classes, websites, replication, and every operation that the API interface does not have; they
// answer NotImplemented with their name. A parameter of an operation that is here and has no effect is refused by name.
//
// Invariants:
//
//   - A bucket's name is unique in the whole cloud. A bucket belongs to one account and lies in one region, forever.
//   - The index of an account's buckets and its count change in the transaction that makes or deletes a bucket.
//   - A bucket is used from its own region alone; requests signed for another are sent there, as on AWS. What is copied may lie anywhere.
//   - A body is durable, and all that its client promised of it is true, before the transaction that names it begins. That transaction retains
//     it and releases the one that it takes the place of, so that a reader finds one object or the other, and nothing is left of a
//     request that failed or was cut off.
//   - An object uploaded in parts consists of the bodies of its parts: completing an upload copies nothing. Copies share bodies.
//
// Key layout, in the service's shared space:
//
//	'b' name (raw)             a bucket, JSON
//	'o' account · name (raw)   empty: the account's buckets in the order of their names
//	'c' account (raw)          how many buckets the account has
//	's' bucket · kind (raw)    a setting of a bucket, JSON
//	'k' bucket · key (raw)     the current object, JSON; not there when the newest version is a delete marker
//	'd' bucket · key (raw)     the content of the null version: a small body itself, or the segments of a large one, JSON
//	'v' bucket · key · ^number (8 bytes)  every other version and every delete marker, the newest first, JSON
//	'e' bucket · key · id (raw)  the content of a version with an id, current or not
//	'n' bucket · key (raw)     the number of the null version, when it lies under 'v'
//	'u' bucket · key · id (raw)        an upload in parts that has not ended, JSON
//	'p' bucket · id · number (8 bytes) a part of one, JSON
package s3
