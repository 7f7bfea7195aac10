// Package sqs is Amazon SQS: standard and FIFO queues, dead-letter queues and move tasks.
//
// Encryption with KMS keys is refused by name; docs/services/sqs.md lists what is there.
//
// # A message's life
//
// A message that can be received at once is an entry of the queue's log. Receiving moves it to a flight row, which is found by
// message id, and enters the end of its visibility timeout in the order of flights. A message with a delay begins there, as a flight that
// nobody has received. A flight whose time has come is received again where it is. A receipt handle names queue, message and a nonce that
// each receive draws anew: the handle works until the message is received again, even after the visibility timeout.
//
// In a FIFO queue a message is a flight row from the beginning, and a member of its group. The order is one of groups: each stands at the time
// when it may be looked at, which is when its first message was sent, or the end of a delay, or the end of the visibility timeout of what is in
// flight. So a receiver finds groups that are free at the head, whatever else there is.
//
// # Invariants
//
//   - Of a standard queue, a message is either one entry of the log, or one flight row and one order row; these two agree on the time.
//   - Of a FIFO queue, whoever changes a group reads and writes its row: what happens to a group happens one after the other.
//   - A message goes to the dead-letter queue in the transaction of the receive that meets it for the last time.
//   - Sending reads the queue's row and appends to the log, so senders meet nobody but a change of the queue.
//   - Receivers look at the heads of log and order without joining them to their conflict set, then read and move each message by itself.
//     Receivers of one process claim rows in memory before that (claims), so that they do not choose the same; those of others
//     conflict and choose again.
//   - A queue's messages lie under its random id, so a queue that is deleted and made again shares nothing with the old one. Purge
//     and delete remove them by range, in one transaction.
//   - A message beyond the queue's retention period is never delivered. Receivers remove those that they meet, the timer "sqs.sweep", one
//     per queue, the others.
//
// # Key layout, below the space of account and region
//
//	q name                              the queue: attributes, times, id (JSON)
//	t name                              its tags (JSON)
//	d name                              when a queue of that name was deleted
//	p id                                when the queue was last purged
//	m id 'v' number                     the log of messages that nobody has received
//	m id 'x' visible-at message-id      the order of flights: when it was sent, and whether it has been received
//	m id 'x' look-at group              the order of groups of a FIFO queue
//	f id message-id                     a message in flight or delayed, and any message of a FIFO queue
//	g id group                          a group with messages in it: its place in the order, its greatest sequence number
//	n id group sequence-number          a message in its group: its id and times
//	e id 'd' group dedup-id             a deduplication id: until when, which message
//	e id 'r' attempt-id                 a receive attempt: until when, what it was given
//	x id until key                      when which of these goes
//	s name name                         a dead-letter queue and one that sends there
//	k id started task-id                a move task out of a queue (JSON)
package sqs
