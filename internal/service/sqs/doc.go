// Package sqs is Amazon SQS: standard queues.
//
// FIFO queues, redrive policies and encryption with KMS keys are refused by name; docs/services/sqs.md lists what is there.
//
// # A message's life
//
// A message that can be received at once is an entry of the queue's log. Receiving moves it to a flight row, which is found by
// message id, and enters the end of its visibility timeout in the order of flights. A message with a delay begins there, as a flight that
// nobody has received. A flight whose time has come is received again where it is. A receipt handle names queue, message and a nonce that
// each receive draws anew: the handle works until the message is received again, even after the visibility timeout.
//
// # Invariants
//
//   - A message is either one entry of the log, or one flight row and one order row; these two agree on the time.
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
//	f id message-id                     a message in flight or delayed
package sqs
