// Package logs is Amazon CloudWatch Logs: groups, streams and their events.
//
// What it has: groups and streams with paging, PutLogEvents with the service's rules about order, size and age, reading one stream
// in both directions, searching a group's streams in order of time with plain terms, and following groups live. What it refuses by name: encryption
// with customer keys, classes other than STANDARD, deletion protection, entities, JSON, space-delimited and regular-expression
// patterns, and every operation that is not listed.
//
// Invariants:
//   - Events of a stream are ordered by timestamp, then by arrival. A batch is stored whole or not at all.
//   - An event that has outlived its group's retention is never shown, whether or not its row has been removed yet.
//   - Deleting a group removes its streams and events in the same transaction.
//
// Keys, in the service's space of an account and region:
//
//	g group                      the group (JSON)
//	s group stream               the stream (JSON)
//	b group                      counter: bytes stored in the group
//	e group stream time seq      one event: time of ingestion (8 bytes), message. time is in milliseconds since 1970
//
// Timers: "logs.retention", one per group that has a retention period; its id is the group's name.
package logs
