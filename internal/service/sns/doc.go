// Package sns is Amazon SNS: topics that deliver to SQS queues, Lambda functions and HTTP endpoints, and keep mail and text messages to be looked
// at.
//
// Platform endpoints, Firehose, archiving and data protection are refused by name; docs/services/sns.md lists what is there. Package filter is
// the language of filter policies.
//
// # Publishing
//
// Publish writes one outbox message per subscription, in one transaction (delivery). Where there are very many subscriptions, it
// writes the first page, and a message that makes the outbox go on behind it (fanout). Delivery sends to the queue, or starts
// the function, in the transaction that removes the outbox message: each subscription gets each message once. A queue or function that is gone
// is no reason to try again: the message goes to the dead-letter queue, or is dropped and logged where there is none.
//
// HTTP endpoints are called outside transactions (post), so that they may see a message twice. What fails waits in the timer "sns.retry", for as
// long as the delivery policy says, and goes through the outbox again.
//
// A FIFO topic delivers within the transaction that gives the message its sequence number (publishInOrder): the order in the queues is that of
// these numbers, and no retry can change it. It has few subscriptions, and all of them are queues of this cloud.
//
// # Confirmation
//
// Endpoints over HTTP and mail confirm their subscriptions with a token (askToConfirm). What a token stands for is a row, which the timer
// "sns.expire" removes after two days with the subscription if that still waits. The addresses in messages lead to the front door "sns".
//
// # Invariants
//
//   - A subscription is one row under its topic's random id, where publishing finds it, and one row under its ARN that points there.
//   - A topic has at most one subscription for a protocol and endpoint.
//   - Deleting a topic leaves its subscriptions to be seen for three days, as on AWS; the timer "sns.forget" removes them. They are
//     under the id of the old topic, so a topic made again under the same name does not have them.
//
// # Key layout, below the space of account and region
//
//	t name                              the topic (JSON)
//	m topic-id protocol endpoint        a subscription (JSON)
//	s topic-name subscription-id        the key of the subscription's row
//	c topic-name token                  what a token confirms (JSON)
//	d topic-id group deduplication-id   a message of a FIFO topic that is remembered (JSON)
//	e topic-id time sequence-number     the key of such a row, in the order in which they end
//	n topic-id                          the last sequence number of a FIFO topic
//	o number                            a mail or text message (JSON)
//	p                                   the number of the last of them
//
// The signing key lies under "k" in the space that the service shares across accounts and regions.
package sns
