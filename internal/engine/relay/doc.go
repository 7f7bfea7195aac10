// Package relay answers the network devices of sandboxes: it is the one way out that a function has besides the listeners that the server opened inside.
//
// A function's packets come out of the descriptor of a TUN device. For each connection that they ask for the relay looks at the address, refuses it or
// dials it from the server, and then plays the other end: TCP through gVisor's network stack, UDP and names by itself. What is refused, and why it is
// built like this, stands in docs/architecture/relay.md.
//
// One Relay serves all sandboxes of a server, a Link one of them. A Link is a descriptor and one goroutine in Go's poller until the first packet that
// wants an answer. Everything that a function can cause is bounded for each Link and for the Relay.
//
// It checks addresses by asking Linux's routing. On other systems it compiles and refuses everything.
package relay
