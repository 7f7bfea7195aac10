// Package sqs is Amazon SQS: standard queues.
//
// FIFO queues, redrive policies and encryption with KMS keys are refused by name; docs/services/sqs.md lists what is there.
//
// # A message's life
//
// A message that may be received, now or after its delay, is one row of the waiting rows, ordered by when it becomes
// visible. Receiving moves it to the flight rows, which are found by message id, and enters the end of its visibility timeout in the
// flights' order. A flight whose end has come is received again where it is. A receipt handle names queue, message and a nonce
// that each receive draws anew: the handle works until the message is received again, even after the visibility timeout.
//
// # Invariants
//
//   - A message has either one waiting row, or one flight row and one order row; these two agree on the end of the timeout.
//   - Sending reads the queue's row and puts one new row, so senders meet nobody but a change of the queue.
//   - Receivers look at the head of both orders without joining it to their conflict set, then read and move each message by itself.
//     Receivers of one process claim rows in memory before that (claims), so that they do not choose the same; those of others conflict and choose again.
//   - A queue's rows of messages lie under its random id, so a queue that is deleted and made again shares nothing with the old one. Purge
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
//	m id 'v' visible-at sequence        a waiting message
//	m id 'x' visible-at message-id      the order of flights; the value is when the message was sent
//	f id message-id                     a message in flight
package sqs
