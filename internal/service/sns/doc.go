// Package sns is Amazon SNS: standard topics that deliver to SQS queues and Lambda functions.
//
// FIFO topics, filter policies, dead-letter queues, signatures and the other protocols are refused by name; docs/services/sns.md
// lists what is there.
//
// # Publishing
//
// Publish writes one outbox message per subscription, in one transaction (delivery). Where there are very many subscriptions, it
// writes the first page, and a message that makes the outbox go on behind it (fanout). Delivery sends to the queue, or starts
// the function, in the transaction that removes the outbox message: each subscription gets each message once. A queue or function that is gone
// is no reason to try again: the message is dropped and logged, as SNS does without a dead-letter queue.
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
package sns
