// Package dynamodb is Amazon DynamoDB: tables with a partition key and an optional sort key, items in them and secondary indexes.
//
// What is here: tables with local and global indexes, and items: put, get, update, delete, query, scan, batches and transactions, with expressions
// (package expression) and the service's own checks and messages. What is not: streams, the parameters from before expressions, time to
// live, backups, PartiQL. A parameter that asks for one of them is refused by name.
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
//	'c' client request token               what a transaction asked for under it, and until when that counts
//	'e' end (8 bytes), client request token
//	                                       the tokens in the order in which they end
//
// The hash spreads partitions and orders a Scan; the sort key's bytes have the order of its values.
package dynamodb
