// Package pgkv is the shared store: the kv contract in a database of PostgreSQL, which several processes may use at the same time.
//
// # Transactions
//
// They are optimistic. An Update reads from a snapshot (a read-only transaction of the database, begun by the first read), overlaid with its
// own writes (overlay), and notes what it read (readSet): keys with the versions of their rows, and ranges with a fingerprint of
// the rows in them. A commit is one round trip: a transaction that takes advisory locks on all it read and wrote (lockSet), then, in one
// statement with a snapshot of its own, checks that what was read is still so and applies the writes (buildSQL), and commits. On a busy
// store, commits that wait for others go into one such transaction together (queue).
//
// # Why this is serializable
//
// docs/architecture/pgkv.md has the argument: it is two-phase locking over the commit's second reading of all that it had read.
//
// # When the database is away
//
// Calls fail with kv.ErrUnavailable, within answerTimeout, and succeed again when it is back. A commit whose answer was lost is
// looked for; if nothing shows that it took place, ErrOutcome says so, too.
//
// # Tables
//
//	croft_kv    k    key, or for a long one what stands for it (columns)
//	            v    value; NULL for eight bytes, which lie in n, so that Add is a sum
//	            n    those eight bytes as a number, else 0
//	            ver  version: random, another after each change
//	            t    rest of a long key
//	croft_log   slot hash of a log; n the last number given to an entry of the logs with that hash
//	croft_meta  the data's format, the cloud's identity, the version of croft that made the tables
package pgkv
