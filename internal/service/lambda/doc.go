// Package lambda is AWS Lambda: functions from zip packages, their resource policies, invocations, and event source mappings for
// SQS queues.
//
// Functions run on package engine; this package decides what runs, for whom, and what becomes of the result. What it refuses by name:
// container images, networks and file systems, encryption with customer keys, signed code, destinations in EventBridge
// and S3, and event sources other than SQS.
//
// # Invariants
//
//   - A deployment package is durable in the blob store before the transaction that names it, and retained in that transaction. What a
//     function gives up can be found as an asset for a day more.
//   - Generation changes exactly when the function's processes could tell, Revision with every change.
//   - A published version is a copy of $LATEST that nothing changes but its policy and its runtime settings; it names its code and layers itself. The
//     number of a version is drawn from a counter that outlives the function.
//   - Whoever runs, describes or permits something finds it with resolve or route: no other code knows what a qualifier means.
//   - The engine hears of a new or changed version from the outbox, after the commit, and of what is provisioned from the provisioner, which
//     follows the rows and runs in every process.
//   - RequestResponse never runs inside a transaction of the store: a function's run can take minutes and cannot be repeated at will.
//   - An Event invocation is a message of the outbox, written in the caller's transaction if it has one: once accepted it is run at
//     least once. What comes of a run, another try or a message to a destination, is written in the transaction that takes it off the queue.
//   - A layer version never changes but for its policy, and its number is never given again. A function version that has it retains its body.
//   - The trace header of an invocation counts the function once more than the call that caused it.
//   - Who may call a URL is decided from its row, the function and the policy of one snapshot. A URL's entry in the index is written and removed with its
//     row; it outlives its alias, and not its function.
//   - A function whose answer is streamed runs to its end, whoever reads it.
//   - A mapping's state is its row. The pollers follow the rows, so that they survive a restart.
//
// # Keys
//
// In the space of an account and region:
//
//	f name                       the function: its $LATEST, and what belongs to it as a whole (JSON)
//	v name number                a published version; the number has twenty digits (JSON)
//	n name                       the last number that a version got (counter)
//	a name alias                 an alias (JSON)
//	p name                       the function's resource policy: the statements in order (JSON)
//	p name qualifier             that of a version or alias
//	l name                       how many versions a layer ever had (JSON)
//	w name version               a layer version with its policy (JSON)
//	e name qualifier             how events are treated, of the function under "$LATEST", of a version or of an alias (JSON)
//	u name qualifier             the URL of the function, under "$LATEST", or of an alias (JSON)
//
// In the shared space, where the pollers and the front door find them all:
//
//	m account region uuid        an event source mapping (JSON)
//	c account region name qual   provisioned concurrency of a version or alias (JSON)
//	k                            what the addresses of packages are signed with
//	u id                         whose the URL with that id is (JSON)
//
// Outbox: "lambda.invoke", an Event invocation, keyed by the function's name; "lambda.ahead", a version to be initialised ahead. Timer:
// "lambda.requeue", an Event invocation that waits for its next try.
package lambda
