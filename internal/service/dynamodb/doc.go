// Package dynamodb is Amazon DynamoDB: tables with a partition key and an optional sort key, items in them and secondary indexes.
//
// What is here: tables with local and global indexes, and items: put, get, update, delete, query, scan, batches and transactions, with expressions
// (package expression) and the service's own checks and messages; streams and the DynamoDB Streams API; time to live; tags; on-demand backups. What is
// not: the parameters from before expressions, PartiQL, recovery to a point in time, exports and imports, global tables. A parameter that asks for
// one of them is refused by name. How streams, time to live and backups work is in docs/architecture/dynamodb.md.
//
// Invariants:
//
//   - An item is stored in one canonical form: numbers normalised, attributes sorted, its size beside it. Whoever reads an item may rely
//     on it.
//   - The count and the size of a table are exact: they are commutative counters that change in the transaction that changes an item.
//   - Every change of an item goes through write.apply, whichever operation asks for it.
//   - The entries of an index change in the transaction that changes the item. While an index is filled with the items from before it, an item
//     has an entry or not; afterwards every item that has the index's key has one.
//   - Items of a deleted table are gone in the transaction that deletes it, and a table made again under its name has another id.
//
// Key layout, in the space of account, region and service:
//
//	't' table name                         the table's definition, JSON
//	'n' table id (16 bytes)                how many items there are, a counter
//	's' table id (16 bytes)                their size in bytes as AWS counts it, a counter
//	'i' table id, hash (8 bytes), partition key, sort key (raw)
//	                                       an item
//	'N', 'S' table id, index number (4 bytes)
//	                                       how many entries an index has, and their size: counters
//	'C' table id, hash, partition key
//	                                       the size of a partition's items and local entries, a counter, where the table has local indexes
//	'x' table id, index number, hash, attributes of the index's key, what follows the table id in the item's key
//	                                       an entry: the attributes that the index has of the item, in the form of items
//	'd' table name, label                  a stream, JSON: of a table that is or was
//	'r' stream id (16 bytes)               the log of a stream's records
//	'w' stream id                          the number of the last record that was removed (8 bytes)
//	'l' table id, expiry (8 bytes), what follows the table id in the item's key
//	                                       an item whose time to live ends then: nothing
//	'b' backup id                          a backup, JSON
//	'B', 'D' backup's UUID (16 bytes), what follows the table id in the item's key
//	                                       an item of a backup; that an item was not there when a backup began that is still being made
//	'c' client request token               what a transaction asked for under it, and until when that counts
//	'e' end (8 bytes), client request token
//	                                       the tokens in the order in which they end
//
// The hash spreads partitions and orders a Scan; the sort key's bytes have the order of its values.
package dynamodb
